"""Where in an image reconstructions are wrong, an example of a figure."""

import numpy as np
from matplotlib.figure import Figure

from vaezoo.figures.style import GAP, enlargement, format_number, new_page, tile


def pixel_errors(images: np.ndarray, reconstructed: np.ndarray, title: str) -> Figure:
    """Draw the mean absolute error of each pixel over the images (N, C, H, W); white is the largest."""
    errors = np.abs(images - reconstructed).mean(axis=0)  # (C, H, W)
    factor = enlargement(1, 1, *errors.shape[1:])
    drawn = tile((errors / max(errors.max(), 1e-12))[None, None], factor)
    caption = f"{title} · mean of {len(images)} images, largest {format_number(errors.max())}"
    sheet = new_page(drawn.shape[1], errors.shape[1] * factor + 2 * GAP, "Error of each pixel", caption)
    sheet.add_image(0, 0, drawn)
    return sheet.figure
