"""Images decoded from the prior."""

import numpy as np
from matplotlib.figure import Figure

from vaezoo.figures.style import GAP, enlargement, format_range, format_size, new_page, tile

SIDE = 8


def samples(samples: np.ndarray, title: str) -> Figure:
    """Draw the first 64 samples (N, C, H, W) in eight rows of eight; places without a sample stay grey."""
    total, *shape = samples.shape
    count = min(total, SIDE * SIDE)
    rows = -(-count // SIDE)
    places = np.full((rows * SIDE, *shape), np.nan, np.float32)
    places[:count] = samples[:count]
    factor = enlargement(rows, SIDE, *shape[1:])
    tiles = tile(places.reshape(rows, SIDE, *shape), factor)
    caption = f"{title} · {count} of {total:,} samples, {format_size(samples)} · pixels {format_range(samples)}"
    sheet = new_page(tiles.shape[1], rows * (shape[1] * factor + GAP) + GAP, "Samples from the prior", caption)
    sheet.add_image(0, 0, tiles)
    return sheet.figure
