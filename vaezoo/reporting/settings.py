"""Settings: groups of runs that differ in nothing but their seed, and the keys that distinguish the groups."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from vaezoo.reporting.reading import FINISHED, Run

SEED = "seed"
PARTS = ("model", "dataset")  # the two choices that bring further keys along


@dataclass(frozen=True)
class Setting:
    """Runs of one configuration but for the seed."""

    id: str  # of its row on the page
    values: dict[str, Any]  # by key, only keys that distinguish settings
    runs: list[Run] = field(default_factory=list)  # all of them
    counted: list[Run] = field(default_factory=list)  # finished runs, the newest of each seed

    @property
    def label(self) -> str:
        """Return a name such as "betavae beta=4"."""
        parts = [
            f"{last_name(key)}={format_value(value)}"
            for key, value in self.values.items()
            if key != "model" and value is not None
        ]
        return " ".join([format_value(self.values["model"]), *parts] if "model" in self.values else parts) or (
            "one setting"
        )

    def scores(self, name: str) -> list[float]:
        """Return the values of a score in the counted runs that have it."""
        return [run.scores[name] for run in self.counted if name in run.scores]

    def is_at_floor(self, name: str) -> bool:
        """Return whether a score is no better than that of codes without information in all counted runs with it."""
        reached = [run.floors.get(name, {}).get("reached", False) for run in self.counted if name in run.scores]
        return bool(reached) and all(reached)


def list_differing_keys(runs: Sequence[Run]) -> list[str]:
    """Return the keys whose values are not equal in all runs: model and data set first, the seed last."""
    configs = [run.config for run in runs if run.config]
    keys = dict.fromkeys(key for config in configs for key in config)
    differing = [key for key in keys if len({str(config.get(key)) for config in configs}) > 1]
    first = [key for key in PARTS if key in differing]
    rest = [key for key in differing if key not in (*PARTS, SEED)]
    return [*first, *rest, *([SEED] if SEED in differing else [])]


def list_swept_keys(runs: Sequence[Run]) -> list[str]:
    """Return the differing keys that model and data set do not bring along; without the seed."""
    configs = [run.config for run in runs if run.config]

    def follows_from_parts(key: str) -> bool:
        values: dict[tuple[str, ...], str] = {}
        for config in configs:
            parts = tuple(str(config.get(part)) for part in PARTS)
            if values.setdefault(parts, str(config.get(key))) != str(config.get(key)):
                return False
        return True

    return [key for key in list_differing_keys(runs) if key != SEED and (key in PARTS or not follows_from_parts(key))]


def group_settings(runs: Sequence[Run], keys: Sequence[str]) -> list[Setting]:
    """Group the runs by the values of these keys; the settings are in the order of the values."""
    groups: dict[tuple[str, ...], Setting] = {}
    for run in runs:
        if run.config:
            values = {key: run.config.get(key) for key in keys}
            groups.setdefault(tuple(map(str, values.values())), Setting("", values)).runs.append(run)
    for setting in groups.values():
        newest: dict[str, Run] = {}
        for run in sorted(setting.runs, key=lambda run: run.started):
            if run.state == FINISHED and run.scores:
                newest[str(run.config.get(SEED))] = run
        setting.counted.extend(sorted(newest.values(), key=lambda run: sort_key(run.config.get(SEED))))
    order = sorted(groups.values(), key=lambda setting: [sort_key(value) for value in setting.values.values()])
    return [replace(setting, id=f"s{i}") for i, setting in enumerate(order, 1)]


def sort_key(value: Any) -> tuple[bool, float, str]:
    """Return a key that sorts numbers in their order before texts in theirs."""
    number = is_number(value)
    return (not number, float(value) if number else 0.0, str(value))


def is_number(value: Any) -> bool:
    """Return whether a value of a configuration is a number; true and false are none."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def format_value(value: Any) -> str:
    """Return a value of a configuration as text: six digits of a number, nothing for null."""
    return "" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)


def last_name(key: str) -> str:
    """Return the last part of a dotted key."""
    return key.rpartition(".")[2]
