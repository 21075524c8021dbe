"""Tensors in double precision."""

import torch


def double(rows) -> torch.Tensor:
    return torch.tensor(rows, dtype=torch.float64)


def random_double(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
