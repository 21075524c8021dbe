"""Every latent of one image moving at the same time, each in a picture of its own."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from vaezoo.figures.style import GAP, LABEL, enlargement, number, page, size_of, text_width, tile

LATENTS = 12  # shown at most
FRAMES = 20  # from one end to the other; the way back shows them again
UNDER = 24  # pixels below an image


def animation(
    animation: np.ndarray, animation_values: np.ndarray, animation_dims: Sequence[int], title: str
) -> list[Figure]:
    """Frames of a GIF, there and back, from images (R, F, C, H, W) at values (R, F): R latents, F frames one way."""
    latents, frames = animation.shape[:2]
    height, width = animation.shape[3:]
    across = min(latents, 6)
    down = -(-latents // across)
    cell = text_width("z00  −0.00", LABEL) + 8
    factor = enlargement(down, across, height, width, least=(48, cell))
    caption = f"{title} · one image of {size_of(animation)}, one latent of it changes in each picture"

    def frame(t: int) -> Figure:
        sheet = page(
            across * (width * factor + 2 * GAP),
            down * (height * factor + 2 * GAP + UNDER),
            "Traversals: each picture changes one latent",
            caption,
        )
        for i, dim in enumerate(animation_dims):
            x, y = i % across * (width * factor + 2 * GAP), i // across * (height * factor + 2 * GAP + UNDER)
            sheet.image(x, y, tile(animation[i, t][None, None], factor))
            middle = x + GAP + width * factor / 2
            told = f"z{dim}  {number(float(animation_values[i, t]))}"
            sheet.text(middle, y + height * factor + 2 * GAP + UNDER / 2 - 2, told, size=LABEL, ha="center")
        return sheet.figure

    there = [frame(t) for t in range(frames)]
    return there + there[-2:0:-1]
