"""Guided-VAE (Ding et al., 2020), unsupervised form: a light decoder makes two latents the scale and the rotation.

    minimise  rec + KL + 1/2 rec_light + orthogonality sum_{j != k} |w_j . w_k|

rec_light is the cross-entropy of the light decoder's picture, in nats per image, and w_j are the columns of its linear
map. The modulus is that of the authors' code; the paper prints the square.
"""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vaezoo.losses.elbo import elbo_terms
from vaezoo.losses.schedules import scheduled
from vaezoo.models.base import LatentModel, Terms
from vaezoo.ranges import Weight


class GuidedVAE(LatentModel):
    """A VAE with a light decoder, to which latent 0 is the scale, latent 1 the rotation, and the others the content."""

    paper = "Ding et al. (2020). Guided Variational Autoencoder for Disentanglement Learning. CVPR. arXiv:2004.01255"
    requires = {"latent.dim >= 3": "at least 3 latents, for scale, rotation and content"}

    def __init__(
        self, *, light: Weight, orthogonality: Weight, light_decoder: Callable[..., nn.Module], **parts: Any
    ) -> None:
        super().__init__(**parts)
        self.light, self.orthogonality = light, orthogonality
        self.light_decoder: Any = light_decoder(self.latent.dim, self.image_shape)

    def regularizer(self, z: Tensor, q: Any, terms: Terms) -> tuple[Tensor, Terms]:
        """Return what the base objective adds to rec, and its terms."""
        return terms["kl"], {}

    def objective(self, x: Tensor, labels: Tensor | None = None) -> Terms:
        q = self.encode(x)
        z = q.sample()
        terms = elbo_terms(self.decode(z), q, x)
        regularizer, parts = self.regularizer(z, q, terms)
        with torch.autocast(x.device.type, enabled=False):  # because a cross-entropy of probabilities needs all digits
            picture = self.light_decoder(z).clamp(0, 1)
            rec_light = F.binary_cross_entropy(picture, x, reduction="none").flatten(1).sum(1).mean()
            overlap = self.light_decoder.overlap()
        light, orthogonality = self.now(self.light), self.now(self.orthogonality)
        loss = terms["rec"] + regularizer + light * rec_light + orthogonality * overlap
        weights = scheduled(light=light, orthogonality=orthogonality)
        return {"loss": loss, **terms, **parts, "rec_light": rec_light, "overlap": overlap, **weights}
