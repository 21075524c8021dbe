"""What sources of factor grids share."""

from collections.abc import Sequence

import numpy as np
from PIL import Image


def grid(sizes: Sequence[int]) -> np.ndarray:
    """The classes of every combination once, (N, K) uint8, the last factor changing fastest."""
    return np.ascontiguousarray(np.indices(sizes, dtype=np.uint8).reshape(len(sizes), -1).T)


def resized(images: np.ndarray, side: int) -> np.ndarray:
    """Grey (N, H, W) or colour images (N, H, W, 3) as (N, C, side, side): bilinear, averaging where it shrinks."""
    small = [Image.fromarray(image).resize((side, side), Image.Resampling.BILINEAR) for image in images]
    return channels_first(np.stack([np.asarray(image) for image in small]))


def channels_first(images: np.ndarray) -> np.ndarray:
    return images[:, None] if images.ndim == 3 else images.transpose(0, 3, 1, 2)
