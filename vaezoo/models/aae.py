"""Adversarial autoencoder (Makhzani et al., 2016): a critic, instead of a KL, brings the codes to the prior.

    autoencoder    minimises  rec = mean -log p(x|z), z = E(x)           over encoder and decoder
    critic         minimises  mean softplus(-l(z_p)) + mean softplus(l(z))      z_p ~ p(z) are the real codes
    encoder        minimises  lambda mean softplus(-l(z))

l is the logit of the critic. The optimal critic pays log 4 - 2 JS(p(z), q(z)) for the aggregate posterior q(z). Nothing
determines a single q(z|x): there is no KL and no bound on log p(x). The encoder has two optimisers, because in a common
one the gradient of the reconstruction would hide that of the critic.
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


class AAE(AdversarialModel):
    """An autoencoder with a critic of its codes: points, or draws of a Gaussian posterior, which the critic widens."""

    paper = "Makhzani et al. (2016). Adversarial Autoencoders. arXiv:1511.05644"
    latents = ("Point", "Gaussian")

    def __init__(self, *, lambda_adv: Weight, critic: Callable[..., nn.Module], **parts: Any) -> None:
        super().__init__(**parts)
        self.lambda_adv = lambda_adv
        self.critic = critic(self.latent.dim)

    def players(self) -> dict[str, Sequence[nn.Module]]:
        return {"autoencoder": [self.encoder, self.decoder], "critic": [self.critic], "encoder": [self.encoder]}

    def autoencoder_objective(self, x: Tensor, drawn: Terms) -> Terms:
        rec = self.decode(self.encode(x).sample()).rec(x).mean()
        return {"loss": rec, "rec": rec}

    def critic_objective(self, x: Tensor, drawn: Terms) -> Terms:
        with torch.no_grad():
            z = self.encode(x).sample()
        real, fake = self.critic(self.sample_prior(len(z), device=z.device).to(z)), self.critic(z)
        return {"loss": critic_loss(real, fake), **critic_accuracy(real, fake)}

    def encoder_objective(self, x: Tensor, drawn: Terms) -> Terms:
        adv = generator_loss(self.critic(self.encode(x).sample()))
        lambda_adv = self.now(self.lambda_adv)
        return {"loss": lambda_adv * adv, "adv": adv, **scheduled(lambda_adv=lambda_adv)}
