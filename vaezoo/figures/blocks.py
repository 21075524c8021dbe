"""Blocks of images, one for each latent: the latent changes along the columns, something else down the rows."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from vaezoo.figures.style import GAP, LABEL, enlargement, number, page, size_of, span, text_width, tile

HEAD, SPACE = 40, 14  # pixels above a block, for its latent and its values, and below it


def blocks(
    images: np.ndarray,
    values: np.ndarray,
    dims: Sequence[int],
    row_names: Sequence[str],
    heading: str,
    caption: str,
    originals: np.ndarray | None = None,
) -> Figure:
    """Images (L, R, V, C, H, W) of L latents at `values` (V,) or (L, V).

    Each row begins with its original (R, C, H, W), where there is one.
    """
    latents, rows, columns = images.shape[:3]
    height, width = images.shape[4:]
    factor = enlargement(latents * rows, columns + 1, height, width, least=(20, 46))
    drawn = [tile(block, factor) for block in images]
    before = None if originals is None else tile(originals[:, None], factor)
    beside = 0 if before is None else before.shape[1] + 12
    left = beside + max(text_width(name, LABEL) for name in row_names) + 10
    tall = HEAD + len(drawn[0]) + SPACE
    values = np.broadcast_to(values, (latents, columns))
    sheet = page(
        drawn[0].shape[1],
        latents * tall - SPACE,
        heading,
        f"{caption} · {latents} × {rows} × {columns} images of {size_of(images)} · pixels {span(images)}",
        left=left,
    )
    digits = 0 if np.allclose(values, np.rint(values)) else 2
    for i, (block, dim) in enumerate(zip(drawn, dims, strict=True)):
        y = i * tall + HEAD
        sheet.text(0, y - 30, f"z{dim}", size=LABEL, weight="bold")
        for j, value in enumerate(values[i]):
            sheet.text(
                GAP + (j + 0.5) * (width * factor + GAP) - GAP / 2, y - 11, number(float(value), digits), ha="center"
            )
        sheet.image(0, y, block)
        if before is not None:
            sheet.image(-beside, y, before)
        for j, name in enumerate(row_names):
            middle = GAP + (j + 0.5) * (height * factor + GAP) - GAP / 2
            sheet.text(-beside - 10, y + middle, name, size=LABEL, ha="right")
    return sheet.figure
