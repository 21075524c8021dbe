"""DIP-VAE (Kumar, Sattigeri & Balakrishnan, 2018): the covariance of the aggregate posterior is pulled to identity.

    minimise  rec + KL + lambda_od sum_{i != j} C_ij^2 + lambda_d sum_i (C_ii - 1)^2          (their equations 6 and 7)

    kind i    C = Cov[mu]                             the covariance of the posterior means over the data
    kind ii   C = Cov[mu] + diag(E[sigma^2])          that of the codes z, by the law of total covariance

The mean variances of kind ii belong on the diagonal alone. Adding their average to every entry, as several public
versions do, penalises codes whose aggregate covariance already is the identity. Others centre each image over its
latents instead of each latent over the images, take exp(2 logvar) for the variance, or leave out 1/B, which asks for
variances of 1/B at lambda_od B^2. Kind i wants Cov[mu] alone to be I, so q(z) ends wider than the prior: it is no slip.
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
    """What a batch knows about its aggregate posterior; every entry is a mean over images, so moments average."""

    mean: Tensor  # E[mu], (J,)
    second: Tensor  # E[mu mu^T], (J, J)
    variance: Tensor  # E[sigma^2], (J,)


def batch_moments(mean: Tensor, logvar: Tensor) -> Moments:
    """Moments of a batch of posteriors, mean and logvar (B, J), each divided by B."""
    with torch.autocast(mean.device.type, enabled=False):  # bf16 products would drown small covariances
        return Moments(mean.mean(0), mean.T @ mean / len(mean), logvar.exp().mean(0))


def covariance(moments: Moments, kind: Literal["i", "ii"]) -> Tensor:
    """C of kind i or ii, (J, J)."""
    c = moments.second - torch.outer(moments.mean, moments.mean)
    return c if kind == "i" else c + torch.diag(moments.variance)


def covariance_gap(c: Tensor) -> tuple[Tensor, Tensor]:
    """How far C is from the identity: (sum_{i != j} C_ij^2, sum_i (C_ii - 1)^2), both triangles counted.

    For means that are exactly N(0, I) a batch of B still shows J(J-1)(B-1)/B^2 and J(2B-1)/B^2 on average: the
    weights have to be quoted with the batch size.
    """
    diagonal = c.diagonal()
    # Zeroed first: the difference of two large sums would lose the digits of small off-diagonal entries.
    off_diagonal = c - torch.diag(diagonal)
    return off_diagonal.square().sum(), (diagonal - 1).square().sum()


def running_moments(past: Moments, batch: Moments, weight: Tensor, *, grad_rescale: bool) -> Moments:
    """(1 - weight) past + weight batch, the past held constant.

    Differentiated as written, the penalty's gradient is `weight` times that of a single batch and fades as the average
    grows longer. With `grad_rescale` the value is the same and the gradient passes through the batch at full weight,
    so that lambda means the same for every length of the average. A plain mean over all past batches, differentiated as
    written, would switch the penalty off like 1 / t.
    """

    def mix(old: Tensor, new: Tensor) -> Tensor:
        value = torch.lerp(old, new, weight)
        return new + (value - new).detach() if grad_rescale else value

    return Moments(*(mix(old, new) for old, new in zip(past, batch, strict=True)))


class DIPVAE(LatentModel):
    """`cov="minibatch"` takes C from the batch; `cov="running"` from a bias-corrected average of its moments with the
    given `decay`, as the paper's running estimate (decay 0 is the minibatch form). That average comes too late to hold
    codes at a size: on images they swing and die out (docs/lessons.md), which is why it is not the default.

    `lambda_d=None` stands for the usual ratio: 10 lambda_od for kind i, lambda_od for kind ii.
    """

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
        """Those of the batch or, in training with `cov="running"`, of the average that it joins."""
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
