"""What an experiment of a paper is: which runs it has, the paper's numbers and claims, what a reader must know."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from papers.claims import Claim, Picture, Table, best_of

SIZES = ("small", "paper")  # those of which results are kept; smoke says only that the command works
Keys = Mapping[str, Any]  # dotted keys of a run's configuration, as vaezoo.reporting.reading names them, and values


@dataclass(frozen=True)
class Chosen:
    """A row that stands for the setting with the best mean of a score: a choice that the paper made, too."""

    name: str
    among: tuple[str, ...]
    by: str


@dataclass(frozen=True)
class Experiment:
    """`name` is its folder in conf/experiment. A run belongs to the setting all of whose keys it has."""

    name: str
    title: str
    settings: Mapping[str, Keys]
    claims: tuple[Claim | Picture, ...]
    numbers: Mapping[str, Mapping[str, float]] = field(default_factory=dict)  # of the paper: by row and score
    shown: tuple[str, ...] = ()  # scores that are shown beside those of numbers and claims
    chosen: tuple[Chosen, ...] = ()
    data: Mapping[str, str] = field(default_factory=dict)  # by size, what a reader needs who wants to run it
    notes: tuple[str, ...] = ()
    tried: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # by size: other settings, and what they gave

    @property
    def rows(self) -> tuple[str, ...]:
        """The settings, and before those of a choice the row that stands for them."""
        first = {choice.among[0]: choice.name for choice in self.chosen}
        return tuple(row for name in self.settings for row in (*([first[name]] if name in first else []), name))

    @property
    def scores(self) -> tuple[str, ...]:
        """Every score that is looked at."""
        theirs = [name for row in self.numbers.values() for name in row]
        needed = [name for claim in self.claims if isinstance(claim, Claim) for _, name in claim.quantity.needs]
        return tuple(dict.fromkeys([*theirs, *needed, *self.shown, *(choice.by for choice in self.chosen)]))

    def claims_of(self, size: str) -> list[Claim | Picture]:
        return [claim for claim in self.claims if claim.only in ("", size)]

    def setting_of(self, config: Keys) -> str | None:
        """The one that a run with this configuration belongs to."""
        fitting = [name for name, keys in self.settings.items() if all(config.get(k) == v for k, v in keys.items())]
        return fitting[0] if len(fitting) == 1 else None

    def choices(self, table: Table) -> dict[str, str]:
        """By chosen row, the setting that it stands for."""
        found = {choice.name: best_of(choice.among, choice.by, table) for choice in self.chosen}
        return {row: setting for row, setting in found.items() if setting is not None}

    def with_chosen(self, table: Table) -> Table:
        stand_for = self.choices(table)
        return {
            seed: {**scores, **{row: scores[one] for row, one in stand_for.items() if one in scores}}
            for seed, scores in table.items()
        }

    def theirs(self, claim: Claim) -> float:
        """What the paper's numbers make of the quantity; NaN where they do not say it."""
        return claim.quantity.in_seed(self.numbers) if self.numbers else math.nan


@dataclass(frozen=True)
class Paper:
    name: str  # authors, and the year where it is known
    about: str
    experiments: tuple[Experiment, ...]


def family(pattern: str, keys: Keys, swept: str, values: Sequence[Any]) -> dict[str, dict[str, Any]]:
    """A setting for each value, which stands in the name."""
    return {pattern.format(value): {**keys, swept: value} for value in values}
