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


def process_count() -> int:
    """How many processes train together."""
    together = not _alone and distributed.is_available() and distributed.is_initialized()
    return distributed.get_world_size() if together else 1


def process_rank() -> int:
    return distributed.get_rank() if process_count() > 1 else 0


@contextmanager
def alone() -> Iterator[None]:
    """What this process does inside is no common step: nothing is shared and nobody is waited for."""
    global _alone
    before, _alone = _alone, True
    try:
        yield
    finally:
        _alone = before


def agree(value: float) -> float:
    """What the first process says: decisions that depend on a clock or a signal must be the same everywhere."""
    if process_count() == 1:
        return value
    device = "cuda" if distributed.get_backend() == "nccl" else "cpu"
    said = torch.tensor(float(value), device=device)
    distributed.broadcast(said, 0)
    return said.item()


def leave_group() -> None:
    """The common part is over."""
    if process_count() > 1:
        distributed.destroy_process_group()


class Gather(torch.autograd.Function):
    """All shares, in order. Every process goes on to the same value, so the gradients of all of them are summed: with
    Lightning's average over processes this is the gradient of one process. A gather that keeps only its own gradient,
    as is common, would give 1/W of it."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        shares = [torch.empty_like(x, memory_format=torch.contiguous_format) for _ in range(process_count())]
        distributed.all_gather(shares, x.contiguous())
        return torch.cat(shares)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        gradient = gradient.contiguous()
        distributed.all_reduce(gradient)
        return own_rows(gradient)


def gather(x: Tensor) -> Tensor:
    """The rows of all processes, (W B, ...), of this process' (B, ...); differentiable."""
    if process_count() == 1:
        return x
    gathered: Tensor = Gather.apply(x)
    return gathered


def average(x: Tensor) -> Tensor:
    """The mean over processes of equal tensors; differentiable. Take it before anything that is not linear."""
    return x if process_count() == 1 else gather(x[None]).mean(0)


def own_rows(x: Tensor) -> Tensor:
    """The rows of this process of (W B, ...)."""
    return x.chunk(process_count())[process_rank()]


def draw_rows(draw: Callable[[int], Tensor], count: int) -> Tensor:
    """`count` rows of noise for this process; `draw(n)` makes n rows from torch's current generator."""
    return own_rows(draw(count * process_count()))


def normal_like(x: Tensor) -> Tensor:
    """N(0, 1) in the shape of x, the first dimension the rows."""
    return draw_rows(lambda n: torch.randn(n, *x.shape[1:], dtype=x.dtype, device=x.device), len(x))


def exponential_like(x: Tensor) -> Tensor:
    """The exponential distribution of mean 1 in the shape of x, the first dimension the rows."""
    return draw_rows(lambda n: torch.empty(n, *x.shape[1:], dtype=x.dtype, device=x.device).exponential_(), len(x))


def shuffled(x: Tensor) -> Tensor:
    """The rows of the whole batch in random order, this process' share of them; without a gradient."""
    everything = gather(x.detach())
    return own_rows(
        everything[torch.rand(len(everything), device=x.device).argsort()]
    )  # torch.compile fails at randperm


def dropout(x: Tensor, p: float, training: bool) -> Tensor:
    """With a mask that does not depend on how many processes share the rows."""
    if not training or p == 0 or process_count() == 1:
        return F.dropout(x, p, training)
    return x * draw_rows(lambda n: F.dropout(torch.ones(n, *x.shape[1:], dtype=x.dtype, device=x.device), p), len(x))
