"""For single attributes: the best latent, and the other attributes that correlate with this latent."""

from collections.abc import Sequence
from typing import Annotated

import numpy as np
from matplotlib.figure import Figure

from vaezoo.figures import Computed
from vaezoo.figures.style import FADED, FIRST, LABEL, RULE, THIRD, format_number, new_page, text_width

WIDTH, BAR = 230, 24  # width of a panel and height of a bar, pixels
ABOVE, BELOW = 34, 30  # pixels above a panel for its name, and below it for its scale


def top_attributes(
    top_latents: Annotated[np.ndarray, Computed("top_attributes", "latents")],
    top_columns: Annotated[np.ndarray, Computed("top_attributes", "columns")],
    top_correlations: Annotated[np.ndarray, Computed("top_attributes", "correlations")],
    factor_names: Sequence[str],
    title: str,
) -> Figure:
    """Draw a panel for each of A attributes with the |r| of its latent (A,) and M attributes, itself first.

    `top_columns` (A, M) are the columns of these attributes and `top_correlations` (A, M) r. The number beside a bar is
    r with its sign.
    """
    panels, bars = top_columns.shape
    across = min(panels, 2)
    down = -(-panels // across)
    name = max(text_width(factor_names[k]) for k in top_columns.flat) + 12
    number_width = text_width("−0.00") + 10
    wide, tall = name + WIDTH + number_width + 24, ABOVE + BAR * bars + BELOW
    sheet = new_page(
        wide * across - 24,
        tall * down,
        "Attributes that go with one latent",
        f"{title} · |r| over held-out images with the latent that goes with the first attribute best, the sign beside "
        "the bar",
    )
    for i, (latent, columns, r) in enumerate(zip(top_latents, top_columns, top_correlations, strict=True)):
        x, y = i % across * wide, i // across * tall
        sheet.add_text(x, y + 12, f"{factor_names[columns[0]]}: z{latent}", size=LABEL, weight="bold")
        axes = sheet.add_axes(x + name, y + ABOVE, WIDTH, BAR * bars)
        axes.barh(range(bars), np.abs(r), height=0.7, color=[FIRST] + [THIRD] * (bars - 1))
        axes.set(xlim=(0, 1), ylim=(bars - 0.5, -0.5))
        axes.set_xticks([0, 0.5, 1], ["0", "0.5", "1"])
        axes.set_yticks([])
        axes.grid(axis="x", color=RULE, linewidth=0.5)
        axes.set_axisbelow(True)
        for j, (k, value) in enumerate(zip(columns, r, strict=True)):
            middle = y + ABOVE + BAR * (j + 0.5)
            sheet.add_text(x + name - 8, middle, factor_names[k], ha="right")
            sheet.add_text(x + name + WIDTH * abs(value) + 6, middle, format_signed(value), color=FADED)
    return sheet.figure


def format_signed(r: float) -> str:
    """Format a correlation with its sign, also where it is positive."""
    text = format_number(r)
    return text if text.startswith("−") or float(text) == 0 else f"+{text}"
