"""Encoders, generators and critics of adversarial models, described layer by layer in `conf/network`.

A convolution is written [filters, kernel, stride]. `padded` ones change the sides of an image by their stride alone;
the others shrink it to 1x1, which only one size of image does. Layers are numbered from 1, convolutions first.

Generators and critics give logits, nothing ends in a sigmoid or a tanh: since 2 sigmoid(l) - 1 = tanh(l / 2), a
published tanh is the likelihood's sigmoid up to the scale of the last layer. Images come in [0, 1]; a network whose
paper has them in [-1, 1] is `centred`.
"""

import math
from collections.abc import Sequence
from typing import TypedDict

from torch import Tensor, nn

from vaezoo.networks.whole_batch import Dropout
from vaezoo.ranges import Convolutions, NonNegative, Probability


def initialise(module: nn.Module, std: float | None, bn_std: float = 0.0) -> None:
    """Weights N(0, std), biases 0, scales of batch normalisation N(1, bn_std); without a std all stay torch's own."""
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
    """Height and width of the smallest feature map, refused when the image does not shrink to one."""
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
    """The larger of each two neighbouring channels (Goodfellow et al., 2013): half of them come out."""

    def forward(self, h: Tensor) -> Tensor:
        return h.unflatten(1, (-1, 2)).amax(2)


class LayerStyle(TypedDict, total=False):
    """What all layers of a network have in common."""

    slope: NonNegative  # of the LeakyReLU; 0 is a ReLU
    maxout: bool
    affine: bool  # whether batch normalisation has a scale and a shift
    dropout: Probability


class Layer(nn.Module):
    """A linear map to which a linear map of codes (B, `condition`) may be added; normalisation, activation, dropout.

    Adding W u to the linear map of h is the linear map of h and u concatenated.
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

    def raw(self, h: Tensor, u: Tensor | None = None) -> Tensor:
        """What the linear map gives, before normalisation."""
        h = self.linear(h.flatten(1) if isinstance(self.linear, nn.Linear) else h)
        return h if u is None or self.codes is None else h + self.codes(u)

    def forward(self, h: Tensor, u: Tensor | None = None) -> Tensor:
        return self.dropout(self.activation(self.raw(h, u)))
