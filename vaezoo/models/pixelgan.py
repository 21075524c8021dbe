"""PixelGAN autoencoder (Makhzani & Frey, 2017), experimental: a category, and a PixelCNN that is conditioned on it.

    autoencoder    minimises  nll = mean -log p(x|y),  p a PixelCNN,  y = E(x) a softmax       over encoder and PixelCNN
    critic         minimises  mean softplus(-l(y_p)) + mean softplus(l(y))
    encoder        minimises  lambda mean softplus(-l(y))

y_p are uniform one-hot draws: the critic drives y to the vertices and to an equal use of them. The PixelCNN models what
is local, and y what the PixelCNN cannot see. A PixelCNN that sees enough needs no y, and then y gets no gradient, so a
narrow one (few `pixelcnn.blocks`) leaves more to y.

Images are rounded to 0 and 1, which the PixelCNN also draws. Experimental, because the networks and the schedule of the
paper are not published; its numbers are no target here.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from vaezoo.losses.gan import critic_accuracy, critic_loss, generator_loss
from vaezoo.losses.schedules import scheduled
from vaezoo.models.adversarial import AdversarialModel
from vaezoo.models.base import Terms
from vaezoo.ranges import Weight


class Drawn(NamedTuple):
    """Drawn images in the place of a distribution, whose mean they stand for."""

    mean: Tensor


class PixelGAN(AdversarialModel):
    """An adversarial autoencoder of a category, with a PixelCNN that draws one pixel a pass: 784 passes for 28x28."""

    paper = "Makhzani & Frey (2017). PixelGAN Autoencoders. NeurIPS. arXiv:1706.00531"
    latents = ("Point",)
    category_alone = True  # its code is one category and nothing else
    decoder: Any
    reconstructs = False  # because drawn images of one category are all different
    draws_pixels = True

    def __init__(
        self,
        *,
        lambda_adv: Weight,
        pixelcnn: Callable[..., nn.Module],
        critic: Callable[..., nn.Module],
        decoder: Callable[..., nn.Module],
        **parts: Any,
    ) -> None:
        super().__init__(decoder=pixelcnn, **parts)  # the PixelCNN replaces the decoder of the network group
        self.lambda_adv = lambda_adv
        self.critic = critic(self.latent.dim)

    def players(self) -> dict[str, Sequence[nn.Module]]:
        return {"autoencoder": [self.encoder, self.decoder], "critic": [self.critic], "encoder": [self.encoder]}

    def encode(self, x: Tensor, labels: Tensor | None = None) -> Any:
        return super().encode(x.round())

    def decode(self, z: Tensor, labels: Tensor | None = None) -> Drawn:
        """Draw an image for each category (B, K)."""
        return Drawn(self.decoder.sample(z))

    def autoencoder_objective(self, x: Tensor, drawn: Terms) -> Terms:
        binary = x.round()
        nll = self.likelihood(self.decoder(binary, self.encode(x).mean)).rec(binary).mean()
        return {"loss": nll, "nll": nll}

    def critic_objective(self, x: Tensor, drawn: Terms) -> Terms:
        with torch.no_grad():
            y = self.encode(x).mean
        real, fake = self.critic(self.sample_prior(len(x), device=x.device).to(y)), self.critic(y)
        return {"loss": critic_loss(real, fake), **critic_accuracy(real, fake)}

    def encoder_objective(self, x: Tensor, drawn: Terms) -> Terms:
        adv = generator_loss(self.critic(self.encode(x).mean))
        lambda_adv = self.now(self.lambda_adv)
        return {"loss": lambda_adv * adv, "adv": adv, **scheduled(lambda_adv=lambda_adv)}
