"""Likelihoods: distributions over images x in [0, 1], computed from a decoder's output; both are (B, C, H, W).

All likelihoods have

    mean                the mean image, (B, C, H, W)
    rec(x)              the reconstruction term that models minimise: -log p(x), but without the constant of a fixed
                        variance, which has no gradient
    log_prob(x)         the complete log density
    cross_entropy(x)    the cross-entropy with the mean image as probabilities, by which all likelihoods compare

The last three are (B,), in nats per image, summed over pixels and channels. They are computed in float32 at least,
whatever the precision of the network.
"""

import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from vaezoo.distributed import normal_like
from vaezoo.numerics import full_precision
from vaezoo.ranges import Positive


def sum_pixels(values: Tensor) -> Tensor:
    """Sum values (B, C, H, W) over pixels and channels, (B,)."""
    return values.flatten(1).sum(1)


def mean_cross_entropy(mean: Tensor, x: Tensor) -> Tensor:
    """Return -x ln mean - (1 - x) ln(1 - mean), summed over pixels, (B,), with logarithms of at least -100."""
    return sum_pixels(F.binary_cross_entropy(mean.clamp(0, 1), x, reduction="none"))


class Bernoulli:
    """Independent binary pixels, with the decoder's output as logits.

    For grey images this is a cross-entropy and not the density of a distribution, so its values compare with each other
    only. Its minimum is not 0 but `rec_floor`, the entropy of the grey values.
    """

    def __init__(self, output: Tensor) -> None:
        self.logits = full_precision(output)

    @property
    def mean(self) -> Tensor:
        return torch.sigmoid(self.logits)

    def rec(self, x: Tensor) -> Tensor:
        return sum_pixels(F.binary_cross_entropy_with_logits(self.logits, x, reduction="none"))

    def log_prob(self, x: Tensor) -> Tensor:
        return -self.rec(x)

    def cross_entropy(self, x: Tensor) -> Tensor:
        return self.rec(x)  # The logits are more exact than the mean, which rounds near 0 and 1.

    @staticmethod
    def rec_floor(x: Tensor) -> Tensor:
        """Return the smallest possible rec(x), (B,): the entropy of the pixel values, summed over pixels."""
        return sum_pixels(-torch.xlogy(x, x) - torch.xlogy(1 - x, 1 - x))


class Gaussian:
    """Independent Gaussian pixels with a fixed `variance` s^2.

    With the default s^2 = 1/2, rec is exactly the summed squared error. The mean is the sigmoid of the decoder's
    output, or the output itself with `link="identity"`.
    """

    def __init__(self, output: Tensor, *, variance: Positive = 0.5, link: Literal["sigmoid", "identity"] = "sigmoid"):
        output = full_precision(output)
        self.mean = torch.sigmoid(output) if link == "sigmoid" else output
        self.variance = variance

    def sample(self) -> Tensor:
        """Draw images with the noise of their pixels and a gradient, (B, C, H, W); values can be outside of [0, 1]."""
        return self.mean + self.variance**0.5 * normal_like(self.mean)

    def rec(self, x: Tensor) -> Tensor:
        return sum_pixels((x - self.mean).square()) / (2 * self.variance)

    def cross_entropy(self, x: Tensor) -> Tensor:
        return mean_cross_entropy(self.mean, x)

    def log_prob(self, x: Tensor) -> Tensor:
        return -self.rec(x) - 0.5 * x[0].numel() * math.log(2 * math.pi * self.variance)


class ContinuousBernoulli:
    """Independent pixels with the density exp(l x) l / (exp(l) - 1) on [0, 1], with l the decoder's output.

    Loaiza-Ganem & Cunningham (2019): the Bernoulli cross-entropy with the normalising constant that makes it a density
    for grey pixels. In terms of the logit l the constant of the paper's equation 8 is l / tanh(l / 2), and

        -log p(x) = log sinhc(l / 2) + l (1/2 - x),     sinhc(h) = sinh(h) / h.
    """

    def __init__(self, output: Tensor) -> None:
        self.logits = full_precision(output)

    @property
    def mean(self) -> Tensor:
        """Return E[x] = 1/2 + coth(l/2)/2 - 1/l; near l = 0, where the two poles cancel, by its series."""
        h = self.logits / 2
        near = h.abs() < 0.1
        safe = torch.where(near, torch.ones_like(h), h)
        return 0.5 + torch.where(near, h / 6 - h**3 / 90 + h**5 / 945, 0.5 / torch.tanh(safe) - 0.5 / safe)

    def rec(self, x: Tensor) -> Tensor:
        h = (self.logits / 2).abs()
        near = h < 0.1
        safe = torch.where(near, torch.ones_like(h), h)  # The gradient of the unused branch must be finite.
        log_sinhc = torch.where(
            near,
            h.square() / 6 - h**4 / 180 + h**6 / 2835,
            safe + torch.log1p(-torch.exp(-2 * safe)) - torch.log(2 * safe),
        )
        return sum_pixels(log_sinhc + self.logits * (0.5 - x))

    def log_prob(self, x: Tensor) -> Tensor:
        return -self.rec(x)

    def cross_entropy(self, x: Tensor) -> Tensor:
        return mean_cross_entropy(self.mean, x)
