"""The data module: splits with a seed of their own, and batches made by index on the device that trains."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import pairwise
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from pytorch_lightning import LightningDataModule
from torch import Tensor

from vaezoo import processes
from vaezoo.data.arrays import ImageArrays
from vaezoo.data.shifts import shifted
from vaezoo.data.store import ImageStore
from vaezoo.errors import UserError
from vaezoo.seeds import derive


class Batch(NamedTuple):
    images: Tensor  # (B, C, H, W) float32 in [0, 1]
    labels: Tensor | None  # (B,) int64
    rows: Tensor  # (B,) int64, which images of the data set


class Split(NamedTuple):
    """Rows of each part."""

    train: np.ndarray
    val: np.ndarray  # in random order: a batch of neighbours on a factor grid would distort batch statistics
    test: np.ndarray


def split_rows(
    count: int,
    split: str,
    val_images: int,
    seed: int,
    groups: np.ndarray | None = None,
    test_images: int | None = None,
    kept: np.ndarray | None = None,
) -> Split:
    """`all`: every row trains, validates and tests. `random90`: a random tenth tests, the rest trains. `official`: the
    last `test_images` test.

    `val_images` random rows are taken from the training part to watch training with. The split depends
    on `seed` alone, never on the seed of a run. Images of one of the `groups` (count,) come into the same part: test
    and validation then end before the group that would not fit whole. Of the training part, only the rows `kept`
    (count,) remain; what tests does not depend on them.
    """
    order = np.random.default_rng(derive(seed, "split")).permutation(count)
    left = np.ones(count, dtype=bool) if kept is None else kept[order]

    def enough(training: int) -> None:
        if val_images >= training:
            of = f"{count}" if kept is None else f"the {training} that dataset.where and dataset.correlate leave"
            raise UserError(f"dataset.val_images={val_images} leaves no training images of {of}.")

    if split == "official":
        assert test_images is not None
        left &= order < count - test_images
        enough(left.sum())
        val, train = np.split(order[left], [val_images])
        return Split(np.sort(train), val, np.arange(count - test_images, count))
    if split == "all":
        enough(left.sum())
        return Split(np.sort(order[left]), order[left][:val_images], np.arange(count))
    turn = np.arange(count)  # when the image, or the first of its group, comes in `order`
    if groups is not None:
        _, first, group = np.unique(groups[order], return_index=True, return_inverse=True)
        turn = first[group]
    end_of_test = np.sort(turn)[count // 10]
    left |= turn < end_of_test
    turns = np.sort(turn[left])
    enough(len(turns) - count // 10)
    part = np.searchsorted([end_of_test, turns[count // 10 + val_images]], turn, side="right")
    test, val, train = (order[left & (part == i)] for i in range(3))
    return Split(np.sort(train), val, np.sort(test))


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
    """Instead of batches, the rows of several at once; an engine (vaezoo.engines) makes the batches and their steps."""

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


class ImageDataModule(LightningDataModule):
    """Batches of any source, residing on the accelerator where they fit.

    `shape` is what the configuration promised to the networks; a source that differs is refused. `seed` orders the
    training batches, `split_seed` alone draws the split; `split_by` "source" keeps images of one group, such as copies
    of a drawing, on one side of it. `where` and `correlate` are factor shifts of the training part
    (vaezoo.data.shifts). `classes` is how many labels conditional models may expect. Further options, such as `path`,
    go to the source.
    """

    def __init__(
        self,
        *,
        name: str,
        shape: tuple[int, int, int],
        source: Callable[..., ImageArrays],
        batch_size: int,
        split: Literal["all", "random90", "official"],
        val_images: int,
        split_seed: int,
        seed: int,
        split_by: Literal["image", "source"] = "image",
        where: str | None = None,
        correlate: Mapping[str, Any] | None = None,
        classes: int | None = None,
        residence: Literal["auto", "device", "host"] = "auto",
        **source_options: Any,
    ) -> None:
        super().__init__()
        self.name = name
        self.shape = tuple(shape)
        self.load = partial(source, **source_options)
        self.batch_size = batch_size
        self.split = split
        self.split_by = split_by
        self.where, self.correlate = where, correlate
        self.val_images = val_images
        self.split_seed = split_seed
        self.classes = classes
        self.seed = seed
        self.residence = residence
        self.store: ImageStore | None = None
        self.chunk_length: Callable[[int], int] | None = None

    def setup(self, stage: str | None = None) -> None:
        if hasattr(self, "source"):
            return
        source = self.load()
        if source.shape != self.shape:
            raise UserError(f"dataset={self.name} holds images of {source.shape}, but dataset.shape={self.shape}.")
        found = None if source.labels is None else int(source.labels.max()) + 1
        if self.classes is not None and found != self.classes:
            raise UserError(f"dataset={self.name} has {found} classes, but dataset.classes={self.classes}.")
        if self.split == "official" and source.test_images is None:
            raise UserError(f"dataset.split=official: dataset={self.name} has no published test part; random90 or all.")
        if self.split_by == "source" and source.groups is None:
            raise UserError(f"dataset.split_by=source: dataset={self.name} does not say which images have one source.")
        groups = source.groups if self.split_by == "source" else None
        kept = shifted(source.factors, source.factor_names, self.where, self.correlate, self.split_seed)
        test_images = source.test_images
        self.rows = split_rows(len(source), self.split, self.val_images, self.split_seed, groups, test_images, kept)
        self.source = source
        if groups is not None and not len(self.rows.test):
            raise UserError(f"dataset.split_by=source: a tenth of dataset={self.name} is less than one source.")

    def place(self, device: torch.device) -> None:
        """Put the images where batches are made; `trainer.fit` does it by itself."""
        self.setup()
        if self.store is None or self.store.device != device:
            self.store = ImageStore(self.source, device, self.residence)
            labels = self.source.labels
            self.labels = None if labels is None else torch.from_numpy(labels.astype(np.int64)).to(device)

    def batch(self, rows: Tensor) -> Batch:
        assert self.store is not None, "place() comes first"
        labels = None if self.labels is None else self.labels[rows.to(self.labels.device)]
        return Batch(self.store[rows], labels, rows)

    def batches(self, rows: np.ndarray, batch_size: int) -> RowBatches:
        """The given rows once, in order; evaluation reads through this."""
        return RowBatches(self.batch, rows, batch_size)

    def mean_image(self) -> Tensor:
        """The mean of the training images, (C, H, W)."""
        assert self.trainer is not None
        self.place(self.trainer.strategy.root_device)
        sums = [batch.images.sum(0) for batch in self.batches(self.rows.train, 1024)]
        return torch.stack(sums).sum(0) / len(self.rows.train)

    def batches_a_step(self) -> int:
        """Some models judge themselves on a second, independent batch."""
        assert self.trainer is not None
        return getattr(self.trainer.lightning_module, "batches_a_step", 1)

    def share(self, rows: Tensor) -> Batch:
        """What this process sees of a step: an equal part of each of its batches."""
        return self.batch(torch.cat([processes.own(batch) for batch in rows.chunk(self.batches_a_step())]))

    def train_dataloader(self) -> TrainingStream | Chunks:
        """Batches, or chunks of them where somebody has said how long these are to be (`chunk_length`)."""
        stream = self.stream()
        return stream if self.chunk_length is None else Chunks(stream, self.chunk_length)

    def stream(self) -> TrainingStream:
        assert self.trainer is not None
        self.place(self.trainer.strategy.root_device)
        assert self.store is not None
        model: Any = self.trainer.lightning_module
        return TrainingStream(
            self.share,
            self.rows.train,
            self.batch_size * self.batches_a_step(),
            self.seed,
            start=lambda: int(model.batches),
            device=self.store.index_device,
        )

    def val_dataloader(self) -> RowBatches | list[RowBatches]:
        assert self.trainer is not None
        self.place(self.trainer.strategy.root_device)
        batches = self.batches_a_step()
        sizes = even_sizes(len(self.rows.val), self.batch_size * batches, processes.size() * batches)
        return RowBatches(self.share, self.rows.val[: sum(sizes)], sizes) if sizes else []

    def test_dataloader(self) -> RowBatches:
        assert self.trainer is not None
        self.place(self.trainer.strategy.root_device)
        return self.batches(self.rows.test, self.batch_size)

    def transfer_batch_to_device(self, batch: Batch, device: torch.device, dataloader_idx: int) -> Batch:
        return batch  # made there already
