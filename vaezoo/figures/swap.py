"""What is continuous of one image with what is categorical of another."""

import numpy as np
from matplotlib.figure import Figure

from vaezoo.figures.style import LABEL, enlargement, page, size_of, span, text_width, tile


def swap(swap: np.ndarray, swap_rows: np.ndarray, swap_columns: np.ndarray, title: str) -> Figure:
    """Images (R, K, C, H, W); rows and columns take their parts of the test images (R, C, H, W) and (K, C, H, W)."""
    rows, columns = swap.shape[:2]
    height, width = swap.shape[3:]
    factor = enlargement(rows + 1, columns + 1, height, width, least=(32, 32))
    drawn = tile(swap, factor)
    before, above = tile(swap_rows[:, None], factor), tile(swap_columns[None], factor)
    name = "class of"
    left = max(before.shape[1], text_width(name, LABEL)) + 16
    caption = (
        f"{title} · {rows} × {columns} images of {size_of(swap)} · a row keeps the continuous latents of the image in "
        f"front of it, a column the category or class of the image above it · pixels {span(swap)}"
    )
    sheet = page(
        drawn.shape[1],
        len(drawn),
        "Swaps: style by rows, class by columns",
        caption,
        left=left,
        top=len(above) + 16,
    )
    sheet.text(-left, -16 - len(above) / 2, name, size=LABEL)
    sheet.text(-left, -10, "style of", size=LABEL)
    sheet.image(0, -16 - len(above), above)
    sheet.image(-left, 0, before)
    sheet.image(0, 0, drawn)
    return sheet.figure
