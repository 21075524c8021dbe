"""Categorical variables, relaxed where a gradient has to pass."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch.nn.functional as F
from torch import Tensor

from vaezoo.distributed import exponential_like


class CategoricalPosterior(NamedTuple):
    """q(s|x) over K categories, from `logits` (B, K); the prior is uniform."""

    logits: Tensor
    temperature: float

    @property
    def probabilities(self) -> Tensor:
        return self.logits.softmax(dim=1)

    def sample(self, *, relaxed: bool = True) -> Tensor:
        """(B, K): a Gumbel-softmax draw, softmax((logits + g) / temperature) (Jang et al.; Maddison et al., 2017).

        The largest entry is the drawn category, distributed by q(s|x) at any temperature; the mean of the relaxed draw
        is that distribution only as the temperature goes to 0. Not `relaxed`, it is one-hot and has no gradient.
        """
        gumbel = -exponential_like(self.logits).log()
        if relaxed:
            return relaxation(self.logits.log_softmax(dim=1), gumbel, self.temperature)
        return one_hot_of_largest((self.logits + gumbel).detach())

    def kl(self) -> Tensor:
        """KL(q(s|x) || uniform) = ln K + sum_k p_k ln p_k, in [0, ln K] nats; (B, 1).

        It is that of the category, and below that of its relaxed draw, so the bound on log p(x) is strict for draws
        that are not relaxed.
        """
        log_p = self.logits.log_softmax(dim=1)
        return math.log(self.logits.shape[1]) + (log_p.exp() * log_p).sum(dim=1, keepdim=True)

    def log_prob(self, s: Tensor) -> Tensor:
        """log q(s|x) of one-hot s (B, K), of no relaxed one; (B, 1)."""
        return (s * self.logits.log_softmax(dim=1)).sum(dim=1, keepdim=True)


def first_of(probabilities: Sequence[Tensor]) -> Tensor:
    if not probabilities:
        raise AttributeError("clusters: there is no categorical latent")
    return probabilities[0]


def relaxation(log_p: Tensor, gumbel: Tensor, temperature: float) -> Tensor:
    """softmax((ln p + g) / temperature), rows; one-hot as the temperature goes to 0, uniform as it grows."""
    return ((log_p + gumbel) / temperature).softmax(dim=1)


def one_hot_of_largest(values: Tensor) -> Tensor:
    return F.one_hot(values.argmax(dim=1), values.shape[1]).to(values.dtype)
