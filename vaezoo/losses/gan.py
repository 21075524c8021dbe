"""The losses of critics and generators, from logits l of "real", D = sigmoid(l); means over the batch, in nats.

The logarithm of a sigmoid is computed as -log D = softplus(-l) and -log(1 - D) = softplus(l), because D can round to 0
or 1. The losses of both sides are added, so a critic that cannot distinguish them has a loss of log 4 = 1.3863.
"""

from typing import Literal

import torch.nn.functional as F
from torch import Tensor

from vaezoo.numerics import full_precision

GeneratorLoss = Literal["nonsaturating", "saturating", "logit"]


def real_cost(logits: Tensor, label: float = 1.0) -> Tensor:
    """Return -label log D - (1 - label) log(1 - D) of real images.

    A label below 1 smooths the real side alone (Salimans et al., 2016, section 3.4).
    """
    logits = full_precision(logits)
    return (label * F.softplus(-logits) + (1 - label) * F.softplus(logits)).mean()


def fake_cost(logits: Tensor) -> Tensor:
    """Return -log(1 - D) of generated images."""
    return F.softplus(full_precision(logits)).mean()


def critic_loss(real: Tensor, fake: Tensor, real_label: float = 1.0) -> Tensor:
    """Return -log D(real) - log(1 - D(fake)) (Goodfellow et al., 2014, eq. 1); at the optimum log 4 - 2 JS."""
    return real_cost(real, real_label) + fake_cost(fake)


def generator_loss(fake: Tensor, kind: GeneratorLoss = "nonsaturating") -> Tensor:
    """Return the loss of a generator from the logits of its images.

    nonsaturating  -log D, whose slope -(1 - D) stays large while the critic wins; this is the default
    saturating     log(1 - D), whose slope -D vanishes while the critic wins
    logit          -l, the log ratio of the densities at the optimum
    """
    fake = full_precision(fake)
    if kind == "nonsaturating":
        return F.softplus(-fake).mean()
    if kind == "saturating":
        return -F.softplus(fake).mean()
    return -fake.mean()


def critic_accuracy(real: Tensor, fake: Tensor) -> dict[str, Tensor]:
    """Return the shares of real and of generated images that the critic classifies correctly, in [0, 1]."""
    return {"accuracy_real": (real > 0).float().mean(), "accuracy_fake": (fake <= 0).float().mean()}
