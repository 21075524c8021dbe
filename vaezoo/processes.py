"""One training step on several processes, such that nobody can tell from the result.

A global batch of B images on W processes is W shares of B/W rows, in order. Lightning averages gradients, which is
right for every term that is a mean over images. Two things remain, and both live here: terms that compare the images
of a batch with one another look at the whole of it (`gather`, `average`), and noise is drawn for the whole of it on
every process, from the same generator, each keeping its own rows (`rows`). Single processes pay nothing.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, distributed

_alone = False


def size() -> int:
    """How many processes train together."""
    together = not _alone and distributed.is_available() and distributed.is_initialized()
    return distributed.get_world_size() if together else 1


def rank() -> int:
    return distributed.get_rank() if size() > 1 else 0


@contextmanager
def alone() -> Iterator[None]:
    """What this process does inside is no common step: nothing is shared and nobody is waited for."""
    global _alone
    before, _alone = _alone, True
    try:
        yield
    finally:
        _alone = before


def agreed(value: float) -> float:
    """What the first process says: decisions that depend on a clock or a signal must be the same everywhere."""
    if size() == 1:
        return value
    device = "cuda" if distributed.get_backend() == "nccl" else "cpu"
    said = torch.tensor(float(value), device=device)
    distributed.broadcast(said, 0)
    return said.item()


def leave() -> None:
    """The common part is over."""
    if size() > 1:
        distributed.destroy_process_group()


class Gather(torch.autograd.Function):
    """All shares, in order. Every process goes on to the same value, so the gradients of all of them are summed: with
    Lightning's average over processes this is the gradient of one process. A gather that keeps only its own gradient,
    as is common, would give 1/W of it."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        shares = [torch.empty_like(x, memory_format=torch.contiguous_format) for _ in range(size())]
        distributed.all_gather(shares, x.contiguous())
        return torch.cat(shares)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        gradient = gradient.contiguous()
        distributed.all_reduce(gradient)
        return own(gradient)


def gather(x: Tensor) -> Tensor:
    """The rows of all processes, (W B, ...), of this process' (B, ...); differentiable."""
    if size() == 1:
        return x
    gathered: Tensor = Gather.apply(x)
    return gathered


def average(x: Tensor) -> Tensor:
    """The mean over processes of equal tensors; differentiable. Take it before anything that is not linear."""
    return x if size() == 1 else gather(x[None]).mean(0)


def own(x: Tensor) -> Tensor:
    """The rows of this process of (W B, ...)."""
    return x.chunk(size())[rank()]


def rows(draw: Callable[[int], Tensor], count: int) -> Tensor:
    """`count` rows of noise for this process; `draw(n)` makes n rows from torch's current generator."""
    return own(draw(count * size()))


def normal_like(x: Tensor) -> Tensor:
    """N(0, 1) in the shape of x, the first dimension the rows."""
    return rows(lambda n: torch.randn(n, *x.shape[1:], dtype=x.dtype, device=x.device), len(x))


def exponential_like(x: Tensor) -> Tensor:
    """The exponential distribution of mean 1 in the shape of x, the first dimension the rows."""
    return rows(lambda n: torch.empty(n, *x.shape[1:], dtype=x.dtype, device=x.device).exponential_(), len(x))


def shuffled(x: Tensor) -> Tensor:
    """The rows of the whole batch in random order, this process' share of them; without a gradient."""
    everything = gather(x.detach())
    return own(everything[torch.rand(len(everything), device=x.device).argsort()])  # torch.compile fails at randperm


def dropout(x: Tensor, p: float, training: bool) -> Tensor:
    """With a mask that does not depend on how many processes share the rows."""
    if not training or p == 0 or size() == 1:
        return F.dropout(x, p, training)
    return x * rows(lambda n: F.dropout(torch.ones(n, *x.shape[1:], dtype=x.dtype, device=x.device), p), len(x))
