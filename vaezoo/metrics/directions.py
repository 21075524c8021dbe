"""Which end of a score is better, as the metric that reports it declares beside its function.

    @Better(higher=("score", "no_shape"), group="disentanglement")
    def mig_hist(...)

The decorator also converts and checks the arrays that the metric is called with (`vaezoo.metrics.array_checks`), so
every metric has it, `@Better()` where no number has a direction.

Declarations are read from the source text, so that a report loads neither the metrics nor scikit-learn. Scores of a run
have their directions in metrics.json, too; these come first, because a metric may be a user's own function.

Names of scores are those of metrics.json without "eval/". NAME_continuous, the score of the continuous latents alone,
has the direction of NAME.
"""

import ast
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache, partial, wraps
from types import MappingProxyType
from typing import Any, NamedTuple, TypeVar

from vaezoo.metrics import find_functions

CONTINUOUS = "_continuous"
DISENTANGLEMENT, EASY, REPEATED = "disentanglement", "easy", "repeated"

Metric = TypeVar("Metric", bound=Callable[..., Any])


class Direction(NamedTuple):
    """Which end of a score is better, "higher" or "lower", and the group that places it in a report.

    Scores of DISENTANGLEMENT come first. Codes without information have the best values of EASY scores: these come last
    and make no rank. REPEATED scores say the same as another one, perhaps in other units, and are no columns.
    """

    better: str
    group: str = ""

    def write(self) -> str:
        """Return the direction as metrics.json has it, such as "higher disentanglement"."""
        return f"{self.better} {self.group}".strip()

    @classmethod
    def read(cls, text: str) -> "Direction":
        """Return the direction that `write` has written; raise ValueError for another text."""
        better, _, group = text.partition(" ")
        if better not in ("higher", "lower"):
            raise ValueError(f"{text!r} is no direction of a score")
        return cls(better, group)


Directions = Mapping[str, Direction]  # by the name of the score


@dataclass(frozen=True)
class Better:
    """Declares the directions of the numbers in the result of a metric, which it decorates.

    All but `group` are keys of the result, or patterns such as "fid*". A number that is neither `higher` nor `lower`
    has no direction, and one that is `aside` has none in spite of them: it describes another number, such as its error.
    """

    higher: tuple[str, ...] = ()
    lower: tuple[str, ...] = ()
    aside: tuple[str, ...] = ()
    repeated: tuple[str, ...] = ()
    group: str = ""

    def __call__(self, metric: Metric) -> Metric:
        """Return the metric with this declaration; its arrays are converted and checked in every call."""
        from vaezoo.metrics.array_checks import (
            convert_all,  # late, because a report that reads directions needs no numpy
        )

        signature = inspect.signature(metric)

        @wraps(metric)
        def checked(*args: Any, **kwargs: Any) -> Any:
            try:
                bound = signature.bind(*args, **kwargs)
            except TypeError as error:
                raise TypeError(f"{metric.__name__}(): {error}") from None
            bound.arguments.update(convert_all(bound.arguments))
            return metric(*bound.args, **bound.kwargs)

        checked.better = self  # type: ignore[attr-defined]
        return checked  # type: ignore[return-value]

    def find(self, key: str) -> Direction | None:
        """Return the direction of a number of the result."""
        if matches(key, self.aside):
            return None
        group = REPEATED if matches(key, self.repeated) else self.group
        better = "higher" if matches(key, self.higher) else "lower" if matches(key, self.lower) else ""
        return Direction(better, group) if better else None

    def key_of(self, name: str, metric: str) -> str:
        """Return the key, in the result of this metric, of the score that a run calls `name`; "" without one."""
        if "score" not in (*self.higher, *self.lower):
            return name.removesuffix(CONTINUOUS)
        head, _, key = name.partition("/")
        return (key or "score") if head in (metric, metric + CONTINUOUS) else ""


def matches(name: str, patterns: tuple[str, ...]) -> bool:
    """Return whether one of the patterns fits the name."""
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def declaration_of(metric: Callable[..., Any]) -> Better:
    """Return the declaration of a metric, or of the metric that a functools.partial holds; an empty one without any."""
    while isinstance(metric, partial):
        metric = metric.func
    return getattr(metric, "better", Better())


@cache
def read_declarations() -> dict[str, Better]:
    """Return the declaration of each metric in this folder that has one, from the source text."""
    return {
        function.name: Better(**{word.arg: ast.literal_eval(word.value) for word in decorator.keywords if word.arg})
        for _, function in find_functions().values()
        for decorator in function.decorator_list
        if isinstance(decorator, ast.Call) and ast.unparse(decorator.func) == Better.__name__
    }


def find_direction(name: str, recorded: Directions = MappingProxyType({})) -> Direction | None:
    """Return the direction of a score: as a run recorded it, else as its metric declares it; None without one."""
    name = name.removeprefix("eval/")
    if name in recorded:
        return recorded[name]
    if name.endswith("/sd"):  # the deviation of a score over repeats
        return None
    declared = (better.find(better.key_of(name, metric)) for metric, better in read_declarations().items())
    return next(filter(None, declared), None)


def direction(name: str, recorded: Directions = MappingProxyType({})) -> int:
    """Return 1 where higher is better, -1 where lower is, and 0 where neither is."""
    declared = find_direction(name, recorded)
    return {"higher": 1, "lower": -1}[declared.better] if declared else 0
