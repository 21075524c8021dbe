"""A claim is a quantity, computed for each seed from the scores of settings, and the region where it should lie.

It held if the 95 % interval of its mean over seeds lies inside, it did not if the interval lies outside; an interval
on the edge, or a single seed, leaves it undecided.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate

from vaezoo.metrics.directions import direction
from vaezoo.reporting.summary import Mean, mean

HELD, UNDECIDED, FAILED, NOT_RUN = "held", "undecided", "did not hold", "not run"

Scores = Mapping[str, Mapping[str, float]]  # of one seed: by setting and score
Table = Mapping[int, Scores]  # by seed


@dataclass(frozen=True)
class Quantity:
    """`of` takes the scores that it needs, each a (setting, score), in their order."""

    text: str
    needs: tuple[tuple[str, str], ...]
    of: Callable[..., float]

    def in_seed(self, scores: Scores) -> float:
        """NaN where one of the scores is not there."""
        found = [scores.get(setting, {}).get(name, math.nan) for setting, name in self.needs]
        return self.of(*found) if all(map(math.isfinite, found)) else math.nan


def score(name: str, setting: str) -> Quantity:
    return Quantity(f"{name} of {setting}", ((setting, name),), lambda value: value)


def combined(text: str, parts: Sequence[Quantity], of: Callable[..., float]) -> Quantity:
    """`of` takes the values of the parts."""
    ends = list(accumulate(len(part.needs) for part in parts))
    places = [slice(end - len(part.needs), end) for part, end in zip(parts, ends, strict=True)]

    def whole(*values: float) -> float:
        return of(*(part.of(*values[place]) for part, place in zip(parts, places, strict=True)))

    return Quantity(text, tuple(need for part in parts for need in part.needs), whole)


def minus(a: Quantity, b: Quantity, text: str = "") -> Quantity:
    return combined(text or f"{a.text} − {b.text}", (a, b), lambda x, y: x - y)


def over(a: Quantity, b: Quantity, text: str = "") -> Quantity:
    return combined(text or f"{a.text} / {b.text}", (a, b), lambda x, y: x / y if y else math.nan)


def average(text: str, parts: Sequence[Quantity]) -> Quantity:
    return combined(text, parts, lambda *values: sum(values) / len(values))


def wins(text: str, leads: Sequence[Quantity]) -> Quantity:
    """How many of these are above 0."""
    return combined(text, leads, lambda *values: float(sum(value > 0 for value in values)))


def difference(name: str, a: str, b: str) -> Quantity:
    return minus(score(name, a), score(name, b), f"{name}: {a} − {b}")


def ratio(name: str, a: str, b: str) -> Quantity:
    return over(score(name, a), score(name, b), f"{name}: {a} / {b}")


def lead(name: str, ours: str | Sequence[str], *others: str) -> Quantity:
    """By how much one setting, or the worst of several, is better than the best of others, whichever way that is."""
    way = direction(name)
    if not way:
        raise ValueError(f"{name} has no direction: say which way with a difference")
    group = (ours,) if isinstance(ours, str) else tuple(ours)
    pair = told("worst", group), told("best", others)
    needs = tuple((setting, name) for setting in (*group, *others))
    n = len(group)
    return Quantity(
        f"{name}: {' − '.join(pair[::way])}",
        needs,
        lambda *v: min(way * x for x in v[:n]) - max(way * x for x in v[n:]),
    )


def ahead(own: Quantity, *others: Quantity) -> Quantity:
    """The same of different scores, of all of which more is better."""
    text = f"{own.text} − {told('best', [other.text for other in others])}"
    return combined(text, (own, *others), lambda first, *rest: first - max(rest))


def told(which: str, names: Sequence[str]) -> str:
    if len(names) == 1:
        return names[0]
    return f"{which} of {', '.join(names) if len(names) <= 3 else f'these {len(names)}'}"


@dataclass(frozen=True)
class Claim:
    """`theirs` is what the paper has for the quantity, where its numbers do not say it; `only` one size is asked."""

    text: str
    quantity: Quantity
    low: float = -math.inf
    high: float = math.inf
    theirs: str = ""
    only: str = ""

    @property
    def region(self) -> str:
        if math.isinf(self.high):
            return f"> {self.low:g}"
        return f"< {self.high:g}" if math.isinf(self.low) else f"{self.low:g} to {self.high:g}"


@dataclass(frozen=True)
class Seen:
    """What a person saw, and took it for."""

    verdict: str
    text: str


@dataclass(frozen=True)
class Picture:
    """A claim that a person judges by pictures, which are called `figure` in the folders of runs; `seen` by size."""

    text: str
    figure: str
    seen: Mapping[str, Seen] = field(default_factory=dict)
    only: str = ""


@dataclass(frozen=True)
class Judgement:
    verdict: str
    mean: Mean
    lacking: tuple[tuple[str, str], ...] = ()  # (setting, score) that no seed has, where nothing can be said


def judge(claim: Claim, table: Table) -> Judgement:
    found = mean([claim.quantity.in_seed(scores) for scores in table.values()])
    if not found.n:
        lacking = [need for need in dict.fromkeys(claim.quantity.needs) if not is_there(need, table)]
        return Judgement(NOT_RUN, found, tuple(lacking))
    return Judgement(verdict(found, claim.low, claim.high), found)


def is_there(need: tuple[str, str], table: Table) -> bool:
    setting, name = need
    return any(math.isfinite(scores.get(setting, {}).get(name, math.nan)) for scores in table.values())


def verdict(found: Mean, low: float, high: float) -> str:
    """NaN, the interval of a single seed, is neither inside nor outside."""
    if low < found.value - found.half and found.value + found.half < high:
        return HELD
    if found.value + found.half < low or found.value - found.half > high:
        return FAILED
    return UNDECIDED


def leans(found: Mean, claim: Claim) -> bool:
    """Whether the mean is where the claim has it."""
    return claim.low < found.value < claim.high


def best_of(settings: Sequence[str], name: str, table: Table) -> str | None:
    """The setting of the best mean over seeds, among those that have the score."""
    means = {one: mean([scores.get(one, {}).get(name, math.nan) for scores in table.values()]) for one in settings}
    known = [one for one in settings if means[one].n]
    return max(known, key=lambda one: direction(name) * means[one].value, default=None)
