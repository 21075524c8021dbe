"""Images with the continuous latents of one test image and the category or class of another."""

import numpy as np
from matplotlib.figure import Figure

from vaezoo.figures.style import LABEL, enlargement, format_range, format_size, new_page, text_width, tile


def swap(swap: np.ndarray, swap_rows: np.ndarray, swap_columns: np.ndarray, title: str) -> Figure:
    """Draw images (R, K, C, H, W): continuous latents of the row's test image, category of the column's test image.

    The test images are `swap_rows` (R, C, H, W), in front, and `swap_columns` (K, C, H, W), above.
    """
    rows, columns = swap.shape[:2]
    height, width = swap.shape[3:]
    factor = enlargement(rows + 1, columns + 1, height, width, least=(32, 32))
    tiles = tile(swap, factor)
    before, above = tile(swap_rows[:, None], factor), tile(swap_columns[None], factor)
    name = "class of"
    left = max(before.shape[1], text_width(name, LABEL)) + 16
    caption = (
        f"{title} · {rows} × {columns} images of {format_size(swap)} · a row keeps the continuous latents of the image "
        f"in front of it, a column the category or class of the image above it · pixels {format_range(swap)}"
    )
    sheet = new_page(
        tiles.shape[1],
        len(tiles),
        "Swaps: style by rows, class by columns",
        caption,
        left=left,
        top=len(above) + 16,
    )
    sheet.add_text(-left, -16 - len(above) / 2, name, size=LABEL)
    sheet.add_text(-left, -10, "style of", size=LABEL)
    sheet.add_image(0, -16 - len(above), above)
    sheet.add_image(-left, 0, before)
    sheet.add_image(0, 0, tiles)
    return sheet.figure
