"""Crosses, an example of a data set: a horizontal and a vertical line in each position, in three shades of grey."""

import numpy as np

from vaezoo.data.images import ImageArrays
from vaezoo.ranges import Several

GREYS = (85, 170, 255)


def crosses(size: Several = 16) -> ImageArrays:
    """Return every cross on a black square of `size` x `size` pixels."""
    sizes = (len(GREYS), size, size)
    factors = np.stack(np.unravel_index(np.arange(np.prod(sizes)), sizes), axis=1)  # (N, 3), the last changes fastest
    images = np.zeros((len(factors), 1, size, size), np.uint8)
    for image, (grey, row, column) in zip(images, factors, strict=True):
        image[0, row, :] = GREYS[grey]
        image[0, :, column] = GREYS[grey]
    return ImageArrays(
        name="crosses",
        images=images,
        shape=(1, size, size),
        identity={"origin": "drawn", "size": size},
        factors=factors,
        factor_names=("grey", "row", "column"),
        factor_sizes=sizes,
    )
