"""How much each latent says about an image."""

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
    nats,
    number,
    page,
    span,
    text_width,
)

NUMBERED = 16  # latents up to which each bar shows its number
A_ROW = 50  # bars; more latents take more rows, so that each keeps its index
BETWEEN = 62  # rows of bars, for their labels


def kl_per_dim(kl_per_dim: np.ndarray, title: str, kl_names: Sequence[str] | None = None) -> Figure:
    """Mean KL of each latent to its prior, the largest first; every row of bars has the same scale.

    `kl_names` are what the latents are called, their numbers by default.
    """
    names = kl_names if kl_names is not None else [str(d) for d in range(len(kl_per_dim))]
    order = np.argsort(-kl_per_dim, kind="stable")
    active = int((kl_per_dim >= INACTIVE).sum())
    latents = len(order)
    rows, longest = -(-latents // A_ROW), min(latents, A_ROW)
    pitch = 52 if latents <= NUMBERED else max(900 // longest, 18)
    height = 190 if rows == 1 else 120
    turned = pitch < max(map(text_width, names)) + 8
    top = max(float(kl_per_dim.max()) * 1.12, 2 * INACTIVE)
    mark = f"{INACTIVE} nats"
    sheet = page(
        pitch * longest,
        rows * (height + BETWEEN) - BETWEEN,
        f"KL to the prior: {number(kl_per_dim.sum())} nats in {active} active of {latents} latents",
        f"{title} · mean over images, {span(kl_per_dim)} nats a latent · "
        f"grey band: inactive latents, below {mark} (dashed)",
        left=64,
        right=text_width(mark) + 8,
        top=24,
        bottom=58 if turned else 42,
    )
    sheet.text(-64, -14, "nats", color=FADED)
    for row in range(rows):
        dims = order[row * A_ROW : (row + 1) * A_ROW]
        y, width = row * (height + BETWEEN), pitch * len(dims)
        axes = sheet.axes(0, y, width, height)
        values = kl_per_dim[dims]
        alive = values >= INACTIVE
        axes.bar(range(len(dims)), values, width=0.72, color=np.where(alive, FIRST, THIRD))
        if not alive.all():
            axes.axvspan(alive.sum() - 0.5, len(dims) - 0.5, color=BAND, zorder=0)
        axes.axhline(INACTIVE, color=INK, linewidth=0.8, linestyle=(0, (4, 3)))
        sheet.text(width + 6, y + height * (1 - INACTIVE / top), mark, color=FADED)
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
            axes.text(i, value + top * 0.02, nats(value).removesuffix(" nats"), size=SMALL, ha="center", va="bottom")
    axes.set_xlabel("latent, by falling KL", size=SMALL)
    return sheet.figure
