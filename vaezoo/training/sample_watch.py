"""Watches what a model makes while it learns: pictures over time, and whether its samples still differ."""

import logging
import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Tensor

from vaezoo.distributed import work_alone
from vaezoo.figures.reconstructions import reconstructions
from vaezoo.figures.samples import samples
from vaezoo.figures.style import save
from vaezoo.seeds import derive, own_noise
from vaezoo.training.clock import Clock

log = logging.getLogger(__name__)

COUNT = 64
PAIRS = 10
COLLAPSED = 0.05  # of the diversity of real images
GROWTH = 1.25  # of the batches from one look to the next


class SampleWatch(Callback):
    """After some validations: figures/over_time/samples_BATCHES.png from the same latents, and `val/diversity`.

    reconstructions_BATCHES.png are those of the first ten validation images.

    The looks spread over a run in equal ratios of batches, a few dozen in all, however long it is. The diversity is
    that of the samples over that of as many validation images, each the variance of a pixel summed over all; samples
    of a VAE are smoother than data, so less than 1 is usual, and near 0 all images are the same.
    """

    def __init__(self, clock: Clock, folder: Path, every: int, title: str, *, pictures: bool) -> None:
        self.clock = clock
        self.folder = folder
        self.every = every  # batches from one validation to the next
        self.title = title
        self.pictures = pictures
        self.warned = False

    def due(self) -> bool:
        """A function of the batches done, so that a resumed run looks when an unbroken one would."""
        now, before = self.clock.batches, self.clock.batches - self.every
        return before <= 0 or math.floor(math.log(now, GROWTH)) > math.floor(math.log(before, GROWTH))

    def on_validation_end(self, trainer: Trainer, module: LightningModule) -> None:
        if trainer.state.fn != "fit" or not trainer.is_global_zero or not self.due():
            return
        data: Any = getattr(trainer, "datamodule", None)
        if data is None or len(data.rows.val) < 2:
            return
        drawn, real = draw(module, data, self.clock.seed), data.batch(torch.from_numpy(data.rows.val[:COUNT])).images
        share = (diversity(drawn[: len(real)]) / diversity(real)).item()
        for logger in trainer.loggers:
            logger.log_metrics({"val/diversity": share}, step=self.clock.batches)
        if share < COLLAPSED and not self.warned:
            self.warned = True
            log.warning(
                "The samples at batch %d are nearly all the same: their diversity is %.1f %% of that of the data.",
                self.clock.batches,
                100 * share,
            )
        if self.pictures:
            title = f"{self.title}, {self.clock.batches} batches"
            self.show(trainer, "samples", samples(drawn.float().cpu().numpy(), title))
            if module.reconstructs:
                batch = data.batch(torch.from_numpy(data.rows.val[:PAIRS]))
                before, after = batch.images, rebuilt(module, batch, self.clock.seed)
                figure = reconstructions(before.float().cpu().numpy(), after.float().cpu().numpy(), title)
                self.show(trainer, "reconstructions", figure)

    def show(self, trainer: Trainer, name: str, figure: Figure) -> None:
        path = self.folder / "figures" / "over_time" / f"{name}_{self.clock.batches:08d}.png"
        save(figure, path)
        for logger in trainer.loggers:
            if hasattr(logger, "log_figure"):
                logger.log_figure(f"{name}_over_time", path, step=self.clock.batches)


@contextmanager
def undisturbed(module: Any, seed: int, purpose: str) -> Iterator[None]:
    """In evaluation mode, by this process alone, with noise of its own: training goes on as if nothing had been."""
    was_training = module.training
    module.eval()
    try:
        with torch.no_grad(), work_alone(), own_noise(derive(seed, purpose)):
            yield
    finally:
        module.train(was_training)


def draw(module: Any, data: Any, seed: int) -> Tensor:
    """Decoder means of the same 64 draws of the prior each time; of conditional models the classes take turns."""
    with undisturbed(module, seed, "samples over time"):
        z = module.sample_prior(COUNT, device=module.device).to(module.dtype)
        classes = len(data.source.label_names)
        return module.decode(z, torch.arange(COUNT, device=module.device) % classes if classes else None).mean


def rebuilt(module: Any, batch: Any, seed: int) -> Tensor:
    """Decoder means at the codes of a batch of images."""
    with undisturbed(module, seed, "reconstructions over time"):
        codes = module.encode(batch.images.to(module.dtype), batch.labels).mean.to(module.dtype)
        return module.reconstruct(module.latent.mode(codes), batch.labels).mean


def diversity(images: Tensor) -> Tensor:
    """The variance of each pixel over the images (B, C, H, W), summed; half the mean squared distance of two images."""
    return images.double().flatten(1).var(dim=0).sum()
