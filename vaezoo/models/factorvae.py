"""FactorVAE (Kim & Mnih, 2018): a discriminator estimates the total correlation that the VAE is charged for.

    VAE              minimises  rec + KL + gamma mean[ d_0(z) - d_1(z) ]                       (their equation 2)
    discriminator    minimises  1/2 [ CE(d(z), 0) + CE(d(z'), 1) ]

z are codes of one batch; z' are codes of an independent second batch in which every latent is permuted over the images,
so that they follow the product of the marginals. With the optimal discriminator the mean of d_0 - d_1 is the total
correlation of q(z), in nats; with the two classes swapped, as is easily done, it is minus that.

The discriminator moves after the VAE has, on detached codes: code that keeps the graph of the first pass either stops
with an error or reaches into the encoder. It has six hidden layers and no batch normalisation.
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
    """Each latent shuffled over the batch on its own, (B, J): the columns keep their values, the rows lose their ties.

    Shuffling within a row instead, as one public version does, makes independent latents of different scales look
    dependent: two of standard deviations 1 and 0.2 by 0.45 nats.
    """
    return z.gather(0, torch.rand_like(z).argsort(dim=0))


def total_correlation(logits: Tensor) -> Tensor:
    """The discriminator's estimate of TC, mean of d_0 - d_1 over codes of q(z); logits (B, 2), class 0 is q(z)."""
    logits = full_precision(logits)
    return (logits[:, 0] - logits[:, 1]).mean()


def discriminator_loss(joint: Tensor, permuted: Tensor) -> Tensor:
    """Half the sum of both cross-entropies; ln 2 for a discriminator that cannot tell them apart."""
    zeros = torch.zeros(len(joint), dtype=torch.int64, device=joint.device)
    ones = torch.ones(len(permuted), dtype=torch.int64, device=permuted.device)
    return 0.5 * (F.cross_entropy(full_precision(joint), zeros) + F.cross_entropy(full_precision(permuted), ones))


class FactorVAE(AdversarialModel):
    """Each step sees two batches: splitting one instead halves the batch that the total correlation is judged on."""

    compares_images = "the permutation of FactorVAE"
    batches_a_step = 2
    leader = "vae"

    def __init__(
        self,
        *,
        gamma: Weight,
        discriminator: Callable[..., nn.Module],
        **parts: Any,
    ) -> None:
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
        right = [joint[:, 0] > joint[:, 1], permuted[:, 1] > permuted[:, 0]]
        return {"loss": discriminator_loss(joint, permuted), "accuracy": torch.cat(right).float().mean()}
