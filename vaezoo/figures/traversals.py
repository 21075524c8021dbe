"""Traversals: one latent changes along each row, while the others stay the same."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from vaezoo.figures.style import (
    FADED,
    INACTIVE,
    INK,
    LABEL,
    enlargement,
    format_nats,
    format_number,
    format_range,
    format_size,
    new_page,
    text_width,
    tile,
    tile_centre,
)


def traversals(
    traversal: np.ndarray,
    traversal_values: np.ndarray,
    traversal_dims: Sequence[int],
    original: np.ndarray,
    reconstruction: np.ndarray,
    title: str,
    traversal_kl: Sequence[float] | None = None,
) -> Figure:
    """Draw images (R, V, C, H, W) with latents in rows and values in columns, after the image and its reconstruction.

    The values are (V,), or (R, V) where each latent has its own; `traversal_kl` (R,) are mean KLs in nats.
    """
    rows, columns = traversal.shape[:2]
    height, width = traversal.shape[3:]
    factor = enlargement(rows, columns, height, width, least=(24, 52))
    tiles = tile(traversal, factor)
    pair = [tile(image.reshape(1, 1, *traversal.shape[2:]), factor) for image in (original, reconstruction)]
    values = np.broadcast_to(traversal_values, (rows, columns))
    shared = bool(np.allclose(values, values[:1]))

    labels, active = [f"z{d}" for d in traversal_dims], [True] * rows
    if traversal_kl is not None:
        active = [not kl < INACTIVE for kl in traversal_kl]
        labels = [
            f"{'' if on else 'inactive  '}{z}  {format_nats(kl)}"
            for z, kl, on in zip(labels, traversal_kl, active, strict=True)
        ]
    ends = [format_range(row) for row in values]
    side = max(text_width("reconstruction"), pair[0].shape[1])
    left = side + 28 + max(text_width(label, LABEL) for label in labels) + 10
    caption = (
        f"{title} · one image of {format_size(traversal)} · {rows} latents, {columns} values {format_range(values)} · "
        f"pixels {format_range(traversal)}"
    )
    if traversal_kl is not None:
        caption += f" · nats: mean KL to the prior, inactive below {INACTIVE}"
    # The original and below it its reconstruction are in front of the rows, each below its name.
    second = len(pair[0]) + 34
    sheet = new_page(
        tiles.shape[1],
        max(len(tiles), second + len(pair[1])),
        "Traversals: each row changes one latent",
        caption,
        left=left,
        right=0 if shared else max(map(text_width, ends)) + 10,
        top=24,
    )
    for name, top, image in zip(("original", "reconstruction"), (0, second), pair, strict=True):
        sheet.add_text(-left, top - 12, name)
        sheet.add_image(-left, top, image)
    sheet.add_image(0, 0, tiles)
    for i, (label, on) in enumerate(zip(labels, active, strict=True)):
        y = tile_centre(i, height, factor)
        sheet.add_text(-10, y, label, ha="right", size=LABEL, color=INK if on else FADED)
        if not shared:
            sheet.add_text(tiles.shape[1] + 10, y, ends[i])
    digits = 0 if np.allclose(values, np.rint(values)) else 2
    for j in range(columns) if shared else (0, columns - 1):
        header = format_number(values[0, j], digits) if shared else ("low" if j == 0 else "high")
        sheet.add_text(tile_centre(j, width, factor), -12, header, ha="center")
    return sheet.figure
