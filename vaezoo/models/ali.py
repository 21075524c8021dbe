"""Adversarially learned inference (Dumoulin et al., 2017): encoder and generator agree on the pairs of image and code.

    critic    minimises  -mean ln D(x, z^) - mean ln(1 - D(x~, z))
    pair      minimises  -mean ln(1 - D(x, z^)) - mean ln D(x~, z),   the labels of both halves swapped

x are images and z^ their codes, drawn from q(z|x); z is drawn from the prior and x~ = G(z). For the optimal critic the
first loss is log 4 - 2 JS(q(x, z), p(x, z)), least where the joint distributions are equal. Nothing compares an image
with its reconstruction, so G(z^) looks like x only as far as the pairs agree. The critic moves before the pair.
"""

from collections.abc import Callable, Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn

from vaezoo.losses.gan import critic_accuracy, critic_loss
from vaezoo.models.adversarial import AdversarialModel
from vaezoo.models.base import Terms


class ALI(AdversarialModel):
    """An encoder and a generator that play together against a critic of pairs.

    `disc_batch` matters to critics with batch normalisation: "concat" judges both halves with common statistics, and
    "separate" one after the other, which shows the critic more. Where layers behind the codes are normalised, as in
    network=bigan, use "separate": with "concat" a single code of huge variance hides both halves from the critic.
    """

    paper = "Dumoulin et al. (2017). Adversarially Learned Inference. ICLR. arXiv:1606.00704"
    likelihood_free = True

    def __init__(
        self, *, critic: Callable[..., nn.Module], disc_batch: Literal["concat", "separate"], **parts: Any
    ) -> None:
        super().__init__(**parts)
        self.critic = critic(self.image_shape, condition=self.latent.dim)
        self.disc_batch = disc_batch

    def players(self) -> dict[str, Sequence[nn.Module]]:
        return {"critic": [self.critic], "pair": [self.encoder, self.decoder]}

    def draw(self, x: Tensor) -> Terms:
        return {"z": self.latent.sample_prior(len(x), device=x.device).to(x)}

    def infer_and_generate(self, x: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
        """Return a code (B, J) of each image, and an image (B, C, H, W) of each code."""
        return self.encode(x).sample(), self.decode(z).mean

    def judge(self, x: Tensor, codes: Tensor, fakes: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
        """Return the critic's logits, (B, 1) each, of the pairs (x, codes), which it calls real, and of (fakes, z)."""
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
