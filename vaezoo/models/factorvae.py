"""FactorVAE (Kim & Mnih, 2018): a discriminator estimates the total correlation, which the VAE minimises.

    VAE              minimises  rec + KL + gamma mean[ d_0(z) - d_1(z) ]                       (their equation 2)
    discriminator    minimises  1/2 [ CE(d(z), 0) + CE(d(z'), 1) ]

z are codes of one batch; z' are codes of an independent second batch in which each latent is permuted over the images,
so that they follow the product of the marginals. For the optimal discriminator the mean of d_0 - d_1 is the total
correlation of q(z), in nats. The discriminator moves after the VAE, on detached codes.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vaezoo.distributed import gather, own_rows
from vaezoo.losses.elbo import elbo_terms
from vaezoo.losses.schedules import scheduled
from vaezoo.models.adversarial import AdversarialModel
from vaezoo.models.base import Terms
from vaezoo.numerics import full_precision
from vaezoo.ranges import Weight


def permute_dims(z: Tensor) -> Tensor:
    """Permute each latent over the batch independently of the others, (B, J)."""
    return z.gather(0, torch.rand_like(z).argsort(dim=0))


def total_correlation(logits: Tensor) -> Tensor:
    """Estimate TC in nats, the mean of d_0 - d_1; logits (B, 2) of codes of q(z), which is class 0."""
    logits = full_precision(logits)
    return (logits[:, 0] - logits[:, 1]).mean()


def discriminator_loss(joint: Tensor, permuted: Tensor) -> Tensor:
    """Return half the sum of both cross-entropies; logits (B, 2). It is ln 2 where the discriminator only guesses."""
    zeros = torch.zeros(len(joint), dtype=torch.int64, device=joint.device)
    ones = torch.ones(len(permuted), dtype=torch.int64, device=permuted.device)
    return 0.5 * (F.cross_entropy(full_precision(joint), zeros) + F.cross_entropy(full_precision(permuted), ones))


class FactorVAE(AdversarialModel):
    """A VAE with a discriminator of codes; each step takes two batches, so that TC is estimated on a whole one."""

    paper = "Kim & Mnih (2018). Disentangling by Factorising. ICML. arXiv:1802.05983"
    compares_images = "the permutation of FactorVAE"
    batches_a_step = 2
    leader = "vae"

    def __init__(self, *, gamma: Weight, discriminator: Callable[..., nn.Module], **parts: Any) -> None:
        super().__init__(**parts)
        self.gamma = gamma
        self.discriminator = discriminator(self.latent.dim)

    def players(self) -> dict[str, Sequence[nn.Module]]:
        return {"vae": [self.encoder, self.decoder], "discriminator": [self.discriminator]}

    def vae_objective(self, x: Tensor, drawn: Terms) -> Terms:
        x, _ = x.chunk(2)
        q = self.encode(x)
        z = q.sample()
        drawn["z"] = z.detach()
        terms = elbo_terms(self.decode(z), q, x)
        tc = total_correlation(self.discriminator(z))
        gamma = self.now(self.gamma)
        loss = terms["rec"] + terms["kl"] + gamma * tc
        return {"loss": loss, **terms, "tc": tc, **scheduled(gamma=gamma)}

    def discriminator_objective(self, x: Tensor, drawn: Terms) -> Terms:
        _, second = x.chunk(2)
        with torch.no_grad():
            independent = own_rows(permute_dims(gather(self.encode(second).sample())))
        joint, permuted = self.discriminator(drawn["z"]), self.discriminator(independent)
        is_right = torch.cat([joint[:, 0] > joint[:, 1], permuted[:, 1] > permuted[:, 0]])
        return {"loss": discriminator_loss(joint, permuted), "accuracy": is_right.float().mean()}
