"""Make, write and read the table of a study: a line for each run, small enough for the repository.

Scores have their names in metrics.json, without "eval/". An experiment can also use

    METRIC/NAME/COLUMN    an entry of a table of metrics.json, such as attribute_vectors/Bangs/accuracy
    train/TERM            the last value of a training term in metrics.csv
    ffd64_*               the score with such a name that most runs have; the rest of the name is that of a network,
                          and scores in the features of two networks do not compare
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
    """A line of the table of a study: a run, its scores, and how it was made."""

    setting: str
    seed: int
    scores: dict[str, float] = field(default_factory=dict)
    about: dict[str, str] = field(default_factory=dict)  # by ABOUT; "" for what is unknown


def collect_records(experiment: Experiment, runs: Iterable[Run]) -> tuple[list[Record], dict[str, int]]:
    """Return records of the newest finished run of each setting and seed, and the number of other runs by reason."""
    newest: dict[tuple[str, int], Run] = {}
    left_out: Counter[str] = Counter()
    for run in sorted(runs, key=lambda run: run.started):
        setting = experiment.find_setting(run.config)
        if run.state != FINISHED or not run.scores:
            left_out["not finished"] += 1
        elif setting is None:
            left_out["of no setting of the experiment"] += 1
        else:
            key = setting, int(run.config["seed"])
            left_out["made again since"] += key in newest
            newest[key] = run
    order = list(experiment.settings)
    sorted_runs = sorted(newest.items(), key=lambda item: (order.index(item[0][0]), item[0][1]))
    names = {name: complete_name(name, newest.values()) for name in experiment.scores}
    records = [make_record(names, setting, seed, run) for (setting, seed), run in sorted_runs]
    return records, {reason: count for reason, count in left_out.items() if count}


def complete_name(name: str, runs: Iterable[Run]) -> str:
    """Return the score that most runs have among those that fit a name ending with *; other names as they are."""
    if not name.endswith("*"):
        return name
    fitting = Counter(score for run in runs for score in run.scores if fnmatchcase(score, name) and direction(score))
    return fitting.most_common(1)[0][0] if fitting else name


def make_record(names: Mapping[str, str], setting: str, seed: int, run: Run) -> Record:
    """Return the record of a run; `names` has the complete name of each score."""
    history = read_history(run.folder)
    dataset, identity = json.loads(run.data) if run.data else (None, None)
    data_parts = [dataset, (identity or {}).get("origin"), (identity or {}).get("variant")]
    about = {
        "batches": str(run.batches or ""),
        "seconds": sum_training_seconds(history, run.config.get("dataset.batch_size")),
        "device": run.environment.get("device", ""),
        "data": ", ".join(str(part) for part in data_parts if part),
        "commit": run.environment.get("commit", ""),
        "started": run.started,
        "job": run.job,
    }
    values = {name: find_value(run, history, complete) for name, complete in names.items()}
    return Record(setting, seed, {name: value for name, value in values.items() if value is not None}, about)


def find_value(run: Run, history: History, name: str) -> float | None:
    """Return the score, the last training term or the entry of a table that a name means; None if the run has none."""
    if name in run.scores:
        return run.scores[name]
    if name.startswith("train/"):
        return float(history[name][1][-1]) if name in history else None
    metric, _, entry = name.partition("/")
    row, _, column = entry.rpartition("/")
    value = run.tables.get(metric, {}).get(row, {}).get(column)
    return None if value is None else float(value)


def sum_training_seconds(history: History, batch_size: int | None) -> str:
    """Return the seconds of all training steps, without validations and scores; "" if metrics.csv does not have them.

    They follow from the images per second of each row and the batches since the row before.
    """
    if batch_size is None or "perf/images_per_second" not in history:
        return ""
    batches, rates = history["perf/images_per_second"]
    return f"{(np.diff(batches, prepend=0) * batch_size / rates).sum():.0f}"


def group_by_seed(records: Iterable[Record]) -> Table:
    """Return the scores of records by seed and setting."""
    scores: dict[int, dict[str, dict[str, float]]] = {}
    for record in records:
        scores.setdefault(record.seed, {})[record.setting] = record.scores
    return scores


def format_csv(experiment: Experiment, records: Sequence[Record]) -> str:
    """Return the table of a study as CSV."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["setting", "seed", *experiment.scores, *ABOUT])
    for record in records:
        scores = [record.scores.get(name, "") for name in experiment.scores]
        writer.writerow([record.setting, record.seed, *scores, *(record.about[name] for name in ABOUT)])
    return out.getvalue()


def read_records(experiment: Experiment, path: Path) -> list[Record]:
    """Return the records of a CSV file.

    Raises UserError if it is no such table, or if it has a setting that the experiment does not have (any more).
    """
    try:
        lines = list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))
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
    for record in records:
        if record.setting not in experiment.settings:
            setting = repr(record.setting)
            raise UserError(f"{path}: {experiment.name} has no setting {setting}; the table is older. Remove it.")
    return records
