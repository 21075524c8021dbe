"""Draws from priors, which are the same for any number of processes."""

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from vaezoo.distributed import draw_rows

Prior = Literal["normal", "uniform"]  # N(0, 1) | U(-1, 1)


def draw(prior: Prior, count: int, dim: int, device: torch.device | str) -> Tensor:
    """Draw (count, dim) numbers from N(0, 1) or U(-1, 1)."""
    if prior == "normal":
        return draw_rows(lambda n: torch.randn(n, dim, device=device), count)
    return 2 * draw_rows(lambda n: torch.rand(n, dim, device=device), count) - 1


def draw_codes(prior: Prior, count: int, dim: int, categories: Sequence[int], device: torch.device | str) -> Tensor:
    """Draw `dim` continuous numbers and then each category as uniform one-hot numbers, (count, dim + sum of values)."""
    c = draw(prior, count, dim, device)
    s = [F.one_hot(draw_integers(values, count, c.device), values).to(c) for values in categories]
    return torch.cat([c, *s], dim=1)


def draw_integers(values: int, count: int, device: torch.device | str) -> Tensor:
    """Draw (count,) integers uniformly from 0 ... values - 1."""
    return draw_rows(lambda n: torch.randint(values, (n,), device=device), count)
