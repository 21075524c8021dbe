"""An animation with one picture for each latent, in which only that latent of one image changes."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from vaezoo.figures.style import GAP, LABEL, enlargement, format_number, format_size, new_page, text_width, tile

LATENTS = 12  # most latents in one animation
FRAMES = 20  # frames from one end to the other; on the way back they are shown again
UNDER = 24  # pixels for the label below an image


def animation(
    animation: np.ndarray, animation_values: np.ndarray, animation_dims: Sequence[int], title: str
) -> list[Figure]:
    """Draw the frames of a GIF, forward and back, from images (R, F, C, H, W) at the values (R, F) of R latents."""
    latents, frames = animation.shape[:2]
    height, width = animation.shape[3:]
    across = min(latents, 6)
    down = -(-latents // across)
    cell = text_width("z00  −0.00", LABEL) + 8
    factor = enlargement(down, across, height, width, least=(48, cell))
    caption = f"{title} · one image of {format_size(animation)}, one latent of it changes in each picture"

    def draw_frame(t: int) -> Figure:
        sheet = new_page(
            across * (width * factor + 2 * GAP),
            down * (height * factor + 2 * GAP + UNDER),
            "Traversals: each picture changes one latent",
            caption,
        )
        for i, dim in enumerate(animation_dims):
            x, y = i % across * (width * factor + 2 * GAP), i // across * (height * factor + 2 * GAP + UNDER)
            sheet.add_image(x, y, tile(animation[i, t][None, None], factor))
            middle = x + GAP + width * factor / 2
            label = f"z{dim}  {format_number(float(animation_values[i, t]))}"
            sheet.add_text(middle, y + height * factor + 2 * GAP + UNDER / 2 - 2, label, size=LABEL, ha="center")
        return sheet.figure

    forward = [draw_frame(t) for t in range(frames)]
    return forward + forward[-2:0:-1]
