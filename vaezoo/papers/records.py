"""What is kept of a study: one line a finished run, small enough to lie in the repository and be read by a person."""

import csv
import io
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from vaezoo import runs
from vaezoo.errors import UserError
from vaezoo.papers.claims import Table
from vaezoo.papers.experiments import Experiment
from vaezoo.reporting.reading import FINISHED, Run

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
    records = [record(experiment, *key, run) for key, run in kept]
    return records, {why: count for why, count in left_out.items() if count}


def record(experiment: Experiment, setting: str, seed: int, run: Run) -> Record:
    dataset, identity = json.loads(run.data) if run.data else (None, None)
    told = [dataset, (identity or {}).get("origin"), (identity or {}).get("variant")]
    about = {
        "batches": str(run.batches or ""),
        "seconds": training_seconds(run),
        "device": run.made.get("device", ""),
        "data": ", ".join(str(word) for word in told if word),
        "commit": run.made.get("commit", ""),
        "started": run.started,
        "job": run.job,
    }
    return Record(setting, seed, {name: run.scores[name] for name in experiment.scores if name in run.scores}, about)


def training_seconds(run: Run) -> str:
    """As metrics.csv has its images a second: steps alone, without validations and scores."""
    batches, rates = runs.history(run.folder).get("perf/images_per_second", ([], []))
    size = run.config.get("dataset.batch_size", 0)
    before = [0, *batches[:-1]]
    return (
        f"{sum((b - a) * size / rate for a, b, rate in zip(before, batches, rates, strict=True)):.0f}" if size else ""
    )


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
