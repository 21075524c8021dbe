"""Blocks of images, one for each latent: the latent changes by columns, and something else by rows."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from vaezoo.figures.style import (
    LABEL,
    enlargement,
    format_number,
    format_range,
    format_size,
    new_page,
    text_width,
    tile,
    tile_centre,
)

HEAD, SPACE = 40, 14  # pixels above a block, for the name and the values of its latent, and below it


def blocks(
    images: np.ndarray,
    values: np.ndarray,
    dims: Sequence[int],
    row_names: Sequence[str],
    heading: str,
    caption: str,
    originals: np.ndarray | None = None,
) -> Figure:
    """Draw images (L, R, V, C, H, W) of L latents at `values` (V,) or (L, V).

    With `originals` (R, C, H, W) each row begins with its original.
    """
    latents, rows, columns = images.shape[:3]
    height, width = images.shape[4:]
    factor = enlargement(latents * rows, columns + 1, height, width, least=(20, 46))
    tiles = [tile(block, factor) for block in images]
    before = None if originals is None else tile(originals[:, None], factor)
    beside = 0 if before is None else before.shape[1] + 12
    left = beside + max(text_width(name, LABEL) for name in row_names) + 10
    tall = HEAD + len(tiles[0]) + SPACE
    values = np.broadcast_to(values, (latents, columns))
    sheet = new_page(
        tiles[0].shape[1],
        latents * tall - SPACE,
        heading,
        f"{caption} · {latents} × {rows} × {columns} images of {format_size(images)} · pixels {format_range(images)}",
        left=left,
    )
    digits = 0 if np.allclose(values, np.rint(values)) else 2
    for i, (block, dim) in enumerate(zip(tiles, dims, strict=True)):
        y = i * tall + HEAD
        sheet.add_text(0, y - 30, f"z{dim}", size=LABEL, weight="bold")
        for j, value in enumerate(values[i]):
            x = tile_centre(j, width, factor)
            sheet.add_text(x, y - 11, format_number(float(value), digits), ha="center")
        sheet.add_image(0, y, block)
        if before is not None:
            sheet.add_image(-beside, y, before)
        for j, name in enumerate(row_names):
            middle = tile_centre(j, height, factor)
            sheet.add_text(-beside - 10, y + middle, name, size=LABEL, ha="right")
    return sheet.figure
