"""Divergence of a Gaussian posterior from a mixture of Gaussians whose components are equally probable a priori."""

import math
from typing import Literal

import torch
from torch import Tensor

Form = Literal["decoupled", "sampled"]


def log_normal(h: Tensor, mean: Tensor, logvar: Tensor) -> Tensor:
    """Return log N(h; mean, diag exp(logvar)), summed over the last axis."""
    return -0.5 * ((h - mean).square() * torch.exp(-logvar) + logvar + math.log(2 * math.pi)).sum(-1)


def responsibilities(h: Tensor, means: Tensor, logvars: Tensor) -> Tensor:
    """Return pi_k, the posterior probabilities (B, K) of the components given h (B, H).

    `means` and `logvars` of the components are (B, K, H).
    """
    return log_normal(h[:, None], means, logvars).softmax(dim=1)


def mixture_kl(
    h: Tensor, mean: Tensor, logvar: Tensor, means: Tensor, logvars: Tensor, form: Form
) -> tuple[Tensor, Tensor]:
    """Return COND and KL_k, each (B,) in nats, for a draw h ~ q(h|x) = N(mean, exp(logvar)), all (B, H).

        KL_k = ln K + sum_k pi_k ln pi_k

        sampled     COND = sum_k pi_k [ log q(h|x) - log N_k(h) ]      COND + KL_k = log q(h|x) - log p(h) exactly
        decoupled   COND = sum_k pi_k KL(q(h|x) || N_k)                Dilokthanakul et al. (2016)

    The decoupled form ignores that pi depends on h. It is larger on average, so the bound still holds but is looser.
    `means` and `logvars` of the K components are (B, K, H).
    """
    log_components = log_normal(h[:, None], means, logvars)  # (B, K)
    log_pi = log_components.log_softmax(dim=1)
    pi = log_pi.exp()
    kl_k = math.log(means.shape[1]) + (pi * log_pi).sum(1)
    if form == "sampled":
        divergences = log_normal(h, mean, logvar)[:, None] - log_components  # (B, K)
    else:
        ratios = (logvar[:, None].exp() + (mean[:, None] - means).square()) * torch.exp(-logvars)
        divergences = 0.5 * (logvars - logvar[:, None] + ratios - 1).sum(-1)
    return (pi * divergences).sum(1), kl_k
