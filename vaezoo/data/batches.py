"""Batches by index: the endless training stream, and rows in order for evaluation."""

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from vaezoo.errors import UserError
from vaezoo.seeds import derive


class Batch(NamedTuple):
    images: Tensor  # (B, C, H, W) float32 in [0, 1]
    labels: Tensor | None  # (B,) int64
    rows: Tensor  # (B,) int64, which images of the data set


class TrainingStream:
    """Endless training batches of one size, as a pure function of (seed, batch number).

    Epoch e is a permutation drawn from (seed, e), without its last short batch. Iteration begins at batch `start()`,
    which is asked when it begins: an interrupted run goes on with the batch that it would have seen.
    """

    def __init__(
        self,
        get: Callable[[Tensor], Batch],
        rows: np.ndarray,
        batch_size: int,
        seed: int,
        start: Callable[[], int],
        device: torch.device | None = None,
    ) -> None:
        if len(rows) < batch_size:
            raise UserError(f"dataset.batch_size={batch_size} is larger than the {len(rows)} training images.")
        self.get = get
        self.rows = torch.from_numpy(rows)
        self.batch_size = batch_size
        self.batches_per_epoch = len(rows) // batch_size
        self.seed = seed
        self.start = start
        self.device = device

    def epoch(self, number: int) -> Tensor:
        """Shuffled rows, drawn on the CPU so that they are the same everywhere, moved once."""
        generator = torch.Generator().manual_seed(derive(self.seed, "order", number))
        return self.rows[torch.randperm(len(self.rows), generator=generator)].to(self.device)

    def rows_of(self, number: int) -> Tensor:
        """Which images make that batch."""
        epoch, batch = divmod(number, self.batches_per_epoch)
        return self.epoch(epoch)[batch * self.batch_size : (batch + 1) * self.batch_size]

    def chunks(self, length: Callable[[int], int]) -> Iterator[Tensor]:
        """Rows of up to `length(number)` batches from that number on, (k, B), never across the end of an epoch."""
        number = self.start()
        epoch, order = -1, self.rows
        while True:
            of, batch = divmod(number, self.batches_per_epoch)
            if of != epoch:
                epoch, order = of, self.epoch(of)
            count = min(length(number), self.batches_per_epoch - batch)
            yield order[batch * self.batch_size : (batch + count) * self.batch_size].view(count, self.batch_size)
            number += count

    def __iter__(self) -> Iterator[Batch]:
        return (self.get(rows) for chunk in self.chunks(lambda _: 1) for rows in chunk)


class Chunks:
    """The rows of several batches at once; an engine (vaezoo.training.engines) makes the batches and their steps."""

    def __init__(self, stream: TrainingStream, length: Callable[[int], int]) -> None:
        self.stream = stream
        self.length = length

    def __iter__(self) -> Iterator[Tensor]:
        return self.stream.chunks(self.length)


class RowBatches:
    """The given rows once, in order, in batches of a size, the last as short as it comes, or of the given sizes."""

    def __init__(self, get: Callable[[Tensor], Batch], rows: np.ndarray, sizes: int | list[int]) -> None:
        self.get = get
        self.parts = torch.from_numpy(rows).split(sizes)

    def __len__(self) -> int:
        return len(self.parts)

    def __iter__(self) -> Iterator[Batch]:
        return map(self.get, self.parts)


def even_sizes(count: int, size: int, unit: int) -> list[int]:
    """Batches of about `size`, all multiples of `unit`, that hold the `count` images between them, each once.

    A last short batch would weigh batch statistics by those of another loss; these differ by one unit at most.
    """
    parts = max(1, round(count / size))
    ends = [count // unit * part // parts * unit for part in range(parts + 1)]
    return [end - begin for begin, end in pairwise(ends) if end > begin]
