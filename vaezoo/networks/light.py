"""The light decoder of Guided-VAE (Ding et al., 2020): a linear image, which two other latents rotate and scale."""

from collections.abc import Sequence
from math import prod

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def rotate_and_scale(images: Tensor, angle: Tensor, scale: Tensor) -> Tensor:
    """Rotate images (B, C, H, W) by `angle` (B,) in radians and scale x and y by `scale` (B, 2).

    As in spatial transformers the sampling grid of the output is scaled and then rotated, so a scale above 1 makes the
    content smaller. Pixels from outside the image are 0.
    """
    cosine, sine = angle.cos(), angle.sin()
    x, y = scale.unbind(1)
    rows = [torch.stack([cosine * x, -sine * y], dim=1), torch.stack([sine * x, cosine * y], dim=1)]
    matrix = torch.cat([torch.stack(rows, dim=1), torch.zeros_like(scale)[:, :, None]], dim=2)  # (B, 2, 3)
    grid = F.affine_grid(matrix, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, align_corners=False)


class LightDecoder(nn.Module):
    """A network from z = (z_scale, z_rotation, z_content), (B, J), to images (B, C, H, W) in [0, 1].

    The content is sigmoid(W z_content + b); W has one column for each of the J - 2 content latents. Affine functions
    map the two other latents to scale and angle; at the beginning they return a scale of 1 and an angle of 0.
    """

    def __init__(self, latent_dim: int, image_shape: Sequence[int]) -> None:
        super().__init__()
        if latent_dim < 3:
            raise ValueError(
                f"a light decoder needs latent.dim of at least 3 (scale, rotation, content), got {latent_dim}"
            )
        self.image_shape = tuple(image_shape)
        self.content = nn.Linear(latent_dim - 2, prod(image_shape))
        self.scale, self.angle = nn.Linear(1, 2), nn.Linear(1, 1)
        for layer, value in ((self.scale, 1.0), (self.angle, 0.0)):
            nn.init.zeros_(layer.weight)
            nn.init.constant_(layer.bias, value)

    def forward(self, z: Tensor) -> Tensor:
        content = torch.sigmoid(self.content(z[:, 2:])).unflatten(1, self.image_shape)
        return rotate_and_scale(content, self.angle(z[:, 1:2])[:, 0], self.scale(z[:, :1]))

    def overlap(self) -> Tensor:
        """Return sum_{j != k} |w_j . w_k| over the columns of W, which is 0 where these images are orthogonal."""
        products = self.content.weight.T @ self.content.weight
        return (products - torch.diag(products.diagonal())).abs().sum()
