"""The light decoder of Guided-VAE: a linear picture of the content, turned and scaled by two other latents."""

from collections.abc import Sequence
from math import prod

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def turned_and_scaled(images: Tensor, angle: Tensor, scale: Tensor) -> Tensor:
    """Images (B, C, H, W) seen through a rotation by `angle` (B,), radians, and a scale (B, 2) of x and y.

    The sampling grid of the output is scaled, then rotated, as in spatial transformers: a scale above 1 shows the
    content smaller. Pixels from outside the image are 0.
    """
    cosine, sine = angle.cos(), angle.sin()
    x, y = scale.unbind(1)
    rows = [torch.stack([cosine * x, -sine * y], dim=1), torch.stack([sine * x, cosine * y], dim=1)]
    matrix = torch.cat([torch.stack(rows, dim=1), torch.zeros_like(scale)[:, :, None]], dim=2)  # (B, 2, 3)
    grid = F.affine_grid(matrix, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, align_corners=False)


class LightDecoder(nn.Module):
    """z = (z_scale, z_rotation, z_content), (B, J), to images in [0, 1], (B, C, H, W).

    The content is sigmoid(W z_content + b), W with one column for each of the J - 2 content latents; the two others are
    mapped to scale and angle by affine functions that begin at the identity.
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
        return turned_and_scaled(content, self.angle(z[:, 1:2])[:, 0], self.scale(z[:, :1]))

    def overlap(self) -> Tensor:
        """sum_{j != k} |w_j . w_k| over the columns of W: 0 when the content latents draw orthogonal pictures."""
        products = self.content.weight.T @ self.content.weight
        return (products - torch.diag(products.diagonal())).abs().sum()
