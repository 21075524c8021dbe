"""Draws from priors, the same for any number of processes."""

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from vaezoo.distributed import draw_rows

Prior = Literal["normal", "uniform"]  # N(0, 1) | U(-1, 1)


def draw(prior: Prior, count: int, dim: int, device: torch.device | str) -> Tensor:
    """(count, dim) numbers from N(0, 1) or U(-1, 1)."""
    if prior == "normal":
        return draw_rows(lambda n: torch.randn(n, dim, device=device), count)
    return 2 * draw_rows(lambda n: torch.rand(n, dim, device=device), count) - 1


def draw_one_hot(categories: Sequence[int], like: Tensor) -> list[Tensor]:
    """A uniform one-hot draw of each category for each row of `like`, each (B, values)."""
    return [F.one_hot(draw_integers(values, len(like), like.device), values).to(like) for values in categories]


def draw_integers(values: int, count: int, device: torch.device | str) -> Tensor:
    """(count,) of 0 ... values - 1, each as likely."""
    return draw_rows(lambda n: torch.randint(values, (n,), device=device), count)
