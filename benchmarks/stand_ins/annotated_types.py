"""What vaezoo uses of the package annotated-types, for machines that do not have it (benchmarks/gpu_day.py)."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Ge:
    ge: Any


@dataclass(frozen=True)
class Gt:
    gt: Any


@dataclass(frozen=True)
class Le:
    le: Any


@dataclass(frozen=True)
class Lt:
    lt: Any


@dataclass(frozen=True)
class Interval:
    """An iterable of the bounds that are not None."""

    gt: Any = None
    ge: Any = None
    lt: Any = None
    le: Any = None

    def __iter__(self) -> Any:
        bounds = ((Gt, self.gt), (Ge, self.ge), (Lt, self.lt), (Le, self.le))
        return iter([kind(value) for kind, value in bounds if value is not None])
