"""The data module: splits with a seed of their own, and batches made by index on the device that trains."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from pytorch_lightning import LightningDataModule
from torch import Tensor
from torch.utils.data import DataLoader

from vaezoo.config.conditions import Condition, Correlation
from vaezoo.data.batches import Batch, EpochSampler, RowBatches, RowDataset
from vaezoo.data.images import ImageArrays
from vaezoo.data.pairs import Pairs
from vaezoo.data.shifts import select_rows
from vaezoo.data.splits import split_rows
from vaezoo.data.store import ImageStore
from vaezoo.errors import UserError
from vaezoo.ranges import Count, Natural, Several


class ImageDataModule(LightningDataModule):
    """Batches of any source, residing on the accelerator where they fit.

    `name` is the data set in titles and in the names of files. `batch_size` images are in a batch, all processes taken
    together. `shape` is what the configuration promised to the networks; a source that differs is refused. `seed`
    orders the training batches, `split_seed` alone draws the split; `split_by` "source" keeps images of one group, such
    as copies of a drawing, on one side of it. `where` and `correlate` are factor shifts of the training part
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
        if Path(name).name != name:  # Files of features are named by it.
            raise UserError(f"dataset.name={name}: must be a name without /.")
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

    def setup(self, stage: str | None = None) -> None:
        """Load the source and draw the split, unless that is done. Raises UserError where the options contradict it."""
        if hasattr(self, "source"):
            return
        source = self.load()
        if source.shape != self.shape:
            raise UserError(f"dataset={self.name} holds images of {source.shape}, but dataset.shape={self.shape}.")
        classes = None if source.labels is None else int(source.labels.max()) + 1
        if self.classes is not None and classes != self.classes:
            raise UserError(f"dataset={self.name} has {classes} classes, but dataset.classes={self.classes}.")
        if self.split == "official" and source.test_images is None:
            raise UserError(f"dataset.split=official: dataset={self.name} has no published test part; random90 or all.")
        if self.split_by == "source" and source.groups is None:
            raise UserError(f"dataset.split_by=source: dataset={self.name} does not say which images have one source.")
        groups = source.groups if self.split_by == "source" else None
        mask = select_rows(source.factors, source.factor_names, self.where, self.correlate, self.split_seed)
        test_images = source.test_images
        self.rows = split_rows(len(source), self.split, self.val_images, self.split_seed, groups, test_images, mask)
        self.source = source
        if groups is not None and not len(self.rows.test):
            raise UserError(f"dataset.split_by=source: a tenth of dataset={self.name} is less than one source.")

    def place(self, device: torch.device) -> None:
        """Put the images where batches are made: on the device, if `residence` and its memory allow it."""
        self.setup()
        if self.store is None or self.store.device != device:
            self.store = ImageStore(self.source, device, self.residence)
            labels = self.source.labels
            self.labels = (
                None if labels is None else torch.from_numpy(labels.astype(np.int64)).to(self.store.index_device)
            )

    def batch(self, rows: Tensor) -> Batch:
        """Return the images and labels of these rows; `place` comes first."""
        assert self.store is not None, "place() comes first"
        labels = None if self.labels is None else self.store.take(self.labels, rows)
        return Batch(self.store[rows], labels, rows)

    def batches(self, rows: np.ndarray, batch_size: int) -> RowBatches:
        """Return the images of these rows once, in order, in batches; evaluation reads through this."""
        return RowBatches(self.batch, rows, batch_size)

    def pairs(self, pool: np.ndarray, changed: int | None) -> Pairs:
        """Return what draws partners from the rows `pool`, in which `changed` factors may differ; None: random."""
        self.setup()
        return Pairs(str(self.name), self.source.factors, pool, changed)

    def mean_image(self) -> Tensor:
        """Return the mean of the training images, (C, H, W)."""
        sums = [batch.images.sum(0) for batch in self.batches(self.rows.train, 1024)]
        return torch.stack(sums).sum(0) / len(self.rows.train)

    def train_dataloader(self) -> DataLoader[Batch]:
        """Return the training images, shuffled anew in each epoch by the seed, without a last short batch.

        Raises UserError for a model that sees pairs, because a DataLoader does not make them.
        """
        if self.trainer is not None and getattr(self.trainer.lightning_module, "pairs", False):
            raise UserError("Pairs of images are made by vaezoo.train; a plain Trainer needs a DataLoader of yours.")
        return self.loader(self.rows.train, sampler=EpochSampler(len(self.rows.train), self.seed), drop_last=True)

    def val_dataloader(self) -> DataLoader[Batch]:
        return self.loader(self.rows.val)

    def test_dataloader(self) -> DataLoader[Batch]:
        return self.loader(self.rows.test)

    def loader(self, rows: np.ndarray, **options: Any) -> DataLoader[Batch]:
        """Return batches of these rows, made on the trainer's device, or on the CPU outside of a trainer."""
        if self.trainer is not None:
            self.place(self.trainer.strategy.root_device)
        elif self.store is None:
            self.place(torch.device("cpu"))
        return DataLoader(RowDataset(self.batch, rows), self.batch_size, collate_fn=return_unchanged, **options)


def return_unchanged(batch: Any) -> Any:
    """Return the batch: RowDataset has made a whole one, so a DataLoader has nothing to put together."""
    return batch
