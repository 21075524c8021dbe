"""Watches what a model makes while it learns: pictures over time, and whether its samples still differ."""

import logging
import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure
from pytorch_lightning import Callback, Trainer
from torch import Tensor

from vaezoo.data.batches import Batch
from vaezoo.data.module import ImageDataModule
from vaezoo.distributed import work_alone
from vaezoo.figures.reconstructions import reconstructions
from vaezoo.figures.samples import samples
from vaezoo.figures.style import save
from vaezoo.models.base import LatentModel
from vaezoo.seeds import derive, own_noise

log = logging.getLogger(__name__)

COUNT = 64  # samples
PAIRS = 10  # images with their reconstructions
COLLAPSED = 0.05  # of the diversity of real images
GROWTH = 1.25  # of the batches from one look to the next


class SampleWatch(Callback):
    """After some validations: figures/over_time/samples_BATCHES.png from the same latents, and `val/diversity`.

    reconstructions_BATCHES.png shows the first ten validation images and their reconstructions.

    The looks spread over a run in equal ratios of batches, a few dozen in all, however long it is. The diversity is
    that of the samples over that of as many validation images, each the variance of a pixel summed over all; samples
    of a VAE are smoother than data, so less than 1 is usual, and near 0 all images are the same.
    """

    def __init__(self, data: ImageDataModule, folder: Path, every: int, title: str, *, pictures: bool) -> None:
        self.data = data
        self.folder = folder
        self.every = every  # batches from one validation to the next
        self.title = title
        self.pictures = pictures
        self.warned = False

    def is_due(self, batches: int) -> bool:
        """Return whether to look after so many batches, whether or not the run was resumed in between."""
        before = batches - self.every
        return before <= 0 or math.floor(math.log(batches, GROWTH)) > math.floor(math.log(before, GROWTH))

    def on_validation_end(self, trainer: Trainer, module: Any) -> None:
        model, batches, seed = module.model, module.clock.batches, module.clock.seed
        val = torch.from_numpy(self.data.rows.val)
        if not trainer.is_global_zero or len(val) < 2 or not self.is_due(batches):
            return
        drawn, real = draw_samples(model, len(self.data.source.label_names), seed), self.data.batch(val[:COUNT]).images
        share = (diversity(drawn[: len(real)]) / diversity(real)).item()
        for logger in trainer.loggers:
            logger.log_metrics({"val/diversity": share}, step=batches)
        if share < COLLAPSED and not self.warned:
            self.warned = True
            log.warning(
                "The samples at batch %d are nearly all the same: their diversity is %.1f %% of that of the data.",
                batches,
                100 * share,
            )
        if self.pictures:
            title = f"{self.title}, {batches} batches"
            self.save(trainer, "samples", batches, samples(drawn.float().cpu().numpy(), title))
            if model.reconstructs:
                batch = self.data.batch(val[:PAIRS])
                before, after = batch.images, reconstruct(model, batch, seed)
                figure = reconstructions(before.float().cpu().numpy(), after.float().cpu().numpy(), title)
                self.save(trainer, "reconstructions", batches, figure)

    def save(self, trainer: Trainer, name: str, batches: int, figure: Figure) -> None:
        """Write the picture of that moment, and send it to the loggers."""
        path = self.folder / "figures" / "over_time" / f"{name}_{batches:08d}.png"
        save(figure, path)
        for logger in trainer.loggers:
            if hasattr(logger, "log_figure"):  # A Trainer that vaezoo did not build may have any logger.
                logger.log_figure(f"{name}_over_time", path, step=batches)


@contextmanager
def undisturbed(model: LatentModel, seed: int, purpose: str) -> Iterator[None]:
    """Work in evaluation mode, in this process alone, with noise of its own, so that training goes on as without it."""
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad(), work_alone(), own_noise(derive(seed, purpose)):
            yield
    finally:
        model.train(was_training)


def draw_samples(model: LatentModel, classes: int, seed: int) -> Tensor:
    """Return decoder means of the same 64 draws of the prior each time, (64, C, H, W).

    Conditional models are given the `classes` in turn.
    """
    with undisturbed(model, seed, "samples over time"):
        z = model.sample_prior(COUNT, device=model.device).to(model.dtype)
        return model.decode(z, torch.arange(COUNT, device=model.device) % classes if classes else None).mean


def reconstruct(model: LatentModel, batch: Batch, seed: int) -> Tensor:
    """Return decoder means at the codes of a batch of images, (B, C, H, W)."""
    with undisturbed(model, seed, "reconstructions over time"):
        codes = model.encode(batch.images.to(model.dtype), batch.labels).mean.to(model.dtype)
        return model.reconstruct(model.latent.mode(codes), batch.labels).mean


def diversity(images: Tensor) -> Tensor:
    """Return the variance of each pixel over the images (B, C, H, W), summed; half the mean squared distance of two."""
    return images.double().flatten(1).var(dim=0).sum()
