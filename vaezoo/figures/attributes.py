"""The accuracy of each attribute predicted from codes, beside the rate of its more frequent value."""

from collections.abc import Sequence
from typing import Annotated

import numpy as np
from matplotlib.figure import Figure

from vaezoo.figures import Computed
from vaezoo.figures.style import FADED, FIRST, INK, RULE, SECOND, format_number, new_page, text_width

WIDTH, ROW = 420, 22


def attributes(
    attribute_names: Annotated[Sequence[str], Computed("attribute_vectors", "names")],
    attribute_accuracy: Annotated[np.ndarray, Computed("attribute_vectors", "accuracy")],
    attribute_majority: Annotated[np.ndarray, Computed("attribute_vectors", "majority")],
    attribute_balanced: Annotated[np.ndarray, Computed("attribute_vectors", "balanced")],
    title: str,
) -> Figure:
    """Draw a row for each of K attributes, the largest gain over the majority first; values are (K,) in [0, 1]."""
    gain = attribute_accuracy - attribute_majority
    order = np.argsort(-gain, kind="stable")
    count = len(order)
    left = max(map(text_width, attribute_names)) + 12
    columns = ("accuracy", "gain", "balanced")
    width = max(map(text_width, columns)) + 14
    sheet = new_page(
        WIDTH,
        ROW * count,
        "Attributes read along the vector between their means",
        f"{title} · {count} attributes of held-out images · dot: accuracy, bar: from the rate of the more frequent "
        "answer, ring: mean of the accuracies of yes and no",
        left=left,
        right=width * len(columns),
        top=24,
        bottom=36,
    )
    axes = sheet.add_axes(0, 0, WIDTH, ROW * count)
    rows = np.arange(count)
    values = attribute_accuracy[order], attribute_majority[order], attribute_balanced[order]
    accuracy, majority, balanced = values
    axes.hlines(rows, majority, accuracy, color=np.where(gain[order] > 0, FIRST, SECOND), linewidth=2)
    axes.plot(majority, rows, "|", color=INK, markersize=9)
    axes.plot(balanced, rows, "o", color=FADED, markersize=6, markerfacecolor="none")
    axes.plot(accuracy, rows, "o", color=FIRST, markersize=5)
    low = np.floor(min(map(np.min, values)) * 10 - 1e-9) / 10
    axes.set(xlim=(low - 0.02, 1.02), ylim=(count - 0.5, -0.5))
    ticks = np.arange(round(low * 10), 11) / 10
    axes.set_xticks(ticks, [format_number(tick, 1) for tick in ticks])
    axes.set_yticks([])
    axes.grid(axis="x", color=RULE, linewidth=0.5)
    axes.set_axisbelow(True)
    for i, k in enumerate(order):
        sheet.add_text(-12, ROW * (i + 0.5), attribute_names[k], ha="right")
        texts = format_number(accuracy[i], 3), format_number(gain[k], 3), format_number(balanced[i], 3)
        for j, text in enumerate(texts):
            sheet.add_text(WIDTH + width * (j + 1), ROW * (i + 0.5), text, ha="right")
    for j, name in enumerate(columns):
        sheet.add_text(WIDTH + width * (j + 1), -12, name, ha="right", color=FADED)
    return sheet.figure
