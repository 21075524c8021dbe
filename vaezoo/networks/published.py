"""Convolutional networks of single papers, each for images of one size.

An encoder shrinks the image (C, H, W) to one number a channel, (features, 1, 1), and ends in one linear layer; a
decoder goes the other way. Where a paper prints a sigmoid after the decoder, it is the likelihood's here. Comments give
the sides of the feature maps.
"""

from collections.abc import Sequence
from functools import partial
from itertools import pairwise

from torch import Tensor, nn

from vaezoo.networks.mlp import with_condition
from vaezoo.ranges import Count

Convolution = nn.Conv2d | nn.ConvTranspose2d


def channels_of(image_shape: Sequence[int], side: int) -> int:
    """C of images (C, side, side), which are the only ones that the network takes."""
    channels, height, width = image_shape
    if (height, width) != (side, side):
        raise ValueError(f"this network takes {side}x{side} images alone, got {height}x{width}")
    return channels


def pooled(layer: Convolution) -> nn.Sequential:
    return nn.Sequential(layer, nn.ReLU(), nn.MaxPool2d(2))


def normed(layer: Convolution) -> nn.Sequential:
    return nn.Sequential(layer, nn.BatchNorm2d(layer.out_channels), nn.ReLU())


def keras_normed(layer: Convolution) -> nn.Sequential:
    """With the defaults of Keras, whose momentum 0.99 of the old statistics is torch's 0.01 of the new ones."""
    return nn.Sequential(layer, nn.BatchNorm2d(layer.out_channels, eps=1e-3, momentum=0.01), nn.LeakyReLU(0.3))


class Encoder(nn.Module):
    """Images (B, C, H, W) by `layers` to (B, features, 1, 1), then linearly to `num_params` numbers each.

    `condition` more numbers per image can be appended to the features.
    """

    def __init__(self, *layers: nn.Module, features: int, num_params: int, condition: int) -> None:
        super().__init__()
        self.convolutions = nn.Sequential(*layers)
        self.dense = nn.Linear(features + condition, num_params)

    def forward(self, x: Tensor, u: Tensor | None = None) -> Tensor:
        return self.dense(with_condition(self.convolutions(x).flatten(1), u))


class Conv000Encoder(Encoder):
    """CONV-000 (Chivukula, on MNIST): max-pooling, whose size the paper leaves open; 2 is the only one that fits.

    As printed, the network has no linear layers and the decoder ends in 32 filters; here its 64 and 32 are the channels
    that the two transposed convolutions take, so that an image comes out. The last convolution has no activation.
    """

    def __init__(self, image_shape: Sequence[int], num_params: int, *, condition: int = 0) -> None:
        super().__init__(
            pooled(nn.Conv2d(channels_of(image_shape, 28), 32, 5, padding=2)),  # 28, pooled 14
            pooled(nn.Conv2d(32, 64, 5)),  # 10, pooled 5
            pooled(nn.Conv2d(64, 128, 5, padding=2)),  # 5, pooled 2
            nn.Conv2d(128, 256, 2),  # 1
            features=256,
            num_params=num_params,
            condition=condition,
        )


class Conv000Decoder(nn.Sequential):
    """Latents (B, J) to logits (B, C, 28, 28): see Conv000Encoder."""

    def __init__(self, latent_dim: int, image_shape: Sequence[int]) -> None:
        channels = channels_of(image_shape, 28)
        super().__init__(
            nn.Linear(latent_dim, 64 * 7 * 7),
            nn.ReLU(),
            nn.Unflatten(1, (64, 7, 7)),
            nn.ConvTranspose2d(64, 32, 2, stride=2),  # 14
            nn.ReLU(),
            nn.ConvTranspose2d(32, channels, 2, stride=2),  # 28
        )


class Conv001Encoder(Encoder):
    """CONV-001 (Schik, on CelebA): six halvings to `bottleneck` channels; no biases, batch normalisation as in Keras.

    The last convolution has as many channels as there are latents, without normalisation or activation.
    """

    def __init__(self, image_shape: Sequence[int], num_params: int, *, bottleneck: Count, condition: int = 0) -> None:
        channels = [channels_of(image_shape, 64), 64, 128, 128, 256, 512]
        halved = partial(nn.Conv2d, kernel_size=4, stride=2, padding=1, bias=False)
        super().__init__(
            *(keras_normed(halved(inputs, outputs)) for inputs, outputs in pairwise(channels)),
            halved(channels[-1], bottleneck),
            features=bottleneck,
            num_params=num_params,
            condition=condition,
        )


class Conv001Decoder(nn.Sequential):
    """Latents (B, J) to logits (B, C, 64, 64): see Conv001Encoder. One layer has biases, as in the author's code."""

    requires = {"dataset.batch_size > 1": "at least 2 images in a batch for its batch normalisation"}

    def __init__(self, latent_dim: int, image_shape: Sequence[int]) -> None:
        channels = channels_of(image_shape, 64)
        doubled = partial(nn.ConvTranspose2d, kernel_size=4, stride=2, padding=1)
        super().__init__(
            nn.Unflatten(1, (latent_dim, 1, 1)),
            keras_normed(nn.ConvTranspose2d(latent_dim, 512, 1, bias=False)),  # 1
            keras_normed(nn.ConvTranspose2d(512, 256, 4, bias=False)),  # 4
            keras_normed(doubled(256, 128, bias=False)),  # 8
            keras_normed(doubled(128, 128, bias=False)),  # 16
            keras_normed(doubled(128, 64, bias=True)),  # 32
            keras_normed(doubled(64, channels, bias=False)),  # 64
            nn.Conv2d(channels, channels, 5, padding=2, bias=False),
        )


class ConvGMEncoder(Encoder):
    """CONV-GM (Dilokthanakul et al., 2016, their code for MNIST): batch normalisation and ReLU after each layer."""

    def __init__(self, image_shape: Sequence[int], num_params: int, *, condition: int = 0) -> None:
        super().__init__(
            normed(nn.Conv2d(channels_of(image_shape, 28), 16, 6)),  # 23
            normed(nn.Conv2d(16, 32, 6)),  # 18
            normed(nn.Conv2d(32, 64, 4, stride=2, padding=1)),  # 9
            normed(nn.Conv2d(64, 500, 9)),  # 1
            features=500,
            num_params=num_params,
            condition=condition,
        )


class ConvGMDecoder(nn.Sequential):
    """Latents (B, J) to logits (B, C, 28, 28): the mirror image of ConvGMEncoder."""

    requires = {"dataset.batch_size > 1": "at least 2 images in a batch for its batch normalisation"}

    def __init__(self, latent_dim: int, image_shape: Sequence[int]) -> None:
        channels = channels_of(image_shape, 28)
        super().__init__(
            nn.Linear(latent_dim, 500),
            nn.BatchNorm1d(500),
            nn.ReLU(),
            nn.Unflatten(1, (500, 1, 1)),
            normed(nn.ConvTranspose2d(500, 64, 9)),  # 9
            normed(nn.ConvTranspose2d(64, 32, 4, stride=2, padding=1)),  # 18
            normed(nn.ConvTranspose2d(32, 16, 6)),  # 23
            nn.ConvTranspose2d(16, channels, 6),  # 28
        )
