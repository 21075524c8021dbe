"""The sharpness of images, reconstructions and samples, by class."""

from collections.abc import Sequence
from typing import Annotated

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from vaezoo.figures import Computed
from vaezoo.figures.style import FADED, FIRST, INK, RULE, SECOND, THIRD, format_number, new_page, text_width

CLASSES = 16  # With more classes there are only the boxes of all images.
HEIGHT, ROW = 260, 22  # of the panel and of a row of medians, pixels
COLORS = {"images": FIRST, "reconstructions": SECOND, "samples": THIRD}
MEDIANS = {"images": "white", "reconstructions": INK, "samples": "white"}
NAMES = ("whislo", "q1", "med", "q3", "whishi")  # matplotlib's names of the five numbers


def laplacian(
    laplacian_images: Annotated[np.ndarray, Computed("laplacian", "box_images")],
    title: str,
    laplacian_reconstructions: Annotated[np.ndarray | None, Computed("laplacian", "box_reconstructions")] = None,
    laplacian_samples: Annotated[np.ndarray | None, Computed("laplacian", "box_samples")] = None,
    label_names: Sequence[str] = (),
) -> Figure:
    """Draw box plots (1 + classes, 5): whisker, quartile, median, quartile, whisker; all images first.

    The medians are written below the boxes. A class without images has a row of NaN.
    """
    inputs = {"images": laplacian_images, "reconstructions": laplacian_reconstructions, "samples": laplacian_samples}
    kinds = {name: boxes for name, boxes in inputs.items() if boxes is not None}
    classes = len(laplacian_images) - 1 if len(laplacian_images) - 1 <= CLASSES else 0
    names = ["all", *label_names[:classes]]
    kinds = {name: boxes[: len(names)] for name, boxes in kinds.items()}
    medians = {name: [format_variance(box[2]) for box in boxes] for name, boxes in kinds.items()}

    widest = max(text_width(text) for texts in medians.values() for text in texts)
    pitch = max(66, widest + 14)
    if len(names) == 1:
        pitch = 240
    turned = max(map(text_width, names)) + 8 > pitch
    below = max(map(text_width, names)) + 12 if turned else 24
    left = max(text_width("reconstructions") + 24, text_width("65,000") + 16)
    sheet = new_page(
        pitch * len(names),
        HEIGHT,
        "Sharpness: variance of the Laplacian",
        f"{title} · boxes from quartile to quartile, whiskers to the last image within 1.5 boxes, pixels in 0 … 255 · "
        "noise counts as sharp, too",
        left=left,
        right=10,
        top=24,
        bottom=below + 24 + ROW * len(kinds),
    )
    axes = sheet.add_axes(0, 0, pitch * len(names), HEIGHT)
    width = 0.72 / len(kinds)
    box_counts = [sum(len(boxes) > j for boxes in kinds.values()) for j in range(len(names))]
    for i, (kind, boxes) in enumerate(kinds.items()):
        groups = [j for j, box in enumerate(boxes) if np.isfinite(box).all()]
        axes.bxp(
            [dict(zip(NAMES, boxes[j], strict=True)) for j in groups],
            positions=[j + (i - (box_counts[j] - 1) / 2) * width for j in groups],
            widths=0.8 * width,
            showfliers=False,
            patch_artist=True,
            manage_ticks=False,
            boxprops={"facecolor": COLORS[kind], "edgecolor": COLORS[kind]},
            medianprops={"color": MEDIANS[kind], "linewidth": 1.6},
            whiskerprops={"color": COLORS[kind]},
            capprops={"color": COLORS[kind]},
        )
    axes.set(xlim=(-0.5, len(names) - 0.5), ylim=(0, None))
    axes.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
    axes.yaxis.set_major_formatter(lambda y, _: format_variance(y))
    axes.grid(axis="y", color=RULE, linewidth=0.5)
    axes.set_axisbelow(True)
    axes.set_xticks(range(len(names)), names, parse_math=False, rotation=90 if turned else 0)
    axes.tick_params("x", length=0)
    sheet.add_text(18 - left, HEIGHT + below + 10, "medians", color=FADED)
    for i, (kind, texts) in enumerate(medians.items()):
        y = HEIGHT + below + 10 + ROW * (i + 1)
        key = sheet.add_axes(-left, y - 6, 12, 12)
        key.set_axis_off()
        key.add_patch(Rectangle((0, 0), 1, 1, color=COLORS[kind]))
        sheet.add_text(-left + 18, y, kind)
        for j, text in enumerate(texts):
            sheet.add_text((j + 0.5) * pitch, y, text, ha="center")
    return sheet.figure


def format_variance(variance: float) -> str:
    """Format a variance with enough digits to compare, or as "–" where it is not finite."""
    if not np.isfinite(variance):
        return "–"
    return f"{variance:,.0f}" if variance >= 100 or variance == 0 else format_number(variance, 1)
