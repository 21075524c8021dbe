"""What else the latent that goes with an attribute best goes with."""

from collections.abc import Sequence
from typing import Annotated

import numpy as np
from matplotlib.figure import Figure

from vaezoo.figures import Computed
from vaezoo.figures.style import FADED, FIRST, LABEL, RULE, THIRD, number, page, text_width

WIDTH, BAR = 230, 24  # of a panel, of a row in it
ABOVE, BELOW = 34, 30  # a panel: its name, its scale


def top_attributes(
    top_latents: Annotated[np.ndarray, Computed("top_attributes", "latents")],
    top_columns: Annotated[np.ndarray, Computed("top_attributes", "columns")],
    top_correlations: Annotated[np.ndarray, Computed("top_attributes", "correlations")],
    factor_names: Sequence[str],
    title: str,
) -> Figure:
    """A panel for each of A attributes: |r| with the latent (A,) of the attributes `top_columns` (A, m), itself first.

    The number beside a bar is r with its sign.
    """
    panels, bars = top_columns.shape
    across = min(panels, 2)
    down = -(-panels // across)
    name = max(text_width(factor_names[k]) for k in top_columns.flat) + 12
    number_width = text_width("−0.00") + 10
    wide, tall = name + WIDTH + number_width + 24, ABOVE + BAR * bars + BELOW
    sheet = page(
        wide * across - 24,
        tall * down,
        "Attributes that go with one latent",
        f"{title} · |r| over held-out images with the latent that goes with the first attribute best, the sign beside "
        "the bar",
    )
    for i, (latent, columns, r) in enumerate(zip(top_latents, top_columns, top_correlations, strict=True)):
        x, y = i % across * wide, i // across * tall
        sheet.text(x, y + 12, f"{factor_names[columns[0]]}: z{latent}", size=LABEL, weight="bold")
        axes = sheet.axes(x + name, y + ABOVE, WIDTH, BAR * bars)
        axes.barh(range(bars), np.abs(r), height=0.7, color=[FIRST] + [THIRD] * (bars - 1))
        axes.set(xlim=(0, 1), ylim=(bars - 0.5, -0.5))
        axes.set_xticks([0, 0.5, 1], ["0", "0.5", "1"])
        axes.set_yticks([])
        axes.grid(axis="x", color=RULE, linewidth=0.5)
        axes.set_axisbelow(True)
        for j, (k, value) in enumerate(zip(columns, r, strict=True)):
            middle = y + ABOVE + BAR * (j + 0.5)
            sheet.text(x + name - 8, middle, factor_names[k], ha="right")
            sheet.text(x + name + WIDTH * abs(value) + 6, middle, signed(value), color=FADED)
    return sheet.figure


def signed(r: float) -> str:
    text = number(r)
    return text if text.startswith("−") or float(text) == 0 else f"+{text}"
