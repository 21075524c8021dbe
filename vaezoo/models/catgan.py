"""CatGAN (Springenberg, 2016): a classifier without labels, certain of real images and uncertain of generated ones.

    critic       minimises  -H[mean p(x)] + mean H[p(x)] - mean H[p(G(z))]
    generator    minimises  -H[mean p(G(z))] + mean H[p(G(z))]

p is the critic's softmax over K categories, H the entropy in nats, and means are over the batch. The critic uses all
categories alike, one for each real image, and is uncertain of generated ones; the generator makes images of all
categories that the critic is certain of. Uniform p is a stationary point, worth -ln K and 0.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from vaezoo.distributed import gather
from vaezoo.models.adversarial import AdversarialModel
from vaezoo.models.base import Terms
from vaezoo.numerics import full_precision


def entropies(logits: Tensor) -> tuple[Tensor, Tensor]:
    """Return H of the mean of the batch, and the mean of H over the batch; logits (B, K), both in [0, ln K] nats."""
    log_p = full_precision(logits).log_softmax(dim=1)
    whole_batch = gather(log_p)
    return entropy(whole_batch.logsumexp(dim=0) - math.log(len(whole_batch))), entropy(log_p).mean()


def entropy(log_p: Tensor) -> Tensor:
    """Return the entropy in nats of log probabilities (..., K)."""
    return -(log_p.exp() * log_p).sum(dim=-1)


class CatGAN(AdversarialModel):
    """A GAN whose critic is the encoder, with p(x) as the code of an image. Its generator takes noise alone."""

    paper = (
        "Springenberg (2016). Unsupervised and Semi-supervised Learning with Categorical Generative Adversarial "
        "Networks. ICLR. arXiv:1511.06390"
    )
    compares_images = "the mean category of CatGAN"
    latents = ("Codes",)
    category_alone = True  # its code is one category and nothing else
    likelihood_free = True
    reconstructs = False  # because a category does not determine its image
    recalibrates = True

    def __init__(
        self, *, latent: Any, encoder: Callable[..., nn.Module], decoder: Callable[..., nn.Module], **parts: Any
    ) -> None:
        super().__init__(
            latent=latent,
            encoder=lambda image_shape, num_params: encoder(image_shape, outputs=num_params),
            decoder=lambda _, image_shape: decoder(latent.noise, image_shape),
            **parts,
        )

    def players(self) -> dict[str, Sequence[nn.Module]]:
        return {"critic": [self.encoder], "generator": [self.decoder]}

    def draw(self, x: Tensor) -> Terms:
        return {"z": self.sample_prior(len(x), device=x.device).to(x)}

    def decode(self, z: Tensor, labels: Tensor | None = None) -> Any:
        """Return the images of latents [s, noise] (B, J); the category s has no influence on them."""
        return super().decode(z[:, self.latent.width :])

    def logits(self, x: Tensor) -> Tensor:
        return self.encode(x).categorical[0].logits

    def critic_objective(self, x: Tensor, drawn: Terms) -> Terms:
        with torch.no_grad():
            fake = self.decode(drawn["z"]).mean
        spread, doubt = entropies(self.logits(x))
        _, doubt_fake = entropies(self.logits(fake))
        terms = {"entropy_mean": spread, "entropy": doubt, "entropy_fake": doubt_fake}
        return {"loss": -spread + doubt - doubt_fake, **terms}

    def generator_objective(self, x: Tensor, drawn: Terms) -> Terms:
        spread, doubt = entropies(self.logits(self.decode(drawn["z"]).mean))
        return {"loss": -spread + doubt, "entropy_mean_generated": spread, "entropy_generated": doubt}
