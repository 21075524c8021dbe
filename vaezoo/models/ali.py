"""Adversarially learned inference (Dumoulin et al., 2017): encoder and generator agree on the pairs of image and code.

    critic    minimises  -mean ln D(x, z^) - mean ln(1 - D(x~, z))
    pair      minimises  -mean ln(1 - D(x, z^)) - mean ln D(x~, z),   the labels of both halves swapped

x are images and z^ their codes, drawn from q(z|x); z is drawn from the prior and x~ = G(z). With the best critic the
first is log 4 - 2 JS(q(x, z), p(x, z)), least where the two joint distributions are one. Nothing compares an image with
its reconstruction, so that G(z^) looks like x only as far as the pairs agree.

The authors' encoder gives log sigma, ours log sigma^2, whose starting point and scale are those of the same last layer.
Their tables print beta_2 = 1e-3 for an Adam that their code leaves at 0.999, and 1024 joint inputs, of which maxout
leaves 512. They step both players from the same weights; here the critic moves first.
"""

from collections.abc import Callable, Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn

from vaezoo.losses.gan import critic_accuracy, critic_loss
from vaezoo.models.adversarial import AdversarialModel
from vaezoo.models.base import Terms


class ALI(AdversarialModel):
    """`disc_batch` matters to critics with batch normalisation: "concat" judges both halves by the same statistics.

    "separate" shows them one after the other, each with statistics of its own, which tell the critic more. Where layers
    are normalised behind the codes, as in network=bigan, "concat" does not suit ALI: a single code of huge variance,
    which nothing forbids, blinds the critic to both halves.
    """

    likelihood_free = True

    def __init__(
        self,
        *,
        critic: Callable[..., nn.Module],
        disc_batch: Literal["concat", "separate"],
        **parts: Any,
    ) -> None:
        super().__init__(**parts)
        self.critic = critic(self.image_shape, condition=self.latent.dim)
        self.disc_batch = disc_batch

    def players(self) -> dict[str, Sequence[nn.Module]]:
        return {"critic": [self.critic], "pair": [self.encoder, self.decoder]}

    def draw(self, x: Tensor) -> Terms:
        return {"z": self.latent.sample_prior(len(x), device=x.device).to(x)}

    def infer_and_generate(self, x: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
        """A code of each image, and an image of each code."""
        return self.encode(x).sample(), self.decode(z).mean

    def judge(self, x: Tensor, codes: Tensor, fakes: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
        """The critic's logits of the pairs (x, codes), which it calls real, and of (fakes, z)."""
        if self.disc_batch == "separate":
            return self.critic(x, codes), self.critic(fakes, z)
        logits = self.critic(torch.cat([x, fakes]), torch.cat([codes, z]))
        return logits[: len(x)], logits[len(x) :]

    def critic_objective(self, x: Tensor, drawn: Terms) -> Terms:
        with torch.no_grad():
            codes, fakes = self.infer_and_generate(x, drawn["z"])
        real, fake = self.judge(x, codes, fakes, drawn["z"])
        return {"loss": critic_loss(real, fake), **critic_accuracy(real, fake)}

    def pair_objective(self, x: Tensor, drawn: Terms) -> Terms:
        codes, fakes = self.infer_and_generate(x, drawn["z"])
        real, fake = self.judge(x, codes, fakes, drawn["z"])
        return {"loss": critic_loss(fake, real)}
