"""Schedules: weights that change during training, such as a beta that warms up or a capacity that grows.

A schedule is called with `batches`, the number of finished training batches as an integer tensor, and returns a
floating-point tensor on the same device. No value is copied to the CPU, so a training step does not wait for it and can
be compiled. With t = batches and T the schedule's own `batches`, a ramp is

    w(t) = (1 - r) start + r end,        r(0) = 0 and r(t) = 1 for t >= T,

so that the first batch is trained with exactly `start`, and every batch from the T-th on with exactly `end`.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from vaezoo.ranges import Count, NonNegative, Share


@dataclass(frozen=True)
class Constant:
    """The schedule w(t) = value."""

    value: NonNegative

    def __post_init__(self) -> None:
        check_numbers(value=self.value)

    def __call__(self, batches: Tensor) -> Tensor:
        return torch.full_like(batches, self.value, dtype=torch.get_default_dtype())


@dataclass(frozen=True)
class Ramp:
    """A schedule from `start` to `end` in `batches` >= 1 batches, whose shape a subclass defines by `fraction`."""

    start: NonNegative
    end: NonNegative
    batches: Count

    def __post_init__(self) -> None:
        check_numbers(start=self.start, end=self.end)
        check_counts(batches=self.batches)

    def fraction(self, batches: Tensor) -> Tensor:
        """Return r(t) in [0, 1] for t in [0, T]."""
        raise NotImplementedError

    def __call__(self, batches: Tensor) -> Tensor:
        r = self.fraction(batches.clamp(max=self.batches))
        return (1 - r) * self.start + r * self.end


@dataclass(frozen=True)
class Linear(Ramp):
    """The straight ramp r(t) = t / T."""

    def fraction(self, batches: Tensor) -> Tensor:
        return batches / self.batches


@dataclass(frozen=True)
class Cosine(Ramp):
    """The ramp r(t) = (1 - cos(pi t / T)) / 2, slow at both ends and fastest in the middle."""

    def fraction(self, batches: Tensor) -> Tensor:
        return (1 - torch.cos(math.pi * batches / self.batches)) / 2


@dataclass(frozen=True)
class Cyclic(Ramp):
    """Repeated warm-ups (Fu et al., 2019): r(t) = min(1, (t mod P) / (P rise)) for t < T, and 1 after that.

    Each `period` P >= 1 begins at `start`, rises during its share `rise` in (0, 1], and then stays at `end`.
    """

    period: Count
    rise: Share = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        check_counts(period=self.period)
        if not 0 < self.rise <= 1:
            raise ValueError(f"rise={self.rise}: must be a number above 0 and at most 1.")

    def fraction(self, batches: Tensor) -> Tensor:
        r = (batches % self.period / (self.period * self.rise)).clamp(max=1)
        return torch.where(batches < self.batches, r, torch.ones_like(r))


@dataclass(frozen=True)
class Scaled:
    """The product of `factor` and another schedule."""

    schedule: Callable[[Tensor], Tensor]
    factor: float

    def __call__(self, batches: Tensor) -> Tensor:
        return self.factor * self.schedule(batches)


def scheduled(**weights: Tensor | float) -> dict[str, Tensor]:
    """Return the weights that come from a schedule, which are tensors, as terms to log; numbers never change."""
    return {name: weight for name, weight in weights.items() if isinstance(weight, Tensor)}


def check_numbers(**values: float) -> None:
    """Raise ValueError for a value that is not a finite number."""
    for name, value in values.items():
        if not isinstance(value, int | float) or not math.isfinite(value):
            raise ValueError(f"{name}={value}: must be a number.")


def check_counts(**counts: int) -> None:
    """Raise ValueError for a count that is not a whole number of at least 1."""
    for name, count in counts.items():
        if not isinstance(count, int) or count < 1:
            raise ValueError(f"{name}={count}: must be a whole number of at least 1.")
