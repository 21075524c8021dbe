"""Small data sets with known factors, and a data module of them."""

import numpy as np
import torch

from vaezoo.data.images import ImageArrays
from vaezoo.data.module import ImageDataModule


def squares(side: int = 16) -> ImageArrays:
    """A tiny full product with known factors: a square of 3 sizes at 8 x 8 positions, binary, packed."""
    sizes, steps = (2, 4, 6), 8
    images = np.zeros((3, steps, steps, side, side), np.uint8)
    for s, size in enumerate(sizes):
        for y in range(steps):
            for x in range(steps):
                images[s, y, x, y : y + size, x : x + size] = 1
    images = images.reshape(-1, side * side)
    return ImageArrays(
        name="squares",
        images=np.packbits(images, axis=1),
        shape=(1, side, side),
        identity={"origin": "made by the tests"},
        scale=1,
        packed=True,
        factors=np.stack(np.unravel_index(np.arange(192), (3, 8, 8)), axis=1).astype(np.uint8),
        factor_names=("size", "y", "x"),
        factor_sizes=(3, 8, 8),
    )


def data_module(source=squares, **changes) -> ImageDataModule:
    options = {
        "name": "squares",
        "shape": (1, 16, 16),
        "source": source,
        "batch_size": 8,
        "split": "random90",
        "val_images": 20,
        "split_seed": 0,
        "seed": 0,
    }
    data = ImageDataModule(**{**options, **changes})
    data.place(torch.device("cpu"))
    return data
