"""Tables of factors and codes whose scores are known."""

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest

SIZES = (3, 4, 5, 8)


K = len(SIZES)


def product(sizes: tuple[int, ...]) -> np.ndarray:
    """Every combination of levels once, the last factor fastest."""
    return np.stack(np.unravel_index(np.arange(np.prod(sizes)), sizes), axis=1)


FACTORS = product(SIZES)


LINEAR = (FACTORS - FACTORS.mean(axis=0)) / FACTORS.std(axis=0)  # one standardised code a factor


def rotation(d: int, seed: int = 4) -> np.ndarray:
    return np.linalg.qr(np.random.default_rng(seed).normal(size=(d, d)))[0]


def noise(d: int, rows: int = len(FACTORS)) -> np.ndarray:
    return np.random.default_rng(7).normal(size=(rows, d))


def run(
    metric: Callable[..., dict[str, Any]],
    codes: np.ndarray,
    factors: np.ndarray = FACTORS,
    seed: int = 0,
    sigma: float = 0.05,
    dtype: type = np.float32,
) -> dict[str, Any]:
    """Hands a metric what its parameters name, in arrays that it cannot change."""
    have = {"codes": codes.astype(dtype), "factors": factors.copy()}
    have["means"] = have["codes"]
    have["logvars"] = np.full_like(have["codes"], 2 * np.log(sigma))
    have |= {f"test_{name}": array for name, array in have.items()}
    for array in have.values():
        array.setflags(write=False)
    asked = inspect.signature(metric).parameters
    if "rng" in asked:
        have["rng"] = np.random.default_rng(seed)
    return metric(**{name: value for name, value in have.items() if name in asked})


close = partial(pytest.approx, abs=1e-6)


def about(value: float, within: float) -> Any:
    return pytest.approx(value, abs=within)


class Between:
    """Equal to what lies strictly between two numbers."""

    def __init__(self, low: float, high: float) -> None:
        self.low, self.high = low, high

    def __eq__(self, other: object) -> bool:
        return isinstance(other, float) and self.low < other < self.high

    def __repr__(self) -> str:
        return f"between {self.low} and {self.high}"


SMOOTH = LINEAR @ (np.eye(K) + 0.4 * rotation(K)) + 0.3 * noise(K)  # partly disentangled, without ties


def thinned() -> np.ndarray:
    """A table that is no product: a level of the first factor is rare, one of the third never occurs."""
    factors = FACTORS[(FACTORS[:, 0] != 1) | (np.arange(len(FACTORS)) % 7 == 0)]
    return factors[factors[:, 2] != 1]
