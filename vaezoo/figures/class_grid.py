"""One category changes along each row, the continuous latents stay."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from vaezoo.figures.style import GAP, LABEL, WIDE, enlargement, page, size_of, span, text_width, tile


def class_grid(
    class_grid: np.ndarray, class_grid_originals: np.ndarray, category_names: Sequence[str], title: str
) -> Figure:
    """Images (R, K, C, H, W), categories in columns; in front of each row the test image (R, C, H, W) it is made of."""
    rows, columns = class_grid.shape[:2]
    height, width = class_grid.shape[3:]
    longest = max(text_width(name, LABEL) for name in category_names)
    # Names stand upright where they would make the page too wide.
    turned = longest + 8 > max(WIDE // (columns + 1), width, 40)
    factor = enlargement(rows, columns + 1, height, width, least=(32, 32 if turned else longest + 4))
    drawn, originals = tile(class_grid, factor), tile(class_grid_originals[:, None], factor)
    left = max(originals.shape[1], text_width("original", LABEL)) + 24
    caption = (
        f"{title} · {rows} × {columns} images of {size_of(class_grid)} · a row keeps the continuous latents of its "
        f"original · pixels {span(class_grid)}"
    )
    sheet = page(
        drawn.shape[1],
        len(drawn),
        "Categories: each column sets one, the rest stays",
        caption,
        left=left,
        top=(longest if turned else 0) + 24,
    )
    sheet.text(-left, -12, "original", size=LABEL)
    sheet.image(-left, 0, originals)
    sheet.image(0, 0, drawn)
    for j, name in enumerate(category_names):
        x = GAP + (j + 0.5) * (width * factor + GAP) - GAP / 2
        upright = {"rotation": 90, "va": "bottom"} if turned else {}
        sheet.text(x, -6 if turned else -12, name, size=LABEL, ha="center", **upright)
    return sheet.figure
