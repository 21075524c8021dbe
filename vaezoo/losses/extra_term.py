"""Extra terms: what is added to the loss of any model, chosen by extra=NAME and found at model.extra.NAME."""

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from vaezoo.ranges import Weight

Encode = Callable[[Tensor, Tensor | None], Tensor]


class ExtraTerm(nn.Module):
    """A term of the codes of images, without parameters that learn; the loss gets `weight` times its value."""

    def __init__(self, weight: Weight) -> None:
        super().__init__()
        self.weight = weight

    def prepare(self, data: Any) -> None:
        """Take what the term needs from the data module, whose images are on the device; called before training."""

    def forward(self, encode: Encode, x: Tensor, labels: Tensor | None) -> Tensor:
        """Return the value for a batch of images x (B, C, H, W), a number.

        `encode` is a function of images and their classes, or None, to the means of continuous latents (B, J).
        """
        raise NotImplementedError
