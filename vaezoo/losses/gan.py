"""What critics and generators minimise, from logits l of "real" (D = sigmoid(l)); means over the batch.

The logarithm of a sigmoid is never taken: -log D = softplus(-l) and -log(1 - D) = softplus(l). The terms of the two
sides are added, so a critic without an opinion pays log 4 = 1.3863; some public code halves them and shows 0.6931.
"""

from typing import Literal

import torch.nn.functional as F
from torch import Tensor

from vaezoo.numerics import full_precision

GeneratorLoss = Literal["nonsaturating", "saturating", "logit"]


def real_cost(logits: Tensor, label: float = 1.0) -> Tensor:
    """-label log D - (1 - label) log(1 - D); a label below 1 smooths the real side alone (Salimans et al., 2016)."""
    logits = full_precision(logits)
    return (label * F.softplus(-logits) + (1 - label) * F.softplus(logits)).mean()


def fake_cost(logits: Tensor) -> Tensor:
    """-log(1 - D)."""
    return F.softplus(full_precision(logits)).mean()


def critic_loss(real: Tensor, fake: Tensor, real_label: float = 1.0) -> Tensor:
    """-log D(real) - log(1 - D(fake)) (Goodfellow et al., 2014); at the optimum log 4 - 2 JS."""
    return real_cost(real, real_label) + fake_cost(fake)


def generator_loss(fake: Tensor, kind: GeneratorLoss = "nonsaturating") -> Tensor:
    """What a generator minimises on the logits of its images.

    nonsaturating  -log D: its slope -(1 - D) stays when the critic wins, which is why it is the default
    saturating     log(1 - D), the other side of the critic's loss: its slope -D goes with the generator's chances
    logit          -l, the log ratio itself
    """
    fake = full_precision(fake)
    if kind == "nonsaturating":
        return F.softplus(-fake).mean()
    if kind == "saturating":
        return -F.softplus(fake).mean()
    return -fake.mean()


def critic_accuracy(real: Tensor, fake: Tensor) -> dict[str, Tensor]:
    """Shares of real and of generated images that the critic takes for what they are; 1/2 when it can't tell."""
    return {"accuracy_real": (real > 0).float().mean(), "accuracy_fake": (fake <= 0).float().mean()}
