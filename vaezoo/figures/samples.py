"""Images decoded from the prior."""

import numpy as np
from matplotlib.figure import Figure

from vaezoo.figures.style import GAP, enlargement, page, size_of, span, tile

SIDE = 8


def samples(samples: np.ndarray, title: str) -> Figure:
    """The first 64 samples in eight rows of eight; places without a sample stay grey."""
    count, *shape = samples.shape
    shown = min(count, SIDE * SIDE)
    rows = -(-shown // SIDE)
    sheet = np.full((rows * SIDE, *shape), np.nan, np.float32)
    sheet[:shown] = samples[:shown]
    factor = enlargement(rows, SIDE, *shape[1:])
    drawn = tile(sheet.reshape(rows, SIDE, *shape), factor)
    caption = f"{title} · {shown} of {count:,} samples, {size_of(samples)} · pixels {span(samples)}"
    result = page(drawn.shape[1], rows * (shape[1] * factor + GAP) + GAP, "Samples from the prior", caption)
    result.image(0, 0, drawn)
    return result.figure
