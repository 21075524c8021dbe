"""Describe the experiments of papers: their runs, the numbers and claims of the paper, and notes for the reader."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from papers.claims import Claim, Picture, Table, find_best

SIZES = ("small", "paper")  # the sizes with results on the page; smoke only shows that the command works
Keys = Mapping[str, Any]  # dotted keys of a run's configuration, as vaezoo.reporting.reading names them, and values


@dataclass(frozen=True)
class BestRow:
    """A row for the setting with the best mean of a score, which the paper also selects."""

    name: str
    among: tuple[str, ...]  # settings
    by: str  # a score


@dataclass(frozen=True)
class Experiment:
    """An experiment of a paper; a run belongs to the setting whose keys and values its configuration has."""

    name: str  # of its folder in conf/experiment
    title: str
    settings: Mapping[str, Keys]
    claims: tuple[Claim | Picture, ...]
    numbers: Mapping[str, Mapping[str, float]] = field(default_factory=dict)  # of the paper, by row and score
    further_scores: tuple[str, ...] = ()  # those on the page besides the scores of numbers and claims
    best_rows: tuple[BestRow, ...] = ()
    data: Mapping[str, str] = field(default_factory=dict)  # by size, the data that a reader needs to run it
    substitute: str = ""  # the data that the small size has in place of the paper's, such as "Fashion-MNIST for MNIST"
    notes: tuple[str, ...] = ()
    tried: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # by size, other settings and their results

    @property
    def rows(self) -> tuple[str, ...]:
        """Return the settings, and each best row before the settings that it selects from."""
        best = {row.among[0]: row.name for row in self.best_rows}
        return tuple(row for name in self.settings for row in (*([best[name]] if name in best else []), name))

    @property
    def scores(self) -> tuple[str, ...]:
        """Return the names of all scores that the experiment uses."""
        theirs = [name for row in self.numbers.values() for name in row]
        needed = [name for claim in self.claims if isinstance(claim, Claim) for _, name in claim.quantity.needs]
        return tuple(dict.fromkeys([*theirs, *needed, *self.further_scores, *(row.by for row in self.best_rows)]))

    def select_claims(self, size: str) -> list[Claim | Picture]:
        """Return the claims of the paper that are judged in a size; those of ours are left out."""
        return [claim for claim in self.claims if claim.only in ("", size) and not claim.is_ours]

    def find_setting(self, config: Keys) -> str | None:
        """Return the setting that a run with this configuration belongs to; None if there is none, or several."""
        fitting = [name for name, keys in self.settings.items() if all(config.get(k) == v for k, v in keys.items())]
        return fitting[0] if len(fitting) == 1 else None

    def find_best_settings(self, table: Table) -> dict[str, str]:
        """Return the setting that each best row stands for; rows without any score are left out."""
        best = {row.name: find_best(row.among, row.by, table) for row in self.best_rows}
        return {row: setting for row, setting in best.items() if setting is not None}

    def add_best_rows(self, table: Table) -> Table:
        """Return the table with the scores of the best rows."""
        best = self.find_best_settings(table)
        return {
            seed: {**scores, **{row: scores[setting] for row, setting in best.items() if setting in scores}}
            for seed, scores in table.items()
        }

    def theirs(self, claim: Claim) -> float:
        """Return the quantity of a claim computed from the paper's numbers; NaN if it has not printed them."""
        return claim.quantity.in_seed(self.numbers) if self.numbers else math.nan


@dataclass(frozen=True)
class Paper:
    """A paper and its experiments."""

    name: str  # authors, and the year if it is known
    about: str
    experiments: tuple[Experiment, ...]


def sweep(pattern: str, keys: Keys, key: str, values: Sequence[Any]) -> dict[str, dict[str, Any]]:
    """Return a setting for each value of a key, named by the pattern with the value in it."""
    return {pattern.format(value): {**keys, key: value} for value in values}
