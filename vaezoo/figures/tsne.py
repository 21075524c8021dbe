"""Codes in the plane, coloured by what is known of the images."""

from collections.abc import Sequence
from typing import Annotated

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from vaezoo.figures import Computed
from vaezoo.figures.style import FADED, INK, LABEL, SMALL, Page, number, page, text_width

NAMED = 20  # classes up to which each has a colour and its name
ALONE, SIDE, BETWEEN = 560, 300, 24  # pixels: a panel by itself, one of several, between them
LINE = 18


def tsne(
    plane_points: np.ndarray,
    plane_levels: np.ndarray,
    plane_names: Sequence[str],
    title: str,
    label_names: Sequence[str] = (),
    plane_perplexity: float | None = None,
    knn_purity: Annotated[float | None, Computed("knn_purity")] = None,
) -> Figure:
    """Points (n, 2), a panel for each column of `plane_levels` (n, P): whole numbers, such as classes or factors.

    The levels of a single panel are classes: their names, from `label_names`, stand on their medians, so that they can
    be told apart without colours. Those of several are factors, from dark to light. Without a perplexity the points are
    the two latents themselves.
    """
    count, panels = plane_levels.shape
    side, across = (ALONE, 1) if panels == 1 else (SIDE, min(panels, 3))
    down = -(-panels // across)
    how = f"t-SNE, perplexity {plane_perplexity:g}: distances and sizes of groups mean nothing"
    caption = f"{title} · {count:,} images · {how if plane_perplexity else 'the latents themselves'}"
    if knn_purity is not None:
        caption += f" · of the ten nearest codes {number(knn_purity)} have the same label"
    sheet = page(
        across * (side + BETWEEN) - BETWEEN,
        down * (side + BETWEEN + LINE) - BETWEEN,
        "Codes in the plane" if plane_perplexity else "Codes",
        caption,
        right=0 if panels > 1 else 4,
    )
    for i, (name, levels) in enumerate(zip(plane_names, plane_levels.T, strict=True)):
        x, y = i % across * (side + BETWEEN), i // across * (side + BETWEEN + LINE)
        sheet.text(x, y + LINE / 2 - 4, name, size=LABEL, weight="bold")
        panel(sheet, x, y + LINE, side, plane_points, levels, label_names if panels == 1 else None)
    return sheet.figure


def panel(
    sheet: Page, x: float, y: float, side: int, points: np.ndarray, levels: np.ndarray, names: Sequence[str] | None
) -> None:
    present = np.unique(levels)
    axes = sheet.axes(x, y, side, side)
    axes.spines[:].set_visible(True)
    axes.spines[:].set_color(FADED)
    axes.set_xticks([])
    axes.set_yticks([])
    low, high = points.min(axis=0), points.max(axis=0)
    middle, reach = (low + high) / 2, max(float((high - low).max()), 1e-9) * 0.53
    axes.set(xlim=(middle[0] - reach, middle[0] + reach), ylim=(middle[1] - reach, middle[1] + reach))
    named = names is not None and len(present) <= NAMED
    palette = colormaps["tab10" if len(present) <= 10 else "tab20"] if named else colormaps["viridis"]
    place = np.searchsorted(present, levels)
    colors = palette(place if named else place / max(len(present) - 1, 1))
    axes.scatter(points[:, 0], points[:, 1], s=3.5 if len(points) > 1000 else 12, c=colors, linewidths=0)
    if names is None or not named:
        texts = f"dark: {present[0]}", f"light: {present[-1]}"
        sheet.text(x + side, y - LINE / 2 - 4, ", ".join(texts), ha="right", color=FADED)
        return
    medians = [np.median(points[place == j], axis=0) for j in range(len(present))]
    shown = [names[level] if level < len(names) else str(level) for level in present]
    pixels = (np.array(medians) - middle) / (2 * reach) * [side, -side] + side / 2
    for text, (across, down) in zip(shown, apart(pixels, shown, side), strict=True):
        sheet.text(
            x + across,
            y + down,
            text,
            size=SMALL,
            weight="bold",
            color=INK,
            ha="center",
            path_effects=[withStroke(linewidth=2.5, foreground="white")],
        )


def apart(places: np.ndarray, texts: Sequence[str], side: int) -> np.ndarray:
    """Centres (n, 2) of texts, from top to bottom: one that would cover another moves down, or up.

    `places` (n, 2) are pixels right of and below the corner of a square of that side.
    """
    widths = np.array([text_width(text, SMALL, "bold") + 6 for text in texts])
    found = np.array(places, float)
    found[:, 0] = np.clip(found[:, 0], widths / 2, np.maximum(side - widths / 2, widths / 2))
    found[:, 1] = np.clip(found[:, 1], LINE / 2, side - LINE / 2)
    done: list[int] = []
    for i in np.argsort(found[:, 1], kind="stable"):
        for step in range(2 * side // LINE):
            # 0, 1, -1, 2, -2, ... lines away from where it belongs
            down = found[i, 1] + (step + 1) // 2 * (1 if step % 2 else -1) * LINE
            if not LINE / 2 <= down <= side - LINE / 2:
                continue
            near = [j for j in done if abs(found[j, 1] - down) < LINE]
            if all(abs(found[j, 0] - found[i, 0]) >= (widths[i] + widths[j]) / 2 for j in near):
                found[i, 1] = down
                break
        done.append(int(i))
    return found
