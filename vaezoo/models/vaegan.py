"""VAE/GAN (Larsen et al., 2016): an image is compared with its reconstruction by features of a critic.

With z = mu + sigma eps, x~ = Dec(z) and samples x_p = Dec(z_p), z_p ~ N(0, I); f a layer and l the logit of the critic:

    dis    minimises  r c_real + (1 - r) c_fake        c_real = mean softplus(-l(x)), c_fake = mean softplus(l(fakes))
    enc    minimises  KL + L_like                      L_like = mean 1/2 sum_f (f(x~) - f(x))^2
    dec    minimises  w L_like + (1 - w) L_adv         L_adv on the same fakes, x~ and x_p, of z that are detached

L_like is -log N(f(x); f(x~), I) without its constant. The critic does not minimise L_like, because it would make its
features small, and the encoder does not minimise L_adv. The paper's gamma is w / (1 - w). r = 1/2 balances real and
generated images; the paper adds the costs of both kinds of fakes, which is r = 1/3. The critic becomes strong early, so
a gate at the costs lets the stronger player skip a step.
"""

from collections.abc import Callable, Sequence, Set
from typing import Any, Literal

import torch
from torch import Tensor, nn

from vaezoo.distributed import average
from vaezoo.losses.gan import GeneratorLoss, critic_accuracy, fake_cost, generator_loss, real_cost
from vaezoo.losses.schedules import scheduled
from vaezoo.models.adversarial import AdversarialModel
from vaezoo.models.base import Terms
from vaezoo.numerics import full_precision
from vaezoo.ranges import NonNegative, OpenShare, ShareWeight


def who_sits_out(c_real: float, c_fake: float, equilibrium: float, margin: float) -> set[str]:
    """Return {"dis"} if a cost is low, {"dec"} if one is high, and no player if neither is so, or both."""
    is_low, is_high = min(c_real, c_fake) < equilibrium - margin, max(c_real, c_fake) > equilibrium + margin
    return set() if is_low == is_high else {"dis" if is_low else "dec"}


class VAEGAN(AdversarialModel):
    """A VAE whose reconstruction error is one of the critic's features; `margin=None` switches the gate off.

    Real images, reconstructions and samples pass the critic as one batch in every move, because batch normalisation
    would otherwise show the critic which is which by their statistics.
    """

    paper = (
        "Larsen, Sønderby, Larochelle & Winther (2016). Autoencoding beyond pixels using a learned similarity "
        "metric. ICML. arXiv:1512.09300"
    )
    gated = ("dis", "dec")
    likelihood_free = True  # because its likelihood is one of features

    def __init__(
        self,
        *,
        w: ShareWeight,
        r: OpenShare,
        fake_sources: Literal["both", "recon", "prior"],
        gen_loss: GeneratorLoss,
        equilibrium: NonNegative,
        margin: NonNegative | None,
        critic: Callable[..., Any],
        **parts: Any,
    ) -> None:
        super().__init__(**parts)
        self.w, self.r = w, r
        self.fake_sources = fake_sources
        self.gen_loss: GeneratorLoss = gen_loss
        self.equilibrium, self.margin = equilibrium, margin
        self.critic = critic(self.image_shape)

    def players(self) -> dict[str, Sequence[nn.Module]]:
        return {"dis": [self.critic], "enc": [self.encoder], "dec": [self.decoder]}

    def draw(self, x: Tensor) -> Terms:
        return {name: self.sample_prior(len(x), device=x.device).to(x) for name in ("eps", "z_p")}

    def sitting_out(self, parts: Sequence[tuple[Tensor, Terms]]) -> Set[str]:
        if self.margin is None:
            return set()
        with torch.no_grad():
            costs = [self.dis_objective(x, drawn) for x, drawn in parts]
        c_real, c_fake = (torch.stack([cost[key] for cost in costs]).mean() for key in ("cost_real", "cost_fake"))
        real, fake = average(torch.stack([c_real, c_fake])).tolist()
        return who_sits_out(real, fake, self.equilibrium, self.margin)

    def dis_objective(self, x: Tensor, drawn: Terms) -> Terms:
        if "images" not in drawn:  # otherwise the gate has made them, and no player has moved since
            with torch.no_grad():
                drawn["images"] = self.images(self.encode(x).at(drawn["eps"]), drawn)
        real, fake = self.logits(x, drawn["images"])
        c_real, c_fake = real_cost(real), fake_cost(fake)
        loss = self.r * c_real + (1 - self.r) * c_fake
        return {"loss": loss, "cost_real": c_real, "cost_fake": c_fake, **critic_accuracy(real, fake)}

    def enc_objective(self, x: Tensor, drawn: Terms) -> Terms:
        q = self.encode(x)
        like = self.feature_distance(x, self.images(q.at(drawn["eps"]), drawn))
        kl_per_dim = q.kl().mean(0)
        kl = kl_per_dim.sum()
        return {"loss": kl + like, "kl": kl, "kl_per_dim": kl_per_dim, "like": like}

    def dec_objective(self, x: Tensor, drawn: Terms) -> Terms:
        with torch.no_grad():
            z = self.encode(x).at(drawn["eps"])
        images = self.images(z, drawn)
        like = self.feature_distance(x, images)
        _, fake = self.logits(x, images)
        adv = generator_loss(fake, self.gen_loss)
        w = self.now(self.w)
        return {"loss": w * like + (1 - w) * adv, "like_dec": like, "adv": adv, **scheduled(w=w)}

    def images(self, z: Tensor, drawn: Terms) -> Tensor:
        """Return reconstructions, then samples of the prior, (2B, C, H, W)."""
        return self.decode(torch.cat([z, drawn["z_p"]])).mean

    def logits(self, x: Tensor, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return the critic's logits of real images, and of the generated ones that `fake_sources` selects."""
        real, recon, prior = self.critic(torch.cat([x, images])).chunk(3)
        return real, {"both": torch.cat([recon, prior]), "recon": recon, "prior": prior}[self.fake_sources]

    def feature_distance(self, x: Tensor, images: Tensor) -> Tensor:
        """Return L_like: half the squared distance of features of images and reconstructions, its mean over images."""
        real, recon, _ = full_precision(self.critic.features(torch.cat([x, images]))).chunk(3)
        return 0.5 * (recon - real.detach()).square().sum(1).mean()
