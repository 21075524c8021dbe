"""Schedules: weights that change while a model trains, such as a beta that warms up or a capacity that grows.

A schedule is called with `batches`, the number of finished training batches as an integer tensor, and answers with a
floating-point tensor on the same device. No value is ever read back, so a step that uses one waits for nothing and can
be compiled. With t = batches and T the schedule's own `batches`, all are

    w(t) = (1 - r) start + r end,        r(0) = 0 and r(t) = 1 for t >= T,

so that the first batch is trained with `start` and every batch from the T-th on with `end`, both exactly.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from vaezoo.ranges import Count, NonNegative, Share


@dataclass(frozen=True)
class Constant:
    """w(t) = value."""

    value: NonNegative

    def __post_init__(self) -> None:
        finite(value=self.value)

    def __call__(self, batches: Tensor) -> Tensor:
        return torch.full_like(batches, self.value, dtype=torch.get_default_dtype())


@dataclass(frozen=True)
class Ramp:
    """From `start` to `end` in `batches` >= 1 batches; a subclass says how."""

    start: NonNegative
    end: NonNegative
    batches: Count

    def __post_init__(self) -> None:
        finite(start=self.start, end=self.end)
        at_least_one(batches=self.batches)

    def risen(self, batches: Tensor) -> Tensor:
        """r(t) in [0, 1] for t in [0, T]."""
        raise NotImplementedError

    def __call__(self, batches: Tensor) -> Tensor:
        r = self.risen(batches.clamp(max=self.batches))
        return (1 - r) * self.start + r * self.end


@dataclass(frozen=True)
class Linear(Ramp):
    """r(t) = t / T."""

    def risen(self, batches: Tensor) -> Tensor:
        return batches / self.batches


@dataclass(frozen=True)
class Cosine(Ramp):
    """r(t) = (1 - cos(pi t / T)) / 2: slow at both ends, fastest in the middle."""

    def risen(self, batches: Tensor) -> Tensor:
        return (1 - torch.cos(math.pi * batches / self.batches)) / 2


@dataclass(frozen=True)
class Cyclic(Ramp):
    """Repeated warm-ups (Fu et al., 2019): r(t) = min(1, (t mod P) / (P rise)) for t < T, and 1 after.

    Each `period` P >= 1 starts again from `start`, rises for its share `rise` in (0, 1] and stays at `end` after that.
    """

    period: Count
    rise: Share = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least_one(period=self.period)
        if not 0 < self.rise <= 1:
            raise ValueError(f"rise={self.rise}: must be a number above 0 and at most 1.")

    def risen(self, batches: Tensor) -> Tensor:
        r = (batches % self.period / (self.period * self.rise)).clamp(max=1)
        return torch.where(batches < self.batches, r, torch.ones_like(r))


@dataclass(frozen=True)
class Scaled:
    """`factor` times another schedule."""

    schedule: Callable[[Tensor], Tensor]
    factor: float

    def __call__(self, batches: Tensor) -> Tensor:
        return self.factor * self.schedule(batches)


def scheduled(**weights: Tensor | float) -> dict[str, Tensor]:
    """Of the present values of weights those that a schedule gave, as terms to log; plain numbers never change."""
    return {name: weight for name, weight in weights.items() if isinstance(weight, Tensor)}


def finite(**values: float) -> None:
    for name, value in values.items():
        if not isinstance(value, int | float) or not math.isfinite(value):
            raise ValueError(f"{name}={value}: must be a number.")


def at_least_one(**counts: int) -> None:
    for name, count in counts.items():
        if not isinstance(count, int) or count < 1:
            raise ValueError(f"{name}={count}: must be a whole number of at least 1.")
