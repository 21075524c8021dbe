"""Images over what the model makes of them."""

import numpy as np
from matplotlib.figure import Figure

from vaezoo.figures.style import GAP, SMALL, enlargement, page, size_of, span, text_width, tile

PAIRS = 16


def reconstructions(images: np.ndarray, reconstructed: np.ndarray, title: str) -> Figure:
    """The first sixteen pairs in two double rows, each original right above its reconstruction."""
    shown = min(len(images), PAIRS)
    bands = 1 if shown <= PAIRS // 2 else 2
    columns = -(-shown // bands)
    height, width = images.shape[2:]
    factor = enlargement(2 * bands, columns, height, width, least=(32, 32))
    error = float(np.mean((images - reconstructed) ** 2))
    caption = (
        f"{title} · {shown} of {len(images):,} images, {size_of(images)} · reconstructed pixels "
        f"{span(reconstructed)} · mean squared error {error:.4f} a pixel"
    )
    band, space = 2 * (height * factor + GAP) + GAP, 14
    sheet = page(
        columns * (width * factor + GAP) + GAP,
        bands * band + (bands - 1) * space,
        "Originals and reconstructions",
        caption,
        left=text_width("reconstruction") + 10,
    )
    for i in range(bands):
        chosen = slice(i * columns, min((i + 1) * columns, shown))
        top = i * (band + space)
        sheet.image(0, top, tile(np.stack([images[chosen], reconstructed[chosen]]), factor))
        for row, name in enumerate(("original", "reconstruction")):
            sheet.text(-10, top + (row + 0.5) * (band / 2), name, ha="right", size=SMALL)
    return sheet.figure
