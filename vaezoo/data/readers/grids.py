"""Factor grids, and the layout and size of images."""

from collections.abc import Sequence

import numpy as np
from PIL import Image


def make_grid(sizes: Sequence[int]) -> np.ndarray:
    """Return the classes of every combination once, (N, K) uint8, the last factor changing fastest."""
    return np.ascontiguousarray(np.indices(sizes, dtype=np.uint8).reshape(len(sizes), -1).T)


def resize_images(images: np.ndarray, side: int) -> np.ndarray:
    """Return grey (N, H, W) or colour images (N, H, W, 3) as (N, C, side, side): bilinear, with averages to shrink."""
    small = [Image.fromarray(image).resize((side, side), Image.Resampling.BILINEAR) for image in images]
    return move_channels_first(np.stack([np.asarray(image) for image in small]))


def move_channels_first(images: np.ndarray) -> np.ndarray:
    """Return grey (N, H, W) or colour images (N, H, W, C) as (N, C, H, W)."""
    return images[:, None] if images.ndim == 3 else images.transpose(0, 3, 1, 2)
