"""Which keys tell runs apart, and which runs differ in their seed alone."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from vaezoo.metrics.directions import DISENTANGLEMENT, direction, easy, matches
from vaezoo.reporting.reading import FINISHED, Run

SEED = "seed"
CHOICES = ("model", "dataset")  # what brings keys of its own along
# Scores that say again, or in other units, what another column of the leaderboard says; they are in the tables.
REPEATED = (
    "rec",
    "recon_mae",
    "recon_bce",
    "recon_sse",
    "*_exemplar",
    "*_train_map",
    "*_a2a",
    "attributes_accuracy",
    "cluster_acc_majority",
    "kmeans_acc_majority",
)
RECONSTRUCTION = ("recon_mse", "recon_sse", "recon_bce", "recon_mae", "rec")


@dataclass(frozen=True)
class Setting:
    """Runs of one configuration but for the seed."""

    id: str  # on the page
    values: dict[str, Any]  # by key, those that tell settings apart
    runs: list[Run] = field(default_factory=list)  # all of them
    counted: list[Run] = field(default_factory=list)  # finished, one a seed: the newest

    @property
    def label(self) -> str:
        told = [
            f"{last(key)}={text(value)}" for key, value in self.values.items() if key != "model" and value is not None
        ]
        return " ".join([text(self.values["model"]), *told] if "model" in self.values else told) or "one setting"

    def scores(self, name: str) -> list[float]:
        return [run.scores[name] for run in self.counted if name in run.scores]


def differing(runs: Sequence[Run]) -> list[str]:
    """Keys whose value is not the same in all runs; the seed last."""
    read = [run for run in runs if run.config]
    keys = dict.fromkeys(key for run in read for key in run.config)
    found = [key for key in keys if len({str(run.config.get(key)) for run in read}) > 1]
    first = [key for key in CHOICES if key in found]
    rest = [key for key in found if key not in (*CHOICES, SEED)]
    return [*first, *rest, *([SEED] if SEED in found else [])]


def swept(runs: Sequence[Run]) -> list[str]:
    """Those of the differing keys that the model and the data set do not bring along; without the seed."""
    read = [run for run in runs if run.config]

    def follows(key: str) -> bool:
        found: dict[tuple[str, ...], str] = {}
        for run in read:
            chosen = tuple(str(run.config.get(choice)) for choice in CHOICES)
            if found.setdefault(chosen, str(run.config.get(key))) != str(run.config.get(key)):
                return False
        return True

    return [key for key in differing(runs) if key != SEED and (key in CHOICES or not follows(key))]


def settings(runs: Sequence[Run], keys: Sequence[str]) -> list[Setting]:
    """The runs by the values of these keys, in the order of the values."""
    found: dict[tuple[str, ...], Setting] = {}
    for run in runs:
        if run.config:
            values = {key: run.config.get(key) for key in keys}
            found.setdefault(tuple(map(str, values.values())), Setting("", values)).runs.append(run)
    for setting in found.values():
        newest: dict[Any, Run] = {}
        for run in sorted(setting.runs, key=lambda run: run.started):
            if run.state == FINISHED and run.scores:
                newest[run.config.get(SEED)] = run
        setting.counted.extend(sorted(newest.values(), key=lambda run: place(run.config.get(SEED))))
    order = sorted(found.values(), key=lambda setting: [place(value) for value in setting.values.values()])
    return [replace(setting, id=f"s{i}") for i, setting in enumerate(order, 1)]


def place(value: Any) -> tuple[bool, float, str]:
    """Numbers in their order before texts in theirs."""
    number = numeric(value)
    return (not number, float(value) if number else 0.0, str(value))


def numeric(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def text(value: Any) -> str:
    return "" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)


def last(key: str) -> str:
    return key.rpartition(".")[2]


def all_scores(runs: Sequence[Run]) -> list[str]:
    return list(dict.fromkeys(name for run in runs for name in run.scores))


def headline(names: Sequence[str]) -> list[str]:
    """The scores of a leaderboard where none are chosen: those with a direction, each said once."""
    whole = [name for name in names if "/" not in name and direction(name) and not matches(name, REPEATED)]
    whole = [name for name in whole if not (name.endswith("_continuous") and name.removesuffix("_continuous") in names)]
    return sorted(whole, key=lambda name: (easy(name), not disentangles(name), names.index(name)))


def ranked(names: Sequence[str], chosen: bool) -> list[str]:
    """Which of these scores make a rank: all that have a direction.

    Unless they were chosen, none that silence wins, and none that is to be compared with the others.
    """
    usual = [name for name in names if chosen or not (easy(name) or name.startswith("udr_"))]
    return [name for name in usual if direction(name)]


def disentangles(name: str) -> bool:
    return matches(name, DISENTANGLEMENT)
