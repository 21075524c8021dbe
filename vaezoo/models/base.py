"""The plumbing that every model shares; the one file that everything passes through, so it stays short."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from pytorch_lightning import LightningModule
from torch import Tensor, nn

Terms = dict[str, Tensor]
Weight = float | Callable[[Tensor], Tensor]  # a number, or a schedule (vaezoo.losses.schedules)


class LatentModel(LightningModule):
    """An encoder, a latent space, a decoder and a likelihood; a subclass says which terms make its loss.

    The parts come ready-made from the configuration: `latent` knows how many numbers the encoder must give and the
    decoder takes, so nobody computes a size. A subclass writes `objective`, which can be called without a trainer.

    `batches` counts the finished training batches, whatever the number of optimisers. It is saved with the weights and
    is the only clock: budgets, schedules, logging and the order of the data follow it. `train_images` is the size of
    the training split, which estimators of the aggregate posterior need; 0 until a trainer says it.
    """

    batches: Tensor
    train_images: Tensor

    def __init__(
        self,
        *,
        image_shape: Sequence[int],
        latent: Any,
        likelihood: Callable[[Tensor], Any],
        encoder: Callable[..., nn.Module],
        decoder: Callable[..., nn.Module],
        optimizer: Callable[..., torch.optim.Optimizer],
    ) -> None:
        super().__init__()
        self.image_shape = tuple(image_shape)  # (C, H, W)
        self.latent = latent
        self.likelihood = likelihood
        self.encoder = encoder(self.image_shape, latent.num_params)
        self.decoder = decoder(latent.dim, self.image_shape)
        self.optimizer = optimizer
        self.register_buffer("batches", torch.zeros((), dtype=torch.int64))
        self.register_buffer("train_images", torch.zeros((), dtype=torch.int64))

    def encode(self, x: Tensor) -> Any:
        """Images (B, C, H, W) in [0, 1] to their posteriors q(z|x)."""
        return self.latent.posterior(self.encoder(x))

    def decode(self, z: Tensor) -> Any:
        """Latents (B, J) to distributions over images p(x|z)."""
        return self.likelihood(self.decoder(z))

    def forward(self, x: Tensor) -> Tensor:
        """The code of each image, its posterior mean: (B, J)."""
        return self.encode(x).mean

    def now(self, weight: Weight) -> Tensor | float:
        """The present value of a weight: a number, or a schedule of the batches done so far."""
        return weight(self.batches) if callable(weight) else weight

    def objective(self, x: Tensor, labels: Tensor | None = None) -> Terms:
        """Named terms of a batch, unweighted and in nats per image; "loss" is what is minimised."""
        raise NotImplementedError

    def setup(self, stage: str) -> None:
        data = getattr(self.trainer, "datamodule", None)
        if data is not None:
            self.train_images.fill_(len(data.rows.train))

    def training_step(self, batch: Any, batch_index: int = 0) -> Terms:
        terms = self.objective(batch.images, batch.labels)
        self.batches += 1
        return terms

    def validation_step(self, batch: Any, batch_index: int = 0) -> Terms:
        return self.objective(batch.images, batch.labels)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return self.optimizer(self.parameters())

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Lightning's own progress is left out: `batches` alone says where a resumed run goes on."""
        checkpoint.pop("loops", None)
