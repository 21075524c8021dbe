"""Convolutional networks of single papers, each for images of one size.

An encoder shrinks the image (C, H, W) to one number a channel, (features, 1, 1), and ends in one linear layer; a
decoder does the opposite. A sigmoid that a paper prints after the decoder is in the likelihood here. The numbers in
comments are the sides of the feature maps.
"""

from collections.abc import Sequence
from functools import partial
from itertools import pairwise

from torch import Tensor, nn

from vaezoo.networks.mlp import append_condition
from vaezoo.ranges import Count

Convolution = nn.Conv2d | nn.ConvTranspose2d


def count_channels(image_shape: Sequence[int], side: int) -> int:
    """Return C of images (C, side, side); raise ValueError for images of another size."""
    channels, height, width = image_shape
    if (height, width) != (side, side):
        raise ValueError(f"this network takes {side}x{side} images alone, got {height}x{width}")
    return channels


def add_pooling(layer: Convolution) -> nn.Sequential:
    """Append ReLU and max-pooling to a layer."""
    return nn.Sequential(layer, nn.ReLU(), nn.MaxPool2d(2))


def add_norm(layer: Convolution) -> nn.Sequential:
    """Append batch normalisation and ReLU to a layer."""
    return nn.Sequential(layer, nn.BatchNorm2d(layer.out_channels), nn.ReLU())


def add_keras_norm(layer: Convolution) -> nn.Sequential:
    """Append batch normalisation and LeakyReLU with the defaults of Keras to a layer.

    Keras has a momentum of 0.99 for the old statistics, which is torch's momentum of 0.01 for the new ones.
    """
    return nn.Sequential(layer, nn.BatchNorm2d(layer.out_channels, eps=1e-3, momentum=0.01), nn.LeakyReLU(0.3))


class Encoder(nn.Module):
    """A network from images (B, C, H, W) by `layers` to (B, features, 1, 1) and linearly to `num_params` numbers each.

    With a `condition` as many numbers u (B, condition) are appended to the features.
    """

    def __init__(self, *layers: nn.Module, features: int, num_params: int, condition: int) -> None:
        super().__init__()
        self.convolutions = nn.Sequential(*layers)
        self.dense = nn.Linear(features + condition, num_params)

    def forward(self, x: Tensor, u: Tensor | None = None) -> Tensor:
        return self.dense(append_condition(self.convolutions(x).flatten(1), u))


class Conv000Encoder(Encoder):
    """CONV-000 (Chivukula, on MNIST), with max-pooling of size 2, which the paper leaves open; no other size fits.

    The printed network has no linear layers, and its decoder ends in 32 filters. Here its 64 and 32 are the input
    channels of the two transposed convolutions, so that the output is an image. The last convolution of the encoder has
    no activation.
    """

    def __init__(self, image_shape: Sequence[int], num_params: int, *, condition: int = 0) -> None:
        super().__init__(
            add_pooling(nn.Conv2d(count_channels(image_shape, 28), 32, 5, padding=2)),  # 28, pooled 14
            add_pooling(nn.Conv2d(32, 64, 5)),  # 10, pooled 5
            add_pooling(nn.Conv2d(64, 128, 5, padding=2)),  # 5, pooled 2
            nn.Conv2d(128, 256, 2),  # 1
            features=256,
            num_params=num_params,
            condition=condition,
        )


class Conv000Decoder(nn.Sequential):
    """The decoder of CONV-000, from latents (B, J) to logits (B, C, 28, 28); see Conv000Encoder."""

    def __init__(self, latent_dim: int, image_shape: Sequence[int]) -> None:
        channels = count_channels(image_shape, 28)
        super().__init__(
            nn.Linear(latent_dim, 64 * 7 * 7),
            nn.ReLU(),
            nn.Unflatten(1, (64, 7, 7)),
            nn.ConvTranspose2d(64, 32, 2, stride=2),  # 14
            nn.ReLU(),
            nn.ConvTranspose2d(32, channels, 2, stride=2),  # 28
        )


class Conv001Encoder(Encoder):
    """CONV-001 (Schik, on CelebA): six halvings to `bottleneck` channels, without biases, with Keras' normalisation.

    The last convolution has as many channels as there are latents, and no normalisation or activation.
    """

    def __init__(self, image_shape: Sequence[int], num_params: int, *, bottleneck: Count, condition: int = 0) -> None:
        channels = [count_channels(image_shape, 64), 64, 128, 128, 256, 512]
        halved = partial(nn.Conv2d, kernel_size=4, stride=2, padding=1, bias=False)
        super().__init__(
            *(add_keras_norm(halved(inputs, outputs)) for inputs, outputs in pairwise(channels)),
            halved(channels[-1], bottleneck),
            features=bottleneck,
            num_params=num_params,
            condition=condition,
        )


class Conv001Decoder(nn.Sequential):
    """The decoder of CONV-001, from latents (B, J) to logits (B, C, 64, 64).

    Only one layer has biases, as in the author's code.
    """

    requires = {"dataset.batch_size > 1": "at least 2 images in a batch for its batch normalisation"}

    def __init__(self, latent_dim: int, image_shape: Sequence[int]) -> None:
        channels = count_channels(image_shape, 64)
        doubled = partial(nn.ConvTranspose2d, kernel_size=4, stride=2, padding=1)
        super().__init__(
            nn.Unflatten(1, (latent_dim, 1, 1)),
            add_keras_norm(nn.ConvTranspose2d(latent_dim, 512, 1, bias=False)),  # 1
            add_keras_norm(nn.ConvTranspose2d(512, 256, 4, bias=False)),  # 4
            add_keras_norm(doubled(256, 128, bias=False)),  # 8
            add_keras_norm(doubled(128, 128, bias=False)),  # 16
            add_keras_norm(doubled(128, 64, bias=True)),  # 32
            add_keras_norm(doubled(64, channels, bias=False)),  # 64
            nn.Conv2d(channels, channels, 5, padding=2, bias=False),
        )


class ConvGMEncoder(Encoder):
    """CONV-GM (Dilokthanakul et al., 2016, their code for MNIST): batch normalisation and ReLU after each layer."""

    def __init__(self, image_shape: Sequence[int], num_params: int, *, condition: int = 0) -> None:
        super().__init__(
            add_norm(nn.Conv2d(count_channels(image_shape, 28), 16, 6)),  # 23
            add_norm(nn.Conv2d(16, 32, 6)),  # 18
            add_norm(nn.Conv2d(32, 64, 4, stride=2, padding=1)),  # 9
            add_norm(nn.Conv2d(64, 500, 9)),  # 1
            features=500,
            num_params=num_params,
            condition=condition,
        )


class ConvGMDecoder(nn.Sequential):
    """The decoder of CONV-GM, from latents (B, J) to logits (B, C, 28, 28): the layers of ConvGMEncoder reversed."""

    requires = {"dataset.batch_size > 1": "at least 2 images in a batch for its batch normalisation"}

    def __init__(self, latent_dim: int, image_shape: Sequence[int]) -> None:
        channels = count_channels(image_shape, 28)
        super().__init__(
            nn.Linear(latent_dim, 500),
            nn.BatchNorm1d(500),
            nn.ReLU(),
            nn.Unflatten(1, (500, 1, 1)),
            add_norm(nn.ConvTranspose2d(500, 64, 9)),  # 9
            add_norm(nn.ConvTranspose2d(64, 32, 4, stride=2, padding=1)),  # 18
            add_norm(nn.ConvTranspose2d(32, 16, 6)),  # 23
            nn.ConvTranspose2d(16, channels, 6),  # 28
        )
