"""The terms of the objective during training."""

import re
from collections.abc import Mapping
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from vaezoo.figures.style import FADED, FIRST, LABEL, PAD, RULE, SECOND, SMALL, THIRD, new_page

Curve = tuple[np.ndarray, np.ndarray]  # batches, values

SPLITS = ("train", "val", "test")
COLORS = {"train": FIRST, "val": SECOND, "test": THIRD}
DASHES: dict[str, Literal["-", "--", ":"]] = {"train": "-", "val": "--", "test": ":"}
LEADING = ("loss", "rec", "kl")  # the terms whose panels come first
# A term is in nats if its name has a word of the first set and none of the second.
IN_NATS = {"loss", "rec", "kl", "elbo", "likelihood", "tc", "mi", "capacity"}
UNITLESS = {"share", "ratio", "units", "accuracy", "weight"}
VECTOR = re.compile(r"/\d+$")  # Terms such as "kl_per_dim/7" have a figure of their own.
WIDTH, HEIGHT = 270, 190  # of a panel, pixels
ACROSS, DOWN = 90, 112  # between panels, pixels


def curves(history: Mapping[str, Curve], title: str) -> Figure:
    """Draw a panel for each term with its splits together: "train/kl" and "val/kl" share the panel "kl".

    `history` maps the name of a column to batches and values; values that are not finite are left out.
    """
    panels: dict[str, dict[str, Curve]] = {}
    for name, (batches, values) in history.items():
        split, _, term = name.partition("/")
        finite = np.isfinite(values)
        if split in SPLITS and finite.any() and not VECTOR.search(term):
            panels.setdefault(term, {})[split] = np.asarray(batches)[finite], np.asarray(values, float)[finite]
    terms = sorted(panels, key=lambda term: LEADING.index(term) if term in LEADING else len(LEADING))
    caption = f"{title} · nothing logged yet"
    if terms:
        last = max(batches.max() for panel in panels.values() for batches, _ in panel.values())
        caption = f"{title} · {int(last):,} batches"
    if "val" in panels.get("loss", {}):
        caption += " · dot: lowest validation loss"
    columns = min(max(len(terms), 1), 3)
    rows = -(-max(len(terms), 1) // columns)
    wide, tall = columns * (WIDTH + ACROSS) - ACROSS, rows * (HEIGHT + DOWN) - DOWN
    sheet = new_page(wide, tall, "Terms during training", caption, left=70, right=20, top=92, bottom=52)

    for i, term in enumerate(terms):
        x, y = i % columns * (WIDTH + ACROSS), i // columns * (HEIGHT + DOWN)
        notes = [draw_panel(sheet.add_axes(x, y, WIDTH, HEIGHT), panels[term], dot=term == "loss")]
        words = set(term.replace("/", "_").split("_"))
        if words & IN_NATS and not words & UNITLESS:
            notes.insert(0, "nats per image")
        note = ", ".join(filter(None, notes))
        sheet.add_text(x - 40, y - (38 if note else 20), term, size=LABEL, weight="bold")
        sheet.add_text(x - 40, y - 18, note, color=FADED)
    # All panels share one legend, below the heading.
    splits = [split for split in SPLITS if any(split in panel for panel in panels.values())]
    for i, split in enumerate(splits):
        x = PAD - sheet.left + 110 * i
        line = sheet.add_axes(x, -84, 44, 8)
        line.set_axis_off()
        line.plot([0, 1], [0, 0], color=COLORS[split], linestyle=DASHES[split], linewidth=1.6)
        sheet.add_text(x + 52, -80, split)
    return sheet.figure


def draw_panel(axes: Axes, lines: Mapping[str, Curve], dot: bool) -> str:
    """Draw the curves of one term and return "log scale" where the scale is logarithmic, otherwise "".

    `dot` marks the smallest value of the validation split.
    """
    for split, (batches, values) in lines.items():
        mark = "o" if len(batches) == 1 else None
        axes.plot(batches, values, color=COLORS[split], linestyle=DASHES[split], lw=1.6, marker=mark, markersize=3)
        if dot and split == "val":
            axes.plot(batches[values.argmin()], values.min(), "o", color=COLORS[split], markersize=5)
    all_values = np.concatenate([values for _, values in lines.values()])
    logarithmic = needs_log_scale(all_values)
    if logarithmic:
        axes.set_yscale("log")
        few = all_values.max() < 100 * all_values.min()
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if few else (1,), numticks=8))
        axes.yaxis.set_minor_formatter(NullFormatter())
    else:
        axes.yaxis.set_major_locator(MaxNLocator(5))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.5g}".replace("-", "−")))
    axes.xaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10], integer=True))
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    axes.set_xlabel("batches", size=SMALL)
    axes.grid(color=RULE, linewidth=0.5)
    axes.set_axisbelow(True)
    return "log scale" if logarithmic else ""


def needs_log_scale(values: np.ndarray) -> bool:
    """Decide whether half of the values would lie in the lowest tenth of a panel with a linear scale."""
    low, high = values.min(), values.max()
    return bool(low > 0 and high > 10 * low and np.median(values) - low < 0.1 * (high - low))
