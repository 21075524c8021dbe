"""Training steps on several processes that give the same result as on one process.

A batch of B images on W processes is divided, in order, into W shares of B/W rows. Lightning averages the gradients of
the processes, which is right for every term that is a mean over images. Two other things are done here. Terms that
compare the images of a batch use the whole batch (`gather`, `average`). Noise is drawn for the whole batch on every
process from the same generator, and each process takes its own rows (`draw_rows`). A single process has no extra cost.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, distributed

_alone = False


def process_count() -> int:
    """Return the number of processes that share the training step, 1 inside `work_alone`."""
    together = not _alone and distributed.is_available() and distributed.is_initialized()
    return distributed.get_world_size() if together else 1


def process_rank() -> int:
    """Return the number of this process among those that share the training step, from 0."""
    return distributed.get_rank() if process_count() > 1 else 0


@contextmanager
def work_alone() -> Iterator[None]:
    """Run the body as if this process were the only one: it shares nothing and does not wait for others."""
    global _alone
    before, _alone = _alone, True
    try:
        yield
    finally:
        _alone = before


def agree(value: float) -> float:
    """Return the value of the first process, so that a decision by a clock or a signal is the same in all processes."""
    if process_count() == 1:
        return value
    device = "cuda" if distributed.get_backend() == "nccl" else "cpu"
    shared = torch.tensor(float(value), device=device)
    distributed.broadcast(shared, 0)
    return shared.item()


def leave_group() -> None:
    """Leave the group of processes after the training that they share."""
    if process_count() > 1:
        distributed.destroy_process_group()


class Gather(torch.autograd.Function):
    """The rows of all processes, in order, with a gradient.

    Every process computes the same loss from them, so the gradients of all processes are summed. Together with
    Lightning's average over processes this gives the gradient of a single process.
    """

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
    """Return the rows (W B, ...) of all W processes from those of this process (B, ...); differentiable."""
    if process_count() == 1:
        return x
    gathered: Tensor = Gather.apply(x)
    return gathered


def average(x: Tensor) -> Tensor:
    """Return the mean over processes of a tensor of equal shape; differentiable.

    A mean over images must be averaged before any function that is not linear.
    """
    return x if process_count() == 1 else gather(x[None]).mean(0)


def own_rows(x: Tensor) -> Tensor:
    """Return the rows (B, ...) of this process from those of all W processes (W B, ...)."""
    return x.chunk(process_count())[process_rank()]


def draw_rows(draw: Callable[[int], Tensor], count: int) -> Tensor:
    """Draw `count` rows of noise for this process; `draw(n)` returns n rows from torch's current generator."""
    return own_rows(draw(count * process_count()))


def normal_like(x: Tensor) -> Tensor:
    """Draw from N(0, 1) in the shape of x (B, ...)."""
    return draw_rows(lambda n: torch.randn(n, *x.shape[1:], dtype=x.dtype, device=x.device), len(x))


def exponential_like(x: Tensor) -> Tensor:
    """Draw from the exponential distribution with mean 1 in the shape of x (B, ...)."""
    return draw_rows(lambda n: torch.empty(n, *x.shape[1:], dtype=x.dtype, device=x.device).exponential_(), len(x))


def shuffle_rows(x: Tensor) -> Tensor:
    """Shuffle the rows of the whole batch and return the share of this process (B, ...), without a gradient."""
    rows = gather(x.detach())
    order = torch.rand(len(rows), device=x.device).argsort()  # torch.compile fails at randperm.
    return own_rows(rows[order])


def dropout(x: Tensor, p: float, training: bool) -> Tensor:
    """Apply dropout to x (B, ...) with a mask that does not depend on the number of processes."""
    if not training or p == 0 or process_count() == 1:
        return F.dropout(x, p, training)
    return x * draw_rows(lambda n: F.dropout(torch.ones(n, *x.shape[1:], dtype=x.dtype, device=x.device), p), len(x))
