"""Likelihoods: a decoder's output (B, C, H, W) becomes a distribution over images in [0, 1].

`rec(x)` is the reconstruction term that models minimise, in nats per image, summed over pixels and channels.
`log_prob(x)` is the full log density: -rec(x), minus the constant that a fixed variance adds and that no gradient
sees. `cross_entropy(x)` treats the mean image as probabilities whatever the likelihood is, to compare models by. All
are computed in float32 whatever the precision of the network.
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
    return values.flatten(1).sum(1)


def mean_cross_entropy(mean: Tensor, x: Tensor) -> Tensor:
    """-x ln mean - (1 - x) ln(1 - mean), summed over pixels; the logarithms are cut at -100."""
    return sum_pixels(F.binary_cross_entropy(mean.clamp(0, 1), x, reduction="none"))


class Bernoulli:
    """Independent binary pixels with the decoder's output as logits.

    On grey images the cross-entropy is no density: it compares only with itself and its minimum is not 0 but
    `rec_floor`, the entropy of the grey values.
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
        return self.rec(x)  # from the logits, which a rounded mean cannot give back

    @staticmethod
    def rec_floor(x: Tensor) -> Tensor:
        """The smallest value that rec(x) can take, nats per image: the summed entropy of the pixel values."""
        return sum_pixels(-torch.xlogy(x, x) - torch.xlogy(1 - x, 1 - x))


class Gaussian:
    """Independent Gaussian pixels of one fixed variance s^2.

    With the default s^2 = 1/2, rec is exactly the summed squared error. The mean is the sigmoid of the decoder's
    output, or the output itself with `link="identity"`. The "fixed 0.01" of Schik's code passes a softplus before it is
    a standard deviation: s^2 is 0.487 there and the weight of the squared error 1.026, not 5000.
    """

    def __init__(self, output: Tensor, *, variance: Positive = 0.5, link: Literal["sigmoid", "identity"] = "sigmoid"):
        output = full_precision(output)
        self.mean = torch.sigmoid(output) if link == "sigmoid" else output
        self.variance = variance

    def sample(self) -> Tensor:
        """An image with the noise of its pixels, reparameterised: (B, C, H, W), beyond [0, 1] too."""
        return self.mean + self.variance**0.5 * normal_like(self.mean)

    def rec(self, x: Tensor) -> Tensor:
        return sum_pixels((x - self.mean).square()) / (2 * self.variance)

    def cross_entropy(self, x: Tensor) -> Tensor:
        return mean_cross_entropy(self.mean, x)

    def log_prob(self, x: Tensor) -> Tensor:
        return -self.rec(x) - 0.5 * x[0].numel() * math.log(2 * math.pi * self.variance)


class ContinuousBernoulli:
    """The density exp(l x) l / (exp(l) - 1) on [0, 1], l the decoder's output (Loaiza-Ganem & Cunningham, 2019).

    The Bernoulli cross-entropy with the normalising constant that makes it a density on grey pixels. Written in the
    logit l the constant of the paper's equation 8 is l / tanh(l / 2), and

        -log p(x) = log sinhc(l / 2) + l (1/2 - x),     sinhc(h) = sinh(h) / h.
    """

    def __init__(self, output: Tensor) -> None:
        self.logits = full_precision(output)

    @property
    def mean(self) -> Tensor:
        """E[x] = 1/2 + coth(l/2)/2 - 1/l, by its series where the two poles cancel."""
        h = self.logits / 2
        near = h.abs() < 0.1
        safe = torch.where(near, torch.ones_like(h), h)
        return 0.5 + torch.where(near, h / 6 - h**3 / 90 + h**5 / 945, 0.5 / torch.tanh(safe) - 0.5 / safe)

    def rec(self, x: Tensor) -> Tensor:
        h = (self.logits / 2).abs()
        near = h < 0.1
        safe = torch.where(near, torch.ones_like(h), h)  # keeps the unused branch's gradient finite
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
