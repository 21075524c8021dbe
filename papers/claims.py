"""State claims of papers, and judge them by our runs.

A claim is a quantity, computed for each seed from the scores of settings, and the region where it should lie. It held
if the 95 % interval of its mean over seeds lies inside the region, and did not hold if the interval lies outside. It is
undecided if the interval crosses the edge, or if there is only one seed.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate

from vaezoo.metrics.directions import direction
from vaezoo.reporting.summary import Mean, mean

HELD, UNDECIDED, FAILED, NOT_RUN = "held", "undecided", "did not hold", "not run"

Scores = Mapping[str, Mapping[str, float]]  # those of one seed, by setting and score
Table = Mapping[int, Scores]  # by seed


@dataclass(frozen=True)
class Quantity:
    """A function of scores, each of which is a (setting, name), with a text that names it."""

    text: str
    needs: tuple[tuple[str, str], ...]
    of: Callable[..., float]  # its arguments are the scores that it needs, in their order

    def in_seed(self, scores: Scores) -> float:
        """Return the value for one seed; NaN if a score is missing or not finite."""
        values = [scores.get(setting, {}).get(name, math.nan) for setting, name in self.needs]
        return self.of(*values) if all(map(math.isfinite, values)) else math.nan


def score(name: str, setting: str) -> Quantity:
    """Return the quantity that is a score of one setting."""
    return Quantity(f"{name} of {setting}", ((setting, name),), lambda value: value)


def combine(text: str, parts: Sequence[Quantity], of: Callable[..., float]) -> Quantity:
    """Return a quantity that is the function `of` of the values of other quantities."""
    ends = list(accumulate(len(part.needs) for part in parts))
    slices = [slice(end - len(part.needs), end) for part, end in zip(parts, ends, strict=True)]

    def evaluate(*values: float) -> float:
        return of(*(part.of(*values[own]) for part, own in zip(parts, slices, strict=True)))

    return Quantity(text, tuple(need for part in parts for need in part.needs), evaluate)


def minus(a: Quantity, b: Quantity, text: str = "") -> Quantity:
    """Return a - b."""
    return combine(text or f"{a.text} − {b.text}", (a, b), lambda x, y: x - y)


def over(a: Quantity, b: Quantity, text: str = "") -> Quantity:
    """Return a / b, NaN where b is 0."""
    return combine(text or f"{a.text} / {b.text}", (a, b), lambda x, y: x / y if y else math.nan)


def average(text: str, parts: Sequence[Quantity]) -> Quantity:
    """Return the mean of several quantities."""
    return combine(text, parts, lambda *values: sum(values) / len(values))


def wins(text: str, leads: Sequence[Quantity]) -> Quantity:
    """Return the number of quantities that are above 0."""
    return combine(text, leads, lambda *values: float(sum(value > 0 for value in values)))


def difference(name: str, a: str, b: str) -> Quantity:
    """Return the difference of a score between the settings a and b."""
    return minus(score(name, a), score(name, b), f"{name}: {a} − {b}")


def ratio(name: str, a: str, b: str) -> Quantity:
    """Return the ratio of a score between the settings a and b."""
    return over(score(name, a), score(name, b), f"{name}: {a} / {b}")


def lead(name: str, group: str | Sequence[str], *others: str) -> Quantity:
    """Return by how much a setting, or the worst of a group, is better than the best of the others.

    It is positive where the group is better, also for scores of which less is better. Raises ValueError for a score
    that has no better direction.
    """
    way = direction(name)
    if not way:
        raise ValueError(f"{name} has no direction: say which way with a difference")
    settings = (group,) if isinstance(group, str) else tuple(group)
    texts = name_group("worst", settings), name_group("best", others)
    needs = tuple((setting, name) for setting in (*settings, *others))
    n = len(settings)
    return Quantity(
        f"{name}: {' − '.join(texts[::way])}",
        needs,
        lambda *v: min(way * x for x in v[:n]) - max(way * x for x in v[n:]),
    )


def ahead(own: Quantity, *others: Quantity) -> Quantity:
    """Return by how much a quantity is above the largest of the others; for quantities of which more is better."""
    text = f"{own.text} − {name_group('best', [other.text for other in others])}"
    return combine(text, (own, *others), lambda first, *rest: first - max(rest))


def name_group(which: str, names: Sequence[str]) -> str:
    """Return a text such as "best of a, b"; the name alone if there is only one."""
    if len(names) == 1:
        return names[0]
    return f"{which} of {', '.join(names) if len(names) <= 3 else f'these {len(names)}'}"


@dataclass(frozen=True)
class Claim:
    """A statement of a paper, or of ours about its method: a quantity and the region where it should lie."""

    text: str
    quantity: Quantity
    low: float = -math.inf
    high: float = math.inf
    theirs: str = ""  # what the paper has for the quantity, where it prints no numbers
    only: str = ""  # the only size in which the claim is judged; "" for all sizes
    is_ours: bool = False  # the paper does not say it; such a claim is judged, and counted with none

    @property
    def region(self) -> str:
        """Return the region as a text, such as "> 0" or "0.8 to 1.25"."""
        if math.isinf(self.high):
            return f"> {self.low:g}"
        return f"< {self.high:g}" if math.isinf(self.low) else f"{self.low:g} to {self.high:g}"


@dataclass(frozen=True)
class Observation:
    """The verdict of a person who looked at pictures, and what they show."""

    verdict: str
    text: str


@dataclass(frozen=True)
class Picture:
    """A statement of a paper, or of ours about its method, that a person judges by pictures."""

    text: str
    figure: str  # the files of the pictures in the folders of runs
    observations: Mapping[str, Observation] = field(default_factory=dict)  # by size
    only: str = ""
    is_ours: bool = False


@dataclass(frozen=True)
class Judgement:
    """The verdict on a claim, and the mean of its quantity over seeds."""

    verdict: str
    mean: Mean
    lacking: tuple[tuple[str, str], ...] = ()  # the (setting, score) that no seed has, if the claim was not run


def judge(claim: Claim, table: Table) -> Judgement:
    """Return the verdict of a table of scores on a claim."""
    measured = mean([claim.quantity.in_seed(scores) for scores in table.values()])
    if not measured.n:
        lacking = [need for need in dict.fromkeys(claim.quantity.needs) if not has_score(need, table)]
        return Judgement(NOT_RUN, measured, tuple(lacking))
    return Judgement(compare_with_region(measured, claim.low, claim.high), measured)


def has_score(need: tuple[str, str], table: Table) -> bool:
    """Return whether a seed has the score of that (setting, name)."""
    setting, name = need
    return any(math.isfinite(scores.get(setting, {}).get(name, math.nan)) for scores in table.values())


def compare_with_region(measured: Mean, low: float, high: float) -> str:
    """Return HELD, FAILED or UNDECIDED, by where the interval lies; a single seed has no interval and is undecided."""
    if low < measured.value - measured.half and measured.value + measured.half < high:
        return HELD
    if measured.value + measured.half < low or measured.value - measured.half > high:
        return FAILED
    return UNDECIDED


def is_in_region(measured: Mean, claim: Claim) -> bool:
    """Return whether the mean lies in the region of the claim."""
    return claim.low < measured.value < claim.high


def find_best(settings: Sequence[str], name: str, table: Table) -> str | None:
    """Return the setting with the best mean of a score over seeds; None if no setting has the score."""
    means = {
        setting: mean([scores.get(setting, {}).get(name, math.nan) for scores in table.values()])
        for setting in settings
    }
    scored = [setting for setting in settings if means[setting].n]
    return max(scored, key=lambda setting: direction(name) * means[setting].value, default=None)
