"""Adversarial autoencoder that clusters (Makhzani et al., 2016): a code is a category y and continuous latents z.

    autoencoder    minimises  rec = mean -log p(x|y, z), (y, z) = E(x), y a softmax      over encoder and decoder
    critics        minimise   mean softplus(-l_y(y_p)) + mean softplus(l_y(y)), and the same for z, their sum
    encoder        minimises  lambda [ mean softplus(-l_y(y)) + mean softplus(-l_z(z)) ]

y_p are uniform one-hot draws and z_p ~ N(0, I); the cluster of an image is arg max y. Each part has its own critic, so
nothing makes y and z independent. The critic of y drives the softmax to its vertices and to an equal use of them. It
sees y with noise, because otherwise one-hot vectors alone would tell it which ones are real.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from vaezoo.losses.gan import critic_accuracy, critic_loss, generator_loss
from vaezoo.losses.schedules import scheduled
from vaezoo.models.adversarial import AdversarialModel
from vaezoo.models.base import Terms
from vaezoo.ranges import Weight


class AAECluster(AdversarialModel):
    """An adversarial autoencoder with a critic for its category, and another for its continuous latents."""

    paper = "Makhzani et al. (2016). Adversarial Autoencoders. arXiv:1511.05644"
    latents = ("Point",)
    requires = {"latent.categories != []": "a category of clusters (latent=clusters)"}

    def __init__(self, *, lambda_adv: Weight, critic: Callable[..., nn.Module], **parts: Any) -> None:
        super().__init__(**parts)
        self.lambda_adv = lambda_adv
        self.critic_y = critic(sum(self.latent.categories))
        self.critic_z = critic(self.latent.continuous)

    def players(self) -> dict[str, Sequence[nn.Module]]:
        critics = [self.critic_y, self.critic_z]
        return {"autoencoder": [self.encoder, self.decoder], "critics": critics, "encoder": [self.encoder]}

    def autoencoder_objective(self, x: Tensor, drawn: Terms) -> Terms:
        rec = self.decode(self.encode(x).sample()).rec(x).mean()
        return {"loss": rec, "rec": rec}

    def critics_objective(self, x: Tensor, drawn: Terms) -> Terms:
        with torch.no_grad():
            codes = self.encode(x).sample()
        real, fake = self.logits(self.sample_prior(len(x), device=x.device).to(codes)), self.logits(codes)
        loss = critic_loss(real["y"], fake["y"]) + critic_loss(real["z"], fake["z"])
        shares = {
            f"{key}_{part}": value for part in real for key, value in critic_accuracy(real[part], fake[part]).items()
        }
        return {"loss": loss, **shares}

    def encoder_objective(self, x: Tensor, drawn: Terms) -> Terms:
        fake = self.logits(self.encode(x).sample())
        adv_y, adv_z = generator_loss(fake["y"]), generator_loss(fake["z"])
        weight = self.now(self.lambda_adv)
        return {"loss": weight * (adv_y + adv_z), "adv_y": adv_y, "adv_z": adv_z, **scheduled(lambda_adv=weight)}

    def logits(self, codes: Tensor) -> dict[str, Tensor]:
        """Return the logits of each critic for its part of codes [z, y], (B, J)."""
        z, y = codes[:, : self.latent.continuous], codes[:, self.latent.continuous :]
        return {"y": self.critic_y(y), "z": self.critic_z(z)}
