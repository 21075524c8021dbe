"""Critics and encoders of adversarial models, with the conventions of `vaezoo.networks.layers`."""

import math
from collections.abc import Sequence
from typing import Any, Unpack

from torch import Tensor, nn

from vaezoo.networks.fast_convolutions import Conv2d
from vaezoo.networks.layers import Layer, LayerStyle, bottom_sides, initialise
from vaezoo.networks.mlp import append_condition
from vaezoo.networks.whole_batch import Dropout
from vaezoo.ranges import Convolutions, Count, LayerNumbers, NonNegative, Positive, Probability, Sizes


class Critic(nn.Module):
    """A network from images (B, C, H, W) to `outputs` logits each, with codes (B, `condition`) where it judges pairs.

    It has convolutions and then fully connected layers of `hidden` units. Layers whose numbers are in `normed` have
    batch normalisation, with a `bias` before it or without. Codes pass through layers of `code_hidden` units and then
    enter the fully connected layers whose numbers are in `joins`, by default the first. Without fully connected layers
    they are appended to the flattened maps.

    `convolutions` are [filters, kernel, stride] each. Those that are `padded` divide the sides by their strides;
    without padding they shrink the image to 1x1. `features` is the layer that VAE/GAN compares, before its
    normalisation. A `centred` network rescales images from [0, 1] to [-1, 1]. `input_dropout` is the share of inputs
    that training sets to 0. Initial weights are drawn from N(0, `std`), or as PyTorch does it without `std`. Initial
    scales of batch normalisation are drawn from N(1, `bn_std`).

    All layers share their `style`. `slope` is that of LeakyReLU for negative inputs; 0 is ReLU. `maxout` takes the
    larger of every two channels instead. Batch normalisation has a scale and a shift if it is `affine`. `dropout` is
    the share of units that training sets to 0.
    """

    layers: Sequence[Layer]

    def __init__(
        self,
        image_shape: Sequence[int],
        condition: int = 0,
        outputs: int = 1,
        *,
        convolutions: Convolutions = (),
        hidden: Sizes = (),
        code_hidden: LayerNumbers = (),
        normed: LayerNumbers = (),
        joins: Sizes | None = None,
        features: Count = 1,
        padded: bool = True,
        bias: bool = True,
        centred: bool = False,
        input_dropout: Probability = 0.0,
        std: Positive | None = None,
        bn_std: NonNegative = 0.0,
        **style: Unpack[LayerStyle],
    ) -> None:
        super().__init__()
        self.condition, self.compared, self.centred = condition, features, centred
        self.input_dropout = Dropout(input_dropout) if input_dropout else nn.Identity()
        code_layers: list[Layer] = []
        for units in code_hidden if condition else ():
            code_layers.append(Layer(nn.Linear(condition, units), normed=False, **style))
            condition = code_layers[-1].outputs
        self.code_layers = nn.Sequential(*code_layers)

        layers: list[Layer] = []
        inputs, sides = image_shape[0], bottom_sides(image_shape, convolutions, padded)
        for number, (filters, kernel, stride) in enumerate(convolutions, start=1):
            padding, with_bias = (kernel - 1) // 2 if padded else 0, bias or number not in normed
            convolution = Conv2d(inputs, filters, kernel, stride, padding, bias=with_bias)
            layers.append(Layer(convolution, normed=number in normed, **style))
            inputs = layers[-1].outputs
        inputs, first = inputs * math.prod(sides), len(layers) + 1
        joins = joins or [first]
        if hidden and not set(joins) <= set(range(first, first + len(hidden))):
            raise ValueError(f"joins={list(joins)}: codes join fully connected layers, whose numbers begin at {first}")
        for number, units in enumerate(hidden, start=first):
            joined = condition if number in joins else 0
            linear = nn.Linear(inputs, units, bias=bias or number not in normed)
            layers.append(Layer(linear, normed=number in normed, condition=joined, **style))
            inputs = layers[-1].outputs
        self.layers = nn.ModuleList(layers)  # type: ignore[assignment]
        self.joins_layers = len(hidden) > 0
        self.num_hidden = inputs if hidden else inputs + condition
        self.head = nn.Linear(self.num_hidden, outputs)
        initialise(self, std, bn_std)

    def rescale(self, x: Tensor) -> Tensor:
        """Rescale images from [0, 1] to the range of the network."""
        return 2 * x - 1 if self.centred else x

    def features(self, x: Tensor) -> Tensor:
        """Return layer `features` before its normalisation, flattened to (B, F), for a likelihood in feature space.

        There is no dropout here, because with it an image would differ from itself; and there are no codes.
        """
        h = self.rescale(x)
        for layer in self.layers[: self.compared - 1]:
            h = layer.activation(layer.apply_linear(h))
        return self.layers[self.compared - 1].apply_linear(h).flatten(1)

    def hidden(self, x: Tensor, u: Tensor | None = None) -> Tensor:
        """Return the last hidden layer, (B, num_hidden), which other heads can use, too.

        Raises ValueError unless `u` has `condition` columns.
        """
        columns = 0 if u is None else u.shape[1]
        if columns != self.condition:
            raise ValueError(f"this network takes {self.condition} numbers beside each image, got {columns}")
        h = self.input_dropout(self.rescale(x))
        if u is not None:
            u = self.code_layers(self.input_dropout(u))
        for layer in self.layers:
            h = layer(h, u)
        return h if self.joins_layers else append_condition(h.flatten(1), u)

    def forward(self, x: Tensor, u: Tensor | None = None) -> Tensor:
        return self.head(self.hidden(x, u))


class Encoder(Critic):
    """A network of the same layers from images (B, C, H, W) to `num_params` numbers each, all in one last layer."""

    def __init__(self, image_shape: Sequence[int], num_params: int, **options: Any) -> None:
        super().__init__(image_shape, outputs=num_params, **options)


class RecognitionHead(nn.Sequential):
    """InfoGAN's Q (Chen et al., 2016): from a critic's hidden layer (B, H) to the `num_params` numbers of q(u|x).

    It has a layer of `units` LeakyReLU units of slope `slope` with batch normalisation. Initial weights are drawn from
    N(0, `std`), initial scales of batch normalisation from N(1, `bn_std`).
    """

    def __init__(
        self,
        num_hidden: int,
        num_params: int,
        *,
        units: Count = 128,
        slope: NonNegative = 0.01,
        std: Positive | None = 0.02,
        bn_std: NonNegative = 0.02,
    ) -> None:
        super().__init__(
            nn.Linear(num_hidden, units), nn.BatchNorm1d(units), nn.LeakyReLU(slope), nn.Linear(units, num_params)
        )
        initialise(self, std, bn_std)
