"""InfoGAN (Chen et al., 2016): a generator whose codes can be read from its images, by Q on the critic's layers.

    critic, Q    minimise  -mean log D(x) - mean log(1 - D(x_g)) - lambda_s MI_s - lambda_c MI_c
    generator    minimises -mean log D(x_g) - lambda_s MI_s - lambda_c MI_c

    x_g = G([c, s, noise]),    MI_s = ln K + mean log Q(s|x_g),    MI_c = H(c) + mean log Q(c|x_g)

MI are lower bounds on the information between images and codes, in nats; H(c) = ln 2 for each code of U(-1, 1). Each
player draws its own codes. Q learns in the critic's step alone. With a network of its own (`shared=False`, the
comparison of Ye & Bors) it learns together with the generator in a third step, and the others have no MI:

    information  minimises -lambda_s MI_s - lambda_c MI_c,  over Q and the generator

MI_s near ln K means that categories can be read, not that they are the classes: two categories may share a class.
"""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor, nn

from vaezoo.latents.mixed import MixedPosterior
from vaezoo.losses.gan import critic_accuracy, critic_loss, generator_loss
from vaezoo.losses.information_bounds import information_bounds
from vaezoo.losses.schedules import scheduled
from vaezoo.models.adversarial import AdversarialModel
from vaezoo.models.base import Terms
from vaezoo.ranges import Weight

VARIANCES = {"fixed": 1.0, "mse": 0.5}  # of Q's Gaussians where they are not learned


class CriticWithRecognition(nn.Module):
    """A critic and, on its last hidden layer, Q; as an encoder it returns the parameters of q(u|x)."""

    def __init__(
        self,
        image_shape: Sequence[int],
        num_params: int,
        *,
        critic: Callable[..., nn.Module],
        recognition: Callable[..., nn.Module],
    ) -> None:
        super().__init__()
        self.critic: Any = critic(image_shape)
        self.recognition = recognition(self.critic.num_hidden, num_params)

    def both(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the critic's logits (B, 1) and the parameters of q(u|x), in one pass."""
        hidden = self.critic.hidden(x)
        return self.critic.head(hidden), self.recognition(hidden)

    def forward(self, x: Tensor) -> Tensor:
        return self.recognition(self.critic.hidden(x))


class InfoGAN(AdversarialModel):
    """A GAN with codes and a network Q that reads them, which is the encoder.

    `cont_likelihood` is Q's density of continuous codes: Gaussian with variance 1 ("fixed", the authors on MNIST), with
    a variance for each image ("learned"), or with variance 1/2, the squared error of Ye & Bors ("mse").
    """

    paper = (
        "Chen et al. (2016). InfoGAN: Interpretable Representation Learning by Information Maximizing Generative "
        "Adversarial Nets. NeurIPS. arXiv:1606.03657"
    )
    latents = ("Codes",)
    requires = {"not shared or dataset.batch_size > 1": "at least 2 images in a batch for the batch normalisation of Q"}
    encoder: Any
    likelihood_free = True
    recalibrates = True

    def __init__(
        self,
        *,
        lambda_s: Weight,
        lambda_c: Weight,
        shared: bool,
        cont_likelihood: Literal["fixed", "learned", "mse"],
        critic: Callable[..., nn.Module],
        recognition: Callable[..., nn.Module],
        image_shape: Sequence[int],
        latent: Any,
        encoder: Callable[..., nn.Module],
        **parts: Any,
    ) -> None:
        if shared:
            encoder = partial(CriticWithRecognition, critic=critic, recognition=recognition)
        variance = VARIANCES.get(cont_likelihood)
        params = latent.num_params if variance is None else latent.width
        super().__init__(
            image_shape=image_shape, latent=latent, encoder=lambda shape, _: encoder(shape, params), **parts
        )
        self.lambda_s, self.lambda_c = lambda_s, lambda_c
        self.shared, self.variance = shared, variance
        if not shared:
            self.critic = critic(self.image_shape)

    def players(self) -> dict[str, Sequence[nn.Module]]:
        if self.shared:
            return {"critic": [self.encoder], "generator": [self.decoder]}
        return {"critic": [self.critic], "generator": [self.decoder], "information": [self.encoder, self.decoder]}

    def encode(self, x: Tensor, labels: Tensor | None = None) -> MixedPosterior:
        return self.posterior(self.encoder(x))

    def posterior(self, params: Tensor) -> MixedPosterior:
        """Return q(u|x) from its parameters (B, P), with the fixed variance where it is not learned."""
        if self.variance is None:
            return self.latent.posterior(params)
        mean, logits = params.tensor_split([self.latent.continuous], dim=1)
        q = self.latent.posterior(torch.cat([mean, torch.zeros_like(mean), logits], dim=1))
        logvar = torch.full_like(q.continuous.mean, math.log(self.variance))
        return q._replace(continuous=q.continuous._replace(logvar=logvar))

    def generate(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return as many generated images as there are in `x`, and their codes [c, s]."""
        z = self.latent.sample_prior(len(x), device=x.device).to(x)
        return self.decode(z).mean, z[:, : self.latent.width]

    def judge(self, x: Tensor, codes: Tensor) -> tuple[Tensor, Terms]:
        """Return the critic's logits of generated images and, where Q shares its layers, the bounds on their codes."""
        if not self.shared:
            return self.critic(x), {}
        logits, params = self.encoder.both(x)
        return logits, information_bounds(self.posterior(params), codes, self.latent)

    def weighted(self, bounds: Terms) -> Any:
        """Return lambda_s MI_s + lambda_c MI_c, or 0 without bounds."""
        weights = {"mi_s": self.now(self.lambda_s), "mi_c": self.now(self.lambda_c)}
        return sum(weights[name] * bound for name, bound in bounds.items())

    def critic_objective(self, x: Tensor, drawn: Terms) -> Terms:
        with torch.no_grad():
            generated, codes = self.generate(x)
        real = self.encoder.critic(x) if self.shared else self.critic(x)
        fake, bounds = self.judge(generated, codes)
        adversarial = critic_loss(real, fake)
        loss = adversarial - self.weighted(bounds)
        return {"loss": loss, "critic_adversarial": adversarial, **critic_accuracy(real, fake), **bounds}

    def generator_objective(self, x: Tensor, drawn: Terms) -> Terms:
        fake, bounds = self.judge(*self.generate(x))
        adversarial = generator_loss(fake)
        weights = scheduled(lambda_s=self.now(self.lambda_s), lambda_c=self.now(self.lambda_c))
        return {"loss": adversarial - self.weighted(bounds), "generator_adversarial": adversarial, **weights}

    def information_objective(self, x: Tensor, drawn: Terms) -> Terms:
        generated, codes = self.generate(x)
        bounds = information_bounds(self.encode(generated), codes, self.latent)
        return {"loss": -self.weighted(bounds), **bounds}
