"""Images whose category changes along each row, while the continuous latents stay the same."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from vaezoo.figures.style import (
    LABEL,
    WIDE,
    enlargement,
    format_range,
    format_size,
    new_page,
    text_width,
    tile,
    tile_centre,
)


def class_grid(
    class_grid: np.ndarray, class_grid_originals: np.ndarray, category_names: Sequence[str], title: str
) -> Figure:
    """Draw images (R, K, C, H, W) with K categories in columns, each row after its original (R, C, H, W)."""
    rows, columns = class_grid.shape[:2]
    height, width = class_grid.shape[3:]
    longest = max(text_width(name, LABEL) for name in category_names)
    # Names are turned upright where they would make the page too wide.
    turned = longest + 8 > max(WIDE // (columns + 1), width, 40)
    factor = enlargement(rows, columns + 1, height, width, least=(32, 32 if turned else longest + 4))
    tiles, originals = tile(class_grid, factor), tile(class_grid_originals[:, None], factor)
    left = max(originals.shape[1], text_width("original", LABEL)) + 24
    caption = (
        f"{title} · {rows} × {columns} images of {format_size(class_grid)} · a row keeps the continuous latents of its "
        f"original · pixels {format_range(class_grid)}"
    )
    sheet = new_page(
        tiles.shape[1],
        len(tiles),
        "Categories: each column sets one, the rest stays",
        caption,
        left=left,
        top=(longest if turned else 0) + 24,
    )
    sheet.add_text(-left, -12, "original", size=LABEL)
    sheet.add_image(-left, 0, originals)
    sheet.add_image(0, 0, tiles)
    for j, name in enumerate(category_names):
        x = tile_centre(j, width, factor)
        upright = {"rotation": 90, "va": "bottom"} if turned else {}
        sheet.add_text(x, -6 if turned else -12, name, size=LABEL, ha="center", **upright)
    return sheet.figure
