"""Conditional beta-VAE (Sohn, Lee & Yan, 2015): encoder and decoder get the class u of the image.

    minimise  rec + beta KL,        with q(z|x, u) and p(x|z, u), and the prior N(0, I) for every class

At beta = 1 it is a bound on log p(x|u), the logarithm of the integral of p(x|z, u) p(z) over z.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vaezoo.models.betavae import BetaVAE
from vaezoo.ranges import Several


class CVAE(BetaVAE):
    """A beta-VAE that appends the one-hot class to z and to the image (to its features, in a convolutional encoder)."""

    paper = (
        "Sohn, Lee & Yan (2015). Learning Structured Output Representation using Deep Conditional Generative "
        "Models. NeurIPS."
    )
    needs_labels = True
    conditional = True

    def __init__(
        self,
        *,
        classes: Several | None,
        encoder: Callable[..., nn.Module],
        decoder: Callable[..., nn.Module],
        **parts: Any,
    ) -> None:
        if classes is None:
            raise ValueError("a conditional model needs a data set with labels")
        super().__init__(
            encoder=partial(encoder, condition=classes),
            decoder=lambda latent_dim, image_shape: decoder(latent_dim + classes, image_shape),
            classes=classes,
            **parts,
        )

    def one_hot(self, labels: Tensor | None, like: Tensor) -> Tensor:
        """Return labels (B,) as one-hot rows (B, K) of the type of `like`. Raises ValueError without labels."""
        if labels is None:
            raise ValueError("a conditional model needs the labels of the images")
        return F.one_hot(labels, self.classes or -1).to(like.dtype)

    def encode(self, x: Tensor, labels: Tensor | None = None) -> Any:
        return self.latent.posterior(self.encoder(x, self.one_hot(labels, x)))

    def decode(self, z: Tensor, labels: Tensor | None = None) -> Any:
        return self.likelihood(self.decoder(torch.cat([z, self.one_hot(labels, z)], dim=1)))
