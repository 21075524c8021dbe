"""DIP-VAE (Kumar, Sattigeri & Balakrishnan, 2018): the covariance of the aggregate posterior is pulled to identity.

    minimise  rec + KL + lambda_od sum_{i != j} C_ij^2 + lambda_d sum_i (C_ii - 1)^2          (their equations 6 and 7)

    kind i    C = Cov[mu]                             the covariance of the posterior means over the data
    kind ii   C = Cov[mu] + diag(E[sigma^2])          that of the codes z, by the law of total covariance

The mean variances of kind ii belong on the diagonal alone. Kind i wants Cov[mu] alone to be I, so its q(z) ends wider
than the prior; the paper intends that.
"""

from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

from vaezoo.distributed import gather
from vaezoo.losses.elbo import elbo_terms
from vaezoo.losses.schedules import Scaled, scheduled
from vaezoo.models.base import LatentModel, Terms
from vaezoo.ranges import Probability, Weight


class Moments(NamedTuple):
    """Moments of the aggregate posterior of a batch; as means over images they can be averaged over batches."""

    mean: Tensor  # E[mu], (J,)
    second: Tensor  # E[mu mu^T], (J, J)
    variance: Tensor  # E[sigma^2], (J,)


def batch_moments(mean: Tensor, logvar: Tensor) -> Moments:
    """Return the moments of a batch of posteriors, mean and logvar (B, J)."""
    with torch.autocast(mean.device.type, enabled=False):  # because bf16 products are too coarse for small covariances
        return Moments(mean.mean(0), mean.T @ mean / len(mean), logvar.exp().mean(0))


def covariance(moments: Moments, kind: Literal["i", "ii"]) -> Tensor:
    """Return C of kind i or ii, (J, J)."""
    c = moments.second - torch.outer(moments.mean, moments.mean)
    return c if kind == "i" else c + torch.diag(moments.variance)


def covariance_gap(c: Tensor) -> tuple[Tensor, Tensor]:
    """Return the distance of C to the identity: (sum_{i != j} C_ij^2, sum_i (C_ii - 1)^2), both triangles counted.

    For means that are exactly N(0, I) a batch of B images has J(J-1)(B-1)/B^2 and J(2B-1)/B^2 on average. Quote the
    weights with the batch size.
    """
    diagonal = c.diagonal()
    # The diagonal is removed before squaring, because the difference of two large sums would lose small entries.
    off_diagonal = c - torch.diag(diagonal)
    return off_diagonal.square().sum(), (diagonal - 1).square().sum()


def running_moments(past: Moments, batch: Moments, weight: Tensor, *, grad_rescale: bool) -> Moments:
    """Return (1 - weight) past + weight batch, with the past as a constant.

    The gradient of that is `weight` times the gradient of a single batch, and so smaller the longer the average is.
    With `grad_rescale` the value is the same and the gradient is that of the batch at full weight, so that a lambda
    has the same strength for every length of the average.
    """

    def mix(old: Tensor, new: Tensor) -> Tensor:
        value = torch.lerp(old, new, weight)
        return new + (value - new).detach() if grad_rescale else value

    return Moments(*(mix(old, new) for old, new in zip(past, batch, strict=True)))


class DIPVAE(LatentModel):
    """A VAE with a penalty on the covariance of its codes.

    `cov="minibatch"` takes C from the batch; `cov="running"`, the paper's, from a bias-corrected average of moments
    with `decay`. It is not the default, because with it codes swing and vanish on images (docs/lessons.md).
    `lambda_d=None` is the usual ratio: 10 lambda_od for kind i, lambda_od for kind ii.
    """

    paper = (
        "Kumar, Sattigeri & Balakrishnan (2018). Variational Inference of Disentangled Latent Concepts from "
        "Unlabeled Observations. ICLR. arXiv:1711.00848"
    )
    compares_images = "the covariance of DIP-VAE"
    running_mean: Tensor
    running_second: Tensor
    running_variance: Tensor

    def __init__(
        self,
        *,
        kind: Literal["i", "ii"],
        lambda_od: Weight,
        lambda_d: Weight | None = None,
        cov: Literal["minibatch", "running"] = "minibatch",
        decay: Probability = 0.9,
        grad_rescale: bool = True,
        **parts: Any,
    ) -> None:
        super().__init__(**parts)
        self.kind: Literal["i", "ii"] = kind
        self.lambda_od = lambda_od
        if lambda_d is None:
            ratio = 10 if kind == "i" else 1
            lambda_d = Scaled(lambda_od, ratio) if callable(lambda_od) else lambda_od * ratio
        self.lambda_d = lambda_d
        self.cov = cov
        self.decay = decay
        self.grad_rescale = grad_rescale
        dim = self.latent.dim
        self.register_buffer("running_mean", torch.zeros(dim))
        self.register_buffer("running_second", torch.zeros(dim, dim))
        self.register_buffer("running_variance", torch.zeros(dim))

    def moments(self, mean: Tensor, logvar: Tensor) -> Moments:
        """Return the moments of the batch or, in training with `cov="running"`, of the average that it joins."""
        batch = batch_moments(gather(mean), gather(logvar))
        if self.cov == "minibatch" or not self.training:
            return batch
        past = Moments(self.running_mean, self.running_second, self.running_variance)
        weight = (1 - self.decay) / (1 - self.decay ** (self.batches + 1.0))  # 1 at the first batch
        average = running_moments(past, batch, weight, grad_rescale=self.grad_rescale)
        for buffer, value in zip(past, average, strict=True):
            buffer.copy_(value.detach())
        return average

    def objective(self, x: Tensor, labels: Tensor | None = None) -> Terms:
        q = self.encode(x)
        terms = elbo_terms(self.decode(q.sample()), q, x)
        off_diagonal, diagonal = covariance_gap(covariance(self.moments(q.mean, q.logvar), self.kind))
        lambda_od, lambda_d = self.now(self.lambda_od), self.now(self.lambda_d)
        loss = terms["rec"] + terms["kl"] + lambda_od * off_diagonal + lambda_d * diagonal
        weights = scheduled(lambda_od=lambda_od, lambda_d=lambda_d)
        return {"loss": loss, **terms, "dip_od": off_diagonal, "dip_d": diagonal, **weights}
