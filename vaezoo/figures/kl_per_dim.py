"""The mean KL of each latent to its prior."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from vaezoo.figures.style import (
    BAND,
    FADED,
    FIRST,
    INACTIVE,
    INK,
    RULE,
    SMALL,
    THIRD,
    format_nats,
    format_number,
    format_range,
    new_page,
    text_width,
)

NUMBERED = 16  # With more latents the bars do not show their numbers.
BARS_PER_ROW = 50  # More latents take several rows, so that every bar has its index.
BETWEEN = 62  # pixels between rows of bars, for their labels


def kl_per_dim(kl_per_dim: np.ndarray, title: str, kl_names: Sequence[str] | None = None) -> Figure:
    """Draw the mean KL (D,) of each latent to its prior in nats, the largest first.

    Every row of bars has the same scale. `kl_names` are the names of the latents, by default their numbers.
    """
    names = kl_names if kl_names is not None else [str(d) for d in range(len(kl_per_dim))]
    order = np.argsort(-kl_per_dim, kind="stable")
    active = int((kl_per_dim >= INACTIVE).sum())
    latents = len(order)
    rows, longest = -(-latents // BARS_PER_ROW), min(latents, BARS_PER_ROW)
    pitch = 52 if latents <= NUMBERED else max(900 // longest, 18)
    height = 190 if rows == 1 else 120
    turned = pitch < max(map(text_width, names)) + 8
    top = max(float(kl_per_dim.max()) * 1.12, 2 * INACTIVE)
    mark = f"{INACTIVE} nats"
    sheet = new_page(
        pitch * longest,
        rows * (height + BETWEEN) - BETWEEN,
        f"KL to the prior: {format_number(kl_per_dim.sum())} nats in {active} active of {latents} latents",
        f"{title} · mean over images, {format_range(kl_per_dim)} nats a latent · "
        f"grey band: inactive latents, below {mark} (dashed)",
        left=64,
        right=text_width(mark) + 8,
        top=24,
        bottom=58 if turned else 42,
    )
    sheet.add_text(-64, -14, "nats", color=FADED)
    for row in range(rows):
        dims = order[row * BARS_PER_ROW : (row + 1) * BARS_PER_ROW]
        y, width = row * (height + BETWEEN), pitch * len(dims)
        axes = sheet.add_axes(0, y, width, height)
        values = kl_per_dim[dims]
        alive = values >= INACTIVE
        axes.bar(range(len(dims)), values, width=0.72, color=np.where(alive, FIRST, THIRD))
        if not alive.all():
            axes.axvspan(alive.sum() - 0.5, len(dims) - 0.5, color=BAND, zorder=0)
        axes.axhline(INACTIVE, color=INK, linewidth=0.8, linestyle=(0, (4, 3)))
        sheet.add_text(width + 6, y + height * (1 - INACTIVE / top), mark, color=FADED)
        axes.set(xlim=(-0.5, len(dims) - 0.5), ylim=(0, top))
        axes.set_xticks(range(len(dims)), [names[d] for d in dims])
        axes.tick_params("x", length=0, rotation=90 if turned else 0)
        axes.yaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
        for tick, on in zip(axes.get_xticklabels(), alive, strict=True):
            tick.set_color(INK if on else FADED)
        if latents > NUMBERED:
            axes.grid(axis="y", color=RULE, linewidth=0.5)
            axes.set_axisbelow(True)
            continue
        for i, value in enumerate(values):
            axes.text(
                i, value + top * 0.02, format_nats(value).removesuffix(" nats"), size=SMALL, ha="center", va="bottom"
            )
    axes.set_xlabel("latent, by falling KL", size=SMALL)
    return sheet.figure
