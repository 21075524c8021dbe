"""Categorical latents with a uniform prior, which are relaxed where a gradient is needed."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch.nn.functional as F
from torch import Tensor

from vaezoo.distributed import exponential_like


class CategoricalPosterior(NamedTuple):
    """The posterior q(s|x) of a category with K values, from `logits` (B, K); the prior is uniform."""

    logits: Tensor
    temperature: float

    @property
    def probabilities(self) -> Tensor:
        """Return q(s|x), (B, K)."""
        return self.logits.softmax(dim=1)

    def sample(self, *, relaxed: bool = True) -> Tensor:
        """Draw from the Gumbel-softmax distribution, softmax((logits + g) / temperature), (B, K).

        Jang et al. (2017), Maddison et al. (2017). At any temperature the largest entry is at a category drawn from
        q(s|x), but the mean of the draws is q(s|x) only as the temperature goes to 0. Without `relaxed` the draw is
        one-hot and has no gradient.
        """
        gumbel = -exponential_like(self.logits).log()
        if relaxed:
            return relaxation(self.logits.log_softmax(dim=1), gumbel, self.temperature)
        return one_hot_of_largest((self.logits + gumbel).detach())

    def kl(self) -> Tensor:
        """Return KL(q(s|x) || uniform) = ln K + sum_k p_k ln p_k, in [0, ln K] nats; (B, 1).

        This is the KL of the category. The KL of its relaxed draw is larger, so that -(rec + kl) is certain to be a
        lower bound of log p(x) only with one-hot draws.
        """
        log_p = self.logits.log_softmax(dim=1)
        return math.log(self.logits.shape[1]) + (log_p.exp() * log_p).sum(dim=1, keepdim=True)

    def log_prob(self, s: Tensor) -> Tensor:
        """Return log q(s|x), (B, 1), of one-hot s (B, K); for a relaxed s it has no meaning."""
        return (s * self.logits.log_softmax(dim=1)).sum(dim=1, keepdim=True)


def first_category(probabilities: Sequence[Tensor]) -> Tensor:
    """Return the probabilities of the first category; AttributeError without one, as `hasattr` needs it."""
    if not probabilities:
        raise AttributeError("clusters: there is no categorical latent")
    return probabilities[0]


def relaxation(log_p: Tensor, gumbel: Tensor, temperature: float) -> Tensor:
    """Return softmax((ln p + g) / temperature) of each row: one-hot as the temperature goes to 0, uniform as it grows.

    `log_p` and `gumbel` are (B, K).
    """
    return ((log_p + gumbel) / temperature).softmax(dim=1)


def one_hot_of_largest(values: Tensor) -> Tensor:
    """Return one-hot rows (B, K) with the 1 at the largest of the values (B, K)."""
    return F.one_hot(values.argmax(dim=1), values.shape[1]).to(values.dtype)
