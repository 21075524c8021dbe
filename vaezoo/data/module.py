"""The data module: splits with a seed of their own, and batches made by index on the device that trains."""

from collections.abc import Callable
from functools import partial
from typing import Any, Literal

import numpy as np
import torch
from pytorch_lightning import LightningDataModule
from torch import Tensor

from vaezoo import distributed
from vaezoo.config.conditions import Condition, Correlation
from vaezoo.data.batches import Batch, Chunks, RowBatches, TrainingStream, even_sizes
from vaezoo.data.images import ImageArrays
from vaezoo.data.shifts import shifted
from vaezoo.data.splits import split_rows
from vaezoo.data.store import ImageStore
from vaezoo.errors import UserError
from vaezoo.ranges import Count, Natural, Several


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
        batch_size: Count,
        split: Literal["random90", "all", "official"],
        val_images: Natural,
        split_seed: Natural,
        seed: Natural,
        split_by: Literal["image", "source"] = "image",
        where: Condition | None = None,
        correlate: Correlation | None = None,
        classes: Several | None = None,
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
        return self.batch(torch.cat([distributed.own_rows(batch) for batch in rows.chunk(self.batches_a_step())]))

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
        sizes = even_sizes(len(self.rows.val), self.batch_size * batches, distributed.process_count() * batches)
        return RowBatches(self.share, self.rows.val[: sum(sizes)], sizes) if sizes else []

    def test_dataloader(self) -> RowBatches:
        assert self.trainer is not None
        self.place(self.trainer.strategy.root_device)
        return self.batches(self.rows.test, self.batch_size)

    def transfer_batch_to_device(self, batch: Batch, device: torch.device, dataloader_idx: int) -> Batch:
        return batch  # made there already
