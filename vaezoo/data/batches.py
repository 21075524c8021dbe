"""Batches by index: which rows of the data set make which batch, and the images and labels of rows."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from vaezoo.data.pairs import Pairs
from vaezoo.errors import UserError
from vaezoo.seeds import derive


class Batch(NamedTuple):
    images: Tensor  # (B, C, H, W) float32 in [0, 1]
    labels: Tensor | None  # (B,) int64
    rows: Tensor  # (B,) int64, which images of the data set


def shuffle(count: int, seed: int, epoch: int) -> Tensor:
    """Return the permutation of `count` rows in an epoch. It is drawn on the CPU, so that it is the same everywhere."""
    return torch.randperm(count, generator=torch.Generator().manual_seed(derive(seed, "order", epoch)))


class TrainingOrder:
    """The rows of each training batch, as a pure function of (seed, batch number).

    An epoch is a permutation of all rows without its last short batch. A run that goes on with batch n therefore sees
    the images that an unbroken run sees. With `pairs`, the second half of each batch are partners of the first.
    """

    def __init__(
        self,
        rows: np.ndarray,
        batch_size: int,
        seed: int,
        device: torch.device | None = None,
        pairs: Pairs | None = None,
    ) -> None:
        if len(rows) < batch_size:
            raise UserError(
                f"dataset.batch_size={batch_size} is larger than the {len(rows)} training images. Use a smaller batch,"
                " or a smaller dataset.val_images, which are taken from the training images."
            )
        self.rows = torch.from_numpy(rows)
        self.batch_size = batch_size
        self.seed = seed
        self.pairs = pairs
        self.device = device  # where the rows are used, because a transfer for each batch would cost more
        self.batches_per_epoch = len(rows) // batch_size
        self.epoch = -1

    def batches(self, number: int, count: int) -> Tensor:
        """Return the rows of batch `number` and those after it, (k, B): `count` batches, or less at an epoch's end."""
        epoch, first = divmod(number, self.batches_per_epoch)
        if epoch != self.epoch:
            self.epoch = epoch
            order = self.rows[shuffle(len(self.rows), self.seed, epoch)][: self.batches_per_epoch * self.batch_size]
            if self.pairs is not None:
                order = self.pairs.complete(order, self.batch_size, derive(self.seed, "pairs", epoch))
            self.order = order.to(self.device)
        last = min(first + count, self.batches_per_epoch)
        return self.order[first * self.batch_size : last * self.batch_size].view(-1, self.batch_size)


class EpochSampler(Sampler[int]):
    """The permutation of an epoch, for a torch DataLoader; Lightning calls `set_epoch` before each."""

    def __init__(self, count: int, seed: int) -> None:
        self.count, self.seed, self.epoch = count, seed, 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[int]:
        return iter(shuffle(self.count, self.seed, self.epoch).tolist())


class RowDataset(Dataset[Batch]):
    """The images of some rows for a torch DataLoader, which asks for those of a whole batch at once."""

    def __init__(self, get: Callable[[Tensor], Batch], rows: np.ndarray) -> None:
        self.get = get
        self.rows = torch.from_numpy(rows)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Batch:
        images, labels, rows = self.get(self.rows[index : index + 1])
        return Batch(images[0], None if labels is None else labels[0], rows[0])

    def __getitems__(self, indices: list[int]) -> Batch:
        return self.get(self.rows[torch.tensor(indices)])


class RowBatches:
    """The images of some rows once, in order, in batches of one size, the last perhaps shorter, or of given sizes."""

    def __init__(self, get: Callable[[Tensor], Batch], rows: np.ndarray, sizes: int | list[int]) -> None:
        self.get = get
        self.parts = torch.from_numpy(rows).split(sizes)

    def __len__(self) -> int:
        return len(self.parts)

    def __iter__(self) -> Iterator[Batch]:
        return map(self.get, self.parts)
