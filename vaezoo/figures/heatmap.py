"""A matrix with labels, which the figures of correlations and informations share."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from vaezoo.figures.style import DIVERGING, FADED, INK, SMALL, format_number, new_page, text_width

NUMBERED = 16  # With more columns the cells do not show their numbers.
MARKED = 10  # Cells with fewer pixels have no marks.
STEPS = (1, 2, 5, 10, 20, 50, 100)  # the possible distances between labelled rows or columns


def heatmap(
    values: np.ndarray,
    row_names: Sequence[str],
    heading: str,
    caption: str,
    *,
    colormap: str,
    scale: str,
    height: int | None = None,
    outlined: str = "",
    notes: Mapping[str, Sequence[str]] | None = None,
) -> Figure:
    """Draw values (rows, latents) in [0, 1], or in [-1, 1] with the diverging colours.

    `scale` is the title of the colour scale, and `height` the height of a row in pixels. `outlined` describes the
    largest cell of each row for the caption; these cells get an outline. `notes` are columns of text on the right. The
    sign is visible without colours: in the numbers of small matrices, and as a dash in larger ones.
    """
    rows, columns = values.shape
    low = -1 if colormap == DIVERGING else 0
    cell = 52 if columns <= NUMBERED else max(900 // columns, 5)
    wide, row = cell * columns, height or cell
    tall = row * rows
    if outlined and cell >= MARKED:
        caption += f" · outlined: {outlined}"
    if low and columns > NUMBERED and cell >= MARKED:
        caption += " · dash: r ≤ −0.2"
    notes = notes or {}
    widths = [max(map(text_width, (name, *texts))) + 22 for name, texts in notes.items()]
    left, right = max(map(text_width, row_names)) + 10, sum(widths) + 30 + max(text_width(scale), 40)
    sheet = new_page(wide, tall, heading, caption, left=left, right=right, top=24 if notes else 4, bottom=48)

    axes = sheet.add_axes(0, 0, wide, tall)
    axes.imshow(values, cmap=colormap, vmin=low, vmax=1, aspect="auto", interpolation="nearest")
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    across = next(n for n in STEPS if n * cell > text_width(str(columns)) + 8)
    down = next(n for n in STEPS if n * row >= 18)
    axes.set_xticks(range(0, columns, across))
    axes.set_yticks(range(0, rows, down), list(row_names)[::down], parse_math=False)
    axes.set_xlabel("latent", size=SMALL)
    dark = colormaps[colormap]((values - low) / (1 - low))[..., :3] @ (0.30, 0.59, 0.11) < 0.5
    for i, j in np.ndindex(rows, columns) if cell >= MARKED else ():
        color = "white" if dark[i, j] else INK
        if columns <= NUMBERED:
            axes.text(j, i, format_number(float(values[i, j])), size=SMALL, color=color, ha="center", va="center")
        elif values[i, j] <= -0.2:
            axes.plot([j - 0.2, j + 0.2], [i, i], color=color, linewidth=1.2)
    if outlined and cell >= MARKED:
        for i, j in enumerate(np.abs(values).argmax(1)):
            axes.add_patch(Rectangle((j - 0.5, i - 0.5), 1, 1, fill=False, color=INK, linewidth=1.6, clip_on=False))

    x = wide
    for (name, texts), width in zip(notes.items(), widths, strict=True):
        x += width
        sheet.add_text(x, -12, name, ha="right", color=FADED)
        for i, text in enumerate(texts):
            sheet.add_text(x, row * (i + 0.5), text, ha="right")
    key = sheet.add_axes(x + 30, 0, 14, tall)
    key.imshow(np.linspace(1, low, 256)[:, None], cmap=colormap, aspect="auto", extent=(0, 1, low, 1))
    key.spines[:].set_visible(False)
    key.set_xticks([])
    key.yaxis.tick_right()
    key.set_yticks([low, 0, 1] if low else [0, 1], ["−1", "0", "1"] if low else ["0", "1"])
    sheet.add_text(x + 30, tall + 20, scale)
    return sheet.figure
