"""Conditional beta-VAE: encoder and decoder are told the class of the image; minimises rec + beta KL.

    q(z|x, u),  p(x|z, u),  prior N(0, I), the same for every class u            (Sohn, Lee & Yan, 2015)

The bound is on log p(x|u) = log of the integral of p(x|z, u) p(z) over z; the logarithm stands outside of the integral.
A "negative objective" of -160 to -140 nats in print is one of +160 to +140: the minus sign is that of the bound.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vaezoo.losses.elbo import elbo_terms
from vaezoo.losses.schedules import scheduled
from vaezoo.models.base import LatentModel, Terms
from vaezoo.ranges import Several, Weight


class CVAE(LatentModel):
    """`classes` one-hot numbers are appended to the image (or to its features, in a convolutional encoder) and to z.

    `kl_share` and `kl_share_w` are those of the beta-VAE.
    """

    needs_labels = True
    latents = ("Gaussian", "Mixed")
    conditional = True

    def __init__(
        self,
        *,
        beta: Weight,
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
        self.beta = self.kl_weight = beta

    def one_hot(self, labels: Tensor | None, like: Tensor) -> Tensor:
        if labels is None:
            raise ValueError("a conditional model needs the labels of the images")
        return F.one_hot(labels, self.classes or -1).to(like.dtype)

    def encode(self, x: Tensor, labels: Tensor | None = None) -> Any:
        return self.latent.posterior(self.encoder(x, self.one_hot(labels, x)))

    def decode(self, z: Tensor, labels: Tensor | None = None) -> Any:
        return self.likelihood(self.decoder(torch.cat([z, self.one_hot(labels, z)], dim=1)))

    def objective(self, x: Tensor, labels: Tensor | None = None) -> Terms:
        q = self.encode(x, labels)
        terms = elbo_terms(self.decode(q.sample(), labels), q, x)
        beta = self.now(self.beta)
        loss = terms["rec"] + beta * terms["kl"]
        return {"loss": loss, **terms, "kl_share_w": beta * terms["kl"] / loss, **scheduled(beta=beta)}
