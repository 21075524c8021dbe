"""Layers of the encoders, generators and critics of adversarial models, which `conf/network` describes one by one.

A convolution is written [filters, kernel, stride]. `padded` convolutions divide or multiply the sides of a map by their
stride alone. Without padding the convolutions shrink an image to 1x1, which is possible for one size of images only.
Layers are numbered from 1, convolutions first.

Generators and critics return logits and do not end in a sigmoid or a tanh. Images are in [0, 1]; a network whose paper
has images in [-1, 1] is `centred` and rescales them itself.
"""

import math
from collections.abc import Sequence
from typing import TypedDict

from torch import Tensor, nn

from vaezoo.networks.whole_batch import Dropout
from vaezoo.ranges import Convolutions, NonNegative, Probability


def initialise(module: nn.Module, std: float | None, bn_std: float = 0.0) -> None:
    """Draw weights from N(0, std) and scales of batch normalisation from N(1, bn_std), and set biases to 0.

    Without a std everything keeps torch's initial values.
    """
    if std is None:
        return
    for layer in module.modules():
        if isinstance(layer, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(layer.weight, 0.0, std)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
        elif isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d) and layer.affine:
            nn.init.normal_(layer.weight, 1.0, bn_std)


def bottom_sides(image_shape: Sequence[int], convolutions: Convolutions, padded: bool) -> tuple[int, int]:
    """Return height and width of the smallest feature map of an image (C, H, W).

    Raises ValueError where the sides are not divisible by the product of the strides or, without padding, where the
    convolutions do not shrink the image to exactly 1x1.
    """
    _, height, width = image_shape
    if padded:
        factor = math.prod(stride for _, _, stride in convolutions)
        if height % factor or width % factor:
            raise ValueError(f"this network needs image sides divisible by {factor}, got {height}x{width}")
        return height // factor, width // factor
    side = 1
    for _, kernel, stride in reversed(convolutions):
        side = (side - 1) * stride + kernel
    if (height, width) != (side, side):
        raise ValueError(f"this network takes {side}x{side} images alone, got {height}x{width}")
    return 1, 1


class Maxout(nn.Module):
    """The activation that returns the larger of every two adjacent channels (Goodfellow et al., 2013)."""

    def forward(self, h: Tensor) -> Tensor:
        return h.unflatten(1, (-1, 2)).amax(2)


class LayerStyle(TypedDict, total=False):
    """What all layers of a network have in common."""

    slope: NonNegative  # of the LeakyReLU; 0 is a ReLU
    maxout: bool
    affine: bool  # whether batch normalisation has a scale and a shift
    dropout: Probability


class Layer(nn.Module):
    """A linear map or convolution with normalisation, activation and dropout, and with codes (B, `condition`) or not.

    A linear map of the codes is added to that of the input, which is the same as one linear map of both concatenated.
    """

    def __init__(
        self,
        linear: nn.Linear | nn.Conv2d,
        *,
        normed: bool,
        condition: int = 0,
        affine: bool = True,
        slope: NonNegative = 0.2,
        maxout: bool = False,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        outputs = linear.out_features if isinstance(linear, nn.Linear) else linear.out_channels
        norm = nn.BatchNorm1d if isinstance(linear, nn.Linear) else nn.BatchNorm2d
        self.outputs = outputs // 2 if maxout else outputs
        self.linear = linear
        self.codes = nn.Linear(condition, outputs, bias=False) if condition else None
        self.activation = nn.Sequential(
            norm(outputs, affine=affine) if normed else nn.Identity(), Maxout() if maxout else nn.LeakyReLU(slope)
        )
        self.dropout = Dropout(dropout) if dropout else nn.Identity()

    def apply_linear(self, h: Tensor, u: Tensor | None = None) -> Tensor:
        """Return the output of the linear map, before normalisation."""
        h = self.linear(h.flatten(1) if isinstance(self.linear, nn.Linear) else h)
        return h if u is None or self.codes is None else h + self.codes(u)

    def forward(self, h: Tensor, u: Tensor | None = None) -> Tensor:
        return self.dropout(self.activation(self.apply_linear(h, u)))
