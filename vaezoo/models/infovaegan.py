"""InfoVAEGAN (Ye & Bors, 2021): a GAN with codes; its encoder learns from generated images, whose codes are known.

    critic       minimises -mean log D(x, u_E(x)) - mean log(1 - D(x_g, u))
    generator    minimises -mean log D(x_g, u)
    information  minimises mean CE(q(s|x_g), s) + mean |c - c_E(x_g)|^2,                      over encoder and generator
    encoder      minimises mean |x_g - G(u_E(x_g), noise)|^2 + KL_c + kappa KL_s,             over the encoder alone

x_g = G(u, noise) from codes u = [c, s] of the prior and noise, the same for all players of a step; u_E are draws from
the encoder's posterior, relaxed ones of categories. KL_s is to the uniform distribution and KL_c to N(0, I), as the
paper defines it: the prior of the codes is U(-1, 1), so their aggregate has at least KL(U || N) = 0.392458 nats a code.
Squared errors are sums over pixels in [0, 1]; likelihood.variance=0.125 is the authors' sum on [-1, 1], 4 times that.
"""

from collections.abc import Callable, Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn

from vaezoo.latents.categories import one_hot_of_largest
from vaezoo.latents.mixed import MixedPosterior
from vaezoo.losses.gan import critic_accuracy, critic_loss, fake_cost, generator_loss
from vaezoo.losses.information_bounds import information_bounds
from vaezoo.losses.schedules import scheduled
from vaezoo.models.adversarial import AdversarialModel
from vaezoo.models.base import Terms
from vaezoo.ranges import Weight


class InfoVAEGAN(AdversarialModel):
    """A GAN with codes and an encoder that learns on generated images.

    `mutual_information=False` is the ablation without the third player, so that nothing gives categories a meaning.
    `hard_codes` shows the critic the encoder's categories one-hot, like those of the prior. With `encoder_adversarial`,
    the printed min-max game, the encoder takes part in the generator's move, against the critic's real side. `c_loss`
    is the loss of continuous codes: "squared", for a draw, or "gaussian", -log q(c|x_g).
    """

    paper = (
        "Ye & Bors (2021). InfoVAEGAN: Learning Joint Interpretable Representations by Information Maximization "
        "and Maximum Likelihood. ICIP. arXiv:2107.04705"
    )
    latents = ("Codes",)
    likelihood_free = True
    recalibrates = True

    def __init__(
        self,
        *,
        kappa: Weight,
        mutual_information: bool,
        hard_codes: bool,
        encoder_adversarial: bool,
        c_loss: Literal["squared", "gaussian"],
        critic: Callable[..., nn.Module],
        **parts: Any,
    ) -> None:
        super().__init__(**parts)
        self.kappa = kappa
        self.mutual_information = mutual_information
        self.hard_codes = hard_codes
        self.encoder_adversarial = encoder_adversarial
        self.c_loss = c_loss
        self.critic = critic(self.image_shape, condition=self.latent.width)

    def players(self) -> dict[str, Sequence[nn.Module]]:
        generator = [self.decoder, self.encoder] if self.encoder_adversarial else [self.decoder]
        players: dict[str, Sequence[nn.Module]] = {"critic": [self.critic], "generator": generator}
        if self.mutual_information:
            players["information"] = [self.encoder, self.decoder]
        return {**players, "encoder": [self.encoder]}

    def draw(self, x: Tensor) -> Terms:
        count, device = len(x), x.device
        codes, noise = self.latent.sample_codes(count, device=device), self.latent.sample_noise(count, device=device)
        return {"codes": codes.to(x), "noise": noise.to(x)}

    def generate(self, codes: Tensor, drawn: Terms) -> Any:
        """Return the generator's distribution for codes (B, J) and the noise of the step."""
        return self.decode(torch.cat([codes, drawn["noise"]], dim=1))

    def judged_codes(self, x: Tensor) -> Tensor:
        """Draw the codes of real images for the critic; the gradient of one-hot categories is that of relaxed ones."""
        codes = self.encode(x).sample()
        if not self.hard_codes:
            return codes
        c, *relaxed = codes.split([self.latent.continuous, *self.latent.categories], dim=1)
        return torch.cat([c, *(one_hot_of_largest(s) + (s - s.detach()) for s in relaxed)], dim=1)

    def critic_objective(self, x: Tensor, drawn: Terms) -> Terms:
        with torch.no_grad():
            inferred, generated = self.judged_codes(x), self.generate(drawn["codes"], drawn).mean
        real, fake = self.critic(x, inferred), self.critic(generated, drawn["codes"])
        return {"loss": critic_loss(real, fake), **critic_accuracy(real, fake)}

    def generator_objective(self, x: Tensor, drawn: Terms) -> Terms:
        loss = generator_loss(self.critic(self.generate(drawn["codes"], drawn).mean, drawn["codes"]))
        if self.encoder_adversarial:
            loss = loss + fake_cost(self.critic(x, self.judged_codes(x)))
        return {"loss": loss}

    def information_objective(self, x: Tensor, drawn: Terms) -> Terms:
        codes, q = drawn["codes"], self.encode(self.generate(drawn["codes"], drawn).mean)
        log_c, log_s = q.log_prob(codes).tensor_split([self.latent.continuous], dim=1)
        c_loss, s_loss = -log_c.sum(1).mean(), -log_s.sum(1).mean()
        if self.c_loss == "squared":
            c = codes[:, : self.latent.continuous]
            c_loss = (c - q.continuous.sample()).square().sum(1).mean()
        return {"loss": s_loss + c_loss, "s_loss": s_loss, "c_loss": c_loss}

    def encoder_objective(self, x: Tensor, drawn: Terms) -> Terms:
        with torch.no_grad():
            generated = self.generate(drawn["codes"], drawn).mean
        q = self.encode(generated)
        terms = self.vae_terms(self.generate(q.sample(), drawn), q, generated)
        return {**terms, **information_bounds(q, drawn["codes"], self.latent)}

    def vae_terms(self, p: Any, q: MixedPosterior, target: Tensor) -> Terms:
        """Return rec of `target` under its reconstruction, the divergences of its codes, and their weighted sum."""
        kl_c, kl_s = q.kl().tensor_split([self.latent.continuous], dim=1)
        terms = {"vae_rec": p.rec(target).mean(), "vae_kl_c": kl_c.sum(1).mean(), "vae_kl_s": kl_s.sum(1).mean()}
        kappa = self.now(self.kappa)
        loss = terms["vae_rec"] + terms["vae_kl_c"] + kappa * terms["vae_kl_s"]
        return {"loss": loss, **terms, **scheduled(kappa=kappa)}
