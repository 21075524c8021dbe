"""What is kept of a study: one line a finished run, small enough to lie in the repository and be read by a person.

Scores are called as in metrics.json, without "eval/". Besides them an experiment can ask for

    METRIC/NAME/COLUMN    an entry of a table of metrics.json, such as attribute_vectors/Bangs/accuracy
    train/TERM            the last mean of a term while it was trained, of metrics.csv
    ffd64_*               the score that is called like that; it is that of a network, and most runs decide which

so that no scores in the features of two networks are compared.
"""

import csv
import io
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np

from papers.claims import Table
from papers.experiments import Experiment
from vaezoo.errors import UserError
from vaezoo.metrics.directions import direction
from vaezoo.reporting.reading import FINISHED, Run
from vaezoo.runs.folder import read_history

History = Mapping[str, tuple[np.ndarray, np.ndarray]]  # by column of metrics.csv: batches, values
ABOUT = ("batches", "seconds", "device", "data", "commit", "started", "job")


@dataclass(frozen=True)
class Record:
    setting: str
    seed: int
    scores: dict[str, float] = field(default_factory=dict)
    about: dict[str, str] = field(default_factory=dict)  # by ABOUT; "" where it is not known


def gather(experiment: Experiment, found: Iterable[Run]) -> tuple[list[Record], dict[str, int]]:
    """The newest finished run of each setting and seed; and how many others there are, by why they do not count."""
    newest: dict[tuple[str, int], Run] = {}
    left_out: Counter[str] = Counter()
    for run in sorted(found, key=lambda run: run.started):
        setting = experiment.setting_of(run.config)
        if run.state != FINISHED or not run.scores:
            left_out["not finished"] += 1
        elif setting is None:
            left_out["of no setting of the experiment"] += 1
        else:
            key = setting, int(run.config["seed"])
            left_out["made again since"] += key in newest
            newest[key] = run
    order = list(experiment.settings)
    kept = sorted(newest.items(), key=lambda item: (order.index(item[0][0]), item[0][1]))
    names = {name: full_name(name, newest.values()) for name in experiment.scores}
    records = [record(names, setting, seed, run) for (setting, seed), run in kept]
    return records, {why: count for why, count in left_out.items() if count}


def full_name(name: str, found: Iterable[Run]) -> str:
    """Of a name that ends with *, what most runs have."""
    if not name.endswith("*"):
        return name
    fitting = Counter(one for run in found for one in run.scores if fnmatchcase(one, name) and direction(one))
    return fitting.most_common(1)[0][0] if fitting else name


def record(names: Mapping[str, str], setting: str, seed: int, run: Run) -> Record:
    history = read_history(run.folder)
    dataset, identity = json.loads(run.data) if run.data else (None, None)
    told = [dataset, (identity or {}).get("origin"), (identity or {}).get("variant")]
    about = {
        "batches": str(run.batches or ""),
        "seconds": training_seconds(history, run.config.get("dataset.batch_size")),
        "device": run.environment.get("device", ""),
        "data": ", ".join(str(word) for word in told if word),
        "commit": run.environment.get("commit", ""),
        "started": run.started,
        "job": run.job,
    }
    found = {name: value_of(run, history, full) for name, full in names.items()}
    return Record(setting, seed, {name: value for name, value in found.items() if value is not None}, about)


def value_of(run: Run, history: History, name: str) -> float | None:
    if name in run.scores:
        return run.scores[name]
    if name.startswith("train/"):
        return float(history[name][1][-1]) if name in history else None
    metric, _, entry = name.partition("/")
    row, _, column = entry.rpartition("/")
    value = run.tables.get(metric, {}).get(row, {}).get(column)
    return None if value is None else float(value)


def training_seconds(history: History, batch_size: int | None) -> str:
    """As metrics.csv has its images a second: steps alone, without validations and scores."""
    if batch_size is None or "perf/images_per_second" not in history:
        return ""
    batches, rates = history["perf/images_per_second"]
    return f"{(np.diff(batches, prepend=0) * batch_size / rates).sum():.0f}"


def table(records: Iterable[Record]) -> Table:
    found: dict[int, dict[str, dict[str, float]]] = {}
    for one in records:
        found.setdefault(one.seed, {})[one.setting] = one.scores
    return found


def as_csv(experiment: Experiment, records: Sequence[Record]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["setting", "seed", *experiment.scores, *ABOUT])
    for one in records:
        scores = [one.scores.get(name, "") for name in experiment.scores]
        writer.writerow([one.setting, one.seed, *scores, *(one.about[name] for name in ABOUT)])
    return out.getvalue()


def read(experiment: Experiment, path: Path) -> list[Record]:
    """The file that `as_csv` wrote, perhaps before the experiment was changed."""
    try:
        lines = list(csv.DictReader(path.read_text().splitlines()))
        records = [
            Record(
                line["setting"],
                int(line["seed"]),
                {name: float(line[name]) for name in experiment.scores if line.get(name)},
                {name: line[name] for name in ABOUT},
            )
            for line in lines
        ]
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"{path}: not a table of results, or a damaged one ({type(error).__name__}: {error})."
        ) from None
    for one in records:
        if one.setting not in experiment.settings:
            raise UserError(f"{path}: {experiment.name} has no setting {one.setting!r}; the table is older. Remove it.")
    return records
