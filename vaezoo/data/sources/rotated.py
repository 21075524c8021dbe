"""Drawings turned by steps of ten degrees: the angle is the class, whatever is drawn is the style.

After the rotated MNIST of Ye & Bors (2021), section 5.1: nine angles 0, 10, …, 80 degrees of 5,000 drawings of one
class, hence nine classes, although the paper says ten; its "90 image samples" for training are 90 %. The paper does not
say how drawings are turned. Here they are turned counter-clockwise as displayed, about the image centre, bilinear,
black outside, and rounded to the stored integers. Image i shows drawing i // angles at angle i % angles.
"""

import logging
from dataclasses import replace

import numpy as np

from vaezoo.data.files.find import reads
from vaezoo.data.images import ImageArrays
from vaezoo.data.sources.digits import DIGITS, Size, check_size, digits
from vaezoo.errors import UserError
from vaezoo.ranges import Count, Natural, Several

log = logging.getLogger(__name__)

STEP = 10  # degrees


@reads(DIGITS)
def rotateddigits(
    size: Size = 16, angles: Several = 9, class_id: Natural | None = None, count: Count | None = None
) -> ImageArrays:
    """Return the digits of scikit-learn, `size` pixels wide and high, at every angle.

    The interpolation that turns them also enlarges them smoothly. Repeated pixels, as in the data set digits, would be
    sharp at 0 degrees and blurred at every other angle, so that sharpness would reveal the class.
    """
    check_size("rotateddigits", size)
    return rotate_drawings(digits(), angles=angles, class_id=class_id, count=count, enlarge=size // 8)


def rotate_drawings(
    arrays: ImageArrays, *, angles: int = 9, class_id: int | None = None, count: int | None = None, enlarge: int = 1
) -> ImageArrays:
    """Return the first `count` drawings of class `class_id` at every angle; None stands for all drawings and classes.

    Raises UserError for a class without images, and for more than a full turn.
    """
    if not 1 <= angles * STEP <= 360:
        raise UserError(f"{arrays.name}: angles={angles} is not possible; a turn has {360 // STEP} steps of {STEP}°.")
    images = arrays.images
    if class_id is not None:
        if arrays.labels is None or class_id not in arrays.labels:
            raise UserError(f"{arrays.name}: there is no image of class_id={class_id}.")
        images = images[arrays.labels == class_id]
    images = images[:count]
    n = len(images)
    if count is not None and n < count:
        log.warning("%s: there are %d drawings to turn, fewer than count=%d.", arrays.name, n, count)

    copies = [np.rint(turn_images(images, STEP * i, enlarge)).astype(np.uint8) for i in range(angles)]
    shape = copies[0].shape[1:]
    drawing, angle = np.divmod(np.arange(n * angles), angles)
    return replace(
        arrays,
        name=f"rotated{arrays.name}",
        images=np.stack(copies, axis=1).reshape(-1, *shape),
        shape=shape,
        # The checksum is still of the upright drawings.
        identity={
            **arrays.identity,
            "drawings": n,
            "angles": angles,
            "class_id": "all" if class_id is None else class_id,
        },
        factors=np.stack([drawing, angle], axis=1),
        factor_names=("source", "angle"),
        factor_sizes=(n, angles),
        labels=angle,
        label_names=tuple(f"{STEP * i}°" for i in range(angles)),
        groups=drawing,
    )


def turn_images(images: np.ndarray, degrees: float, enlarge: int = 1) -> np.ndarray:
    """Return images (N, C, H, W) turned counter-clockwise about their centre and enlarged, float32 (N, C, eH, eW)."""
    height, width = images.shape[2:]
    cos, sin = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    # For each new pixel, the position in the old image: x to the right of the centre, y below it, in old pixels.
    y, x = ((np.arange(side * enlarge) + 0.5) / enlarge - side / 2 for side in (height, width))
    row = y[:, None] * cos + x * sin + (height + 1) / 2
    column = x * cos - y[:, None] * sin + (width + 1) / 2
    # Rows and columns count in images with a black border of one pixel, which stands for everything outside.
    bordered = np.pad(images, ((0, 0), (0, 0), (1, 1), (1, 1)))
    (above, down), (left, right) = find_neighbours(row, height), find_neighbours(column, width)
    result = np.zeros((*images.shape[:2], *row.shape), np.float32)
    for i, j in np.ndindex(2, 2):
        weight = (down if i else 1 - down) * (right if j else 1 - right)
        result += bordered[:, :, above + i, left + j] * weight.astype(np.float32)
    return result


def find_neighbours(position: np.ndarray, last: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the pixel of 0 … `last` before each position, and how far the position lies beyond it, in [0, 1]."""
    position = position.clip(0, last + 1)
    before = np.minimum(position.astype(np.int64), last)
    return before, position - before
