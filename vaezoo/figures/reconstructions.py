"""Images and their reconstructions below them."""

import numpy as np
from matplotlib.figure import Figure

from vaezoo.figures.style import GAP, SMALL, enlargement, format_range, format_size, new_page, text_width, tile

PAIRS = 16


def reconstructions(images: np.ndarray, reconstructed: np.ndarray, title: str) -> Figure:
    """Draw the first sixteen of N pairs (N, C, H, W) in two double rows, each original above its reconstruction."""
    count = min(len(images), PAIRS)
    bands = 1 if count <= PAIRS // 2 else 2
    columns = -(-count // bands)
    height, width = images.shape[2:]
    factor = enlargement(2 * bands, columns, height, width, least=(32, 32))
    error = float(np.mean((images - reconstructed) ** 2))
    caption = (
        f"{title} · {count} of {len(images):,} images, {format_size(images)} · reconstructed pixels "
        f"{format_range(reconstructed)} · mean squared error {error:.4f} a pixel"
    )
    band, space = 2 * (height * factor + GAP) + GAP, 14
    sheet = new_page(
        columns * (width * factor + GAP) + GAP,
        bands * band + (bands - 1) * space,
        "Originals and reconstructions",
        caption,
        left=text_width("reconstruction") + 10,
    )
    for i in range(bands):
        pairs = slice(i * columns, min((i + 1) * columns, count))
        top = i * (band + space)
        sheet.add_image(0, top, tile(np.stack([images[pairs], reconstructed[pairs]]), factor))
        for row, name in enumerate(("original", "reconstruction")):
            sheet.add_text(-10, top + (row + 0.5) * (band / 2), name, ha="right", size=SMALL)
    return sheet.figure
