"""Types with a range, for the annotations of constructors: `beta: Weight`, `decay: Probability`.

A value from a configuration is checked against the annotation of the parameter that it is for, before anything is
imported (vaezoo.config.values). Each alias is an ordinary `Annotated` type, so that type checkers see `float` or `int`.
Bounds are those of `annotated-types`. Where no bound describes what is allowed, a function does: it takes the value and
returns what the value must be, such as "an odd whole number", or None where the value is good.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

from annotated_types import Ge, Gt, Interval

Rule = Callable[[Any], str | None]  # the value -> what it must be; None where it is good


def require(description: str, holds: Callable[[Any], bool]) -> Rule:
    """Return the rule that a value must satisfy the condition `holds`."""
    return lambda value: None if holds(value) else description


def is_whole(value: Any, low: int = 0) -> bool:
    """Return whether the value is an integer of at least `low`; True and False are none."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= low


def are_whole(values: Any, low: int) -> bool:
    """Return whether the value is a list of such integers, which may be empty."""
    return isinstance(values, list) and all(is_whole(value, low) for value in values)


def is_name(value: Any) -> bool:
    """Return whether the value is a string with something in it."""
    return isinstance(value, str) and value != ""


def are_names(values: Any) -> bool:
    """Return whether the value is a list of such strings, which may be empty."""
    return isinstance(values, list) and all(map(is_name, values))


def exists(value: Any) -> bool:
    """Return whether the value is the path of a file or folder."""
    return is_name(value) and Path(value).expanduser().exists()


def are_convolutions(values: Any) -> bool:
    """Return whether the value is a list of [filters, kernel, stride], which may be empty."""
    return isinstance(values, list) and all(are_whole(layer, 1) and len(layer) == 3 for layer in values)


# Numbers.
NonNegative = Annotated[float, Ge(0)]
Positive = Annotated[float, Gt(0)]
Probability = Annotated[float, Interval(ge=0, lt=1)]  # without 1: a decay or a dropout of 1 would leave nothing
Share = Annotated[float, Interval(gt=0, le=1)]
OpenShare = Annotated[float, Interval(gt=0, lt=1)]
Fraction = Annotated[float, Interval(ge=0, le=1)]
Natural = Annotated[int, Ge(0)]
Count = Annotated[int, Ge(1)]
Several = Annotated[int, Ge(2)]
Odd = Annotated[int, require("an odd whole number", lambda value: is_whole(value, 1) and value % 2 == 1)]

# The weight of a term: a number, or a schedule, which maps the finished batches, a tensor (), to one.
Schedule = Annotated[Callable[[Any], Any], "a schedule"]
Weight = NonNegative | Schedule
ShareWeight = Share | Schedule
FractionWeight = Fraction | Schedule

# Lists.
Sizes = Annotated[
    Sequence[int],
    require("a list of whole numbers of at least 1, such as [32, 64]", lambda value: are_whole(value, 1) and value),
]
LayerNumbers = Annotated[
    Sequence[int],
    require("a list of whole numbers of at least 1, such as [2, 3], or [] for none", lambda value: are_whole(value, 1)),
]
Indices = Annotated[
    Sequence[int],
    require("a list of whole numbers of at least 0, such as [0, 3]", lambda value: are_whole(value, 0) and value),
]
Convolutions = Annotated[
    Sequence[Sequence[int]],  # [filters, kernel, stride] each
    require(
        "a list of [filters, kernel, stride], such as [[64, 4, 2]]", lambda value: are_convolutions(value) and value
    ),
]
Categories = Annotated[
    Sequence[int],
    require(
        "a list of whole numbers of at least 2, such as [10]",
        # A size may be None here, because it may come from a data set without classes, which has a message of its own.
        lambda value: isinstance(value, list) and all(size is None or is_whole(size, 2) for size in value),
    ),
]

# Strings.
Name = Annotated[str, require("a string that is not empty", is_name)]
Names = Annotated[
    Sequence[str],
    require("a list of names, such as [mig_hist,sap_discrete]", lambda value: are_names(value) and value),
]
ExistingPath = Annotated[str, require("a file or folder that exists", exists)]
