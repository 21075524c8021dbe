"""Codes in the plane, coloured by the classes or factors of the images."""

from collections.abc import Sequence
from typing import Annotated

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from vaezoo.figures import Computed
from vaezoo.figures.style import FADED, INK, LABEL, SMALL, Page, format_number, new_page, text_width

NAMED = 20  # With more classes they have neither colours of their own nor names.
ALONE, SIDE, BETWEEN = 560, 300, 24  # pixels: side of a single panel, side of several panels, space between them
LINE = 18  # pixels for a line of text


def tsne(
    plane_points: np.ndarray,
    plane_levels: np.ndarray,
    plane_names: Sequence[str],
    title: str,
    label_names: Sequence[str] = (),
    plane_perplexity: float | None = None,
    knn_purity: Annotated[float | None, Computed("knn_purity")] = None,
) -> Figure:
    """Draw points (n, 2) in a panel for each column of integers `plane_levels` (n, P).

    A single panel shows classes: their names, from `label_names`, are written at the medians of their points, so that
    colours are not needed to distinguish them. Several panels show factors, from dark to light. Without a perplexity
    the points are the two latents themselves.
    """
    count, panels = plane_levels.shape
    side, across = (ALONE, 1) if panels == 1 else (SIDE, min(panels, 3))
    down = -(-panels // across)
    how = "the latents themselves"
    if plane_perplexity:
        how = f"t-SNE, perplexity {plane_perplexity:g}: distances and sizes of groups mean nothing"
    caption = f"{title} · {count:,} images · {how}"
    if knn_purity is not None:
        caption += f" · of the ten nearest codes {format_number(knn_purity)} have the same label"
    sheet = new_page(
        across * (side + BETWEEN) - BETWEEN,
        down * (side + BETWEEN + LINE) - BETWEEN,
        "Codes in the plane" if plane_perplexity else "Codes",
        caption,
        right=0 if panels > 1 else 4,
    )
    for i, (name, levels) in enumerate(zip(plane_names, plane_levels.T, strict=True)):
        x, y = i % across * (side + BETWEEN), i // across * (side + BETWEEN + LINE)
        sheet.add_text(x, y + LINE / 2 - 4, name, size=LABEL, weight="bold")
        draw_panel(sheet, x, y + LINE, side, plane_points, levels, label_names if panels == 1 else None)
    return sheet.figure


def draw_panel(
    sheet: Page, x: float, y: float, side: int, points: np.ndarray, levels: np.ndarray, names: Sequence[str] | None
) -> None:
    """Draw points (n, 2) in a square at x and y, coloured by their levels (n,), with the `names` of the levels."""
    present = np.unique(levels)
    axes = sheet.add_axes(x, y, side, side)
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
        sheet.add_text(x + side, y - LINE / 2 - 4, ", ".join(texts), ha="right", color=FADED)
        return
    medians = [np.median(points[place == j], axis=0) for j in range(len(present))]
    labels = [names[level] if level < len(names) else str(level) for level in present]
    pixels = (np.array(medians) - middle) / (2 * reach) * [side, -side] + side / 2
    for text, (across, down) in zip(labels, spread_texts(pixels, labels, side), strict=True):
        sheet.add_text(
            x + across,
            y + down,
            text,
            size=SMALL,
            weight="bold",
            color=INK,
            ha="center",
            path_effects=[withStroke(linewidth=2.5, foreground="white")],
        )


def spread_texts(places: np.ndarray, texts: Sequence[str], side: int) -> np.ndarray:
    """Move texts up or down so that none covers another, and return their centres (n, 2).

    `places` (n, 2) are the centres where they belong, in pixels to the right of and below the corner of a square with
    this side. The texts are placed from top to bottom, each as near to its place as the texts before it allow.
    """
    widths = np.array([text_width(text, SMALL, "bold") + 6 for text in texts])
    centres = np.array(places, float)
    centres[:, 0] = np.clip(centres[:, 0], widths / 2, np.maximum(side - widths / 2, widths / 2))
    centres[:, 1] = np.clip(centres[:, 1], LINE / 2, side - LINE / 2)
    placed: list[int] = []
    for i in np.argsort(centres[:, 1], kind="stable"):
        for step in range(2 * side // LINE):
            # The distances to try are 0, 1, -1, 2, -2, ... lines.
            down = centres[i, 1] + (step + 1) // 2 * (1 if step % 2 else -1) * LINE
            if not LINE / 2 <= down <= side - LINE / 2:
                continue
            near = [j for j in placed if abs(centres[j, 1] - down) < LINE]
            if all(abs(centres[j, 0] - centres[i, 0]) >= (widths[i] + widths[j]) / 2 for j in near):
                centres[i, 1] = down
                break
        placed.append(int(i))
    return centres
