"""Images of a data set in rows, with a caption below each image."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure

from vaezoo.figures.style import GAP, LABEL, SMALL, enlargement, format_range, format_size, new_page, text_width, tile

LINE = 20  # pixels for the text below an image
SPACE = 8  # between rows


class Strip(NamedTuple):
    """A row of images (N, C, H, W) with its name and N captions."""

    name: str
    images: np.ndarray
    captions: Sequence[str]


def contact_sheet(strips: Sequence[Strip], heading: str, caption: str) -> Figure:
    """Draw strips below one another; cells are as wide as the widest caption, if that is wider than an image."""
    columns = max(len(strip.images) for strip in strips)
    height, width = strips[0].images.shape[2:]
    factor = enlargement(len(strips), columns, height, width, least=(48, 48))
    captions = [caption for strip in strips for caption in strip.captions]
    cell = max(width * factor + 2 * GAP, *(text_width(caption) + 10 for caption in captions))
    tall = height * factor + 2 * GAP + LINE + SPACE
    pixels = np.concatenate([strip.images.ravel() for strip in strips])
    left = max(text_width(strip.name, LABEL) for strip in strips)
    sheet = new_page(
        columns * cell,
        len(strips) * tall,
        heading,
        f"{caption} · {format_size(strips[0].images)} · pixels {format_range(pixels)}",
        left=left + 12 if left else 0,
    )
    for i, (name, images, texts) in enumerate(strips):
        sheet.add_text(-12, i * tall + height * factor / 2, name, size=LABEL, ha="right")
        for j, (image, text) in enumerate(zip(images, texts, strict=True)):
            tiles = tile(image[None, None], factor)
            sheet.add_image(round(j * cell + (cell - tiles.shape[1]) / 2), i * tall, tiles)
            sheet.add_text((j + 0.5) * cell, i * tall + len(tiles) + LINE / 2, text, size=SMALL, ha="center")
    return sheet.figure
