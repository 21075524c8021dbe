"""One linear layer each way, an example of a network; with a Gaussian likelihood, a VAE is probabilistic PCA."""

import math
from collections.abc import Sequence

from torch import Tensor, nn


class LinearEncoder(nn.Module):
    """A linear map from images (B, C, H, W) to `num_params` numbers each."""

    def __init__(self, image_shape: Sequence[int], num_params: int, *, bias: bool = True) -> None:
        super().__init__()
        self.layer = nn.Linear(math.prod(image_shape), num_params, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x.flatten(1))


class LinearDecoder(nn.Module):
    """A linear map from latents (B, J) to the parameters of a likelihood, (B, C, H, W)."""

    def __init__(self, latent_dim: int, image_shape: Sequence[int]) -> None:
        super().__init__()
        self.image_shape = tuple(image_shape)
        self.layer = nn.Linear(latent_dim, math.prod(image_shape))

    def forward(self, z: Tensor) -> Tensor:
        return self.layer(z).unflatten(1, self.image_shape)
