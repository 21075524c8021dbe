"""What the figures share: a page laid out in pixels, sheets of images, and how a page becomes a file.

A page is measured in pixels, not inches, because images must keep theirs: each pixel of an image is a square of
whole pixels on the page, with its colour unaltered.
"""

import os
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg, RendererAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.image import imsave
from PIL import Image

DPI = 128  # a power of two: pixels to inches and back is exact
PAD = 16  # white around everything
GAP = 4  # between images
MIN_WIDTH = 620  # room for a heading
WIDE, TALL = 1060, 1280  # images are enlarged as long as their sheet stays within this

HEADING, LABEL, SMALL = 11.0, 9.0, 8.0  # points
INK, FADED, RULE, BAND = "#1a1a1a", "#6e6e6e", "#c8c8c8", "#ececec"
# Blue and orange differ for every common colour blindness, and in lightness too.
FIRST, SECOND, THIRD = "#12508c", "#e08214", "#7a7a7a"
SEQUENTIAL, DIVERGING = "Blues", "RdBu_r"  # white is nothing, dark is much

FRAME = 80  # milliseconds, of a GIF

INACTIVE = 0.01  # nats: below this a latent says nothing

Drawn = Figure | Sequence[Figure]  # a picture, or the frames of a moving one


@dataclass(frozen=True)
class Page:
    """A heading, the content, a caption. Positions are pixels right of and below the content's top left corner."""

    figure: Figure
    left: int
    top: int

    def text(self, x: float, y: float, text: str, **style: Any) -> None:
        width, height = self.figure.bbox.size
        usual: dict[str, Any] = {"size": SMALL, "color": INK, "va": "center", "parse_math": False}
        self.figure.text((self.left + x) / width, 1 - (self.top + y) / height, text, **(usual | style))

    def axes(self, x: float, y: float, width: float, height: float) -> Axes:
        """Axes in that rectangle, with a thin frame on the left and below."""
        whole_width, whole_height = self.figure.bbox.size
        bottom = whole_height - self.top - y - height
        axes = self.figure.add_axes(
            ((self.left + x) / whole_width, bottom / whole_height, width / whole_width, height / whole_height)
        )
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(labelsize=SMALL, colors=INK, length=3)
        return axes

    def image(self, x: int, y: int, pixels: np.ndarray) -> None:
        """Lay (height, width, 3) uint8 pixels on the page as they are."""
        bottom = round(self.figure.bbox.height) - self.top - y - len(pixels)
        self.figure.figimage(pixels, self.left + x, bottom, origin="upper")


def page(
    width: float,
    height: float,
    heading: str,
    caption: str,
    *,
    left: float = 0,
    right: float = 0,
    top: float = 0,
    bottom: float = 0,
) -> Page:
    """An empty page for `width` x `height` pixels of content; the margins are room for its labels."""
    left, top = PAD + round(left), round(top)
    total = max(left + round(width + right) + PAD, MIN_WIDTH)
    headlines = wrap(heading, total - 2 * PAD, HEADING, "bold")
    captions = wrap(caption, total - 2 * PAD, SMALL)
    above = PAD + 26 * len(headlines) + 10 + top
    below = round(bottom) + 14 + 20 * len(captions) + PAD - 4
    tall = above + round(height) + below
    figure = Figure(figsize=(total / DPI, tall / DPI), dpi=DPI, facecolor="white")
    sheet = Page(figure, left, above)
    for i, line in enumerate(headlines):
        sheet.text(PAD - left, PAD - above + 13 + 26 * i, line, size=HEADING, weight="bold")
    for i, line in enumerate(captions):
        sheet.text(PAD - left, height + bottom + 14 + 10 + 20 * i, line, color=FADED)
    return sheet


@cache
def _renderer() -> RendererAgg:
    return RendererAgg(1, 1, DPI)


def text_width(text: str, size: float = SMALL, weight: str = "normal") -> int:
    """Pixels that a line of text takes."""
    font = FontProperties(size=size, weight=weight)
    return int(np.ceil(_renderer().get_text_width_height_descent(text, font, ismath=False)[0]))


def wrap(text: str, width: int, size: float, weight: str = "normal") -> list[str]:
    """Lines no wider than `width` pixels; names without a space are broken where they must be."""
    letters = len(text)
    while True:
        lines = textwrap.wrap(text, max(letters, 1), break_on_hyphens=False)
        if letters <= 1 or all(text_width(line, size, weight) <= width for line in lines):
            return lines
        letters -= 1 + letters // 40


def number(value: float, digits: int = 2) -> str:
    """Fixed decimals with a true minus sign, and no minus before a rounded zero."""
    return f"{round(float(value), digits) + 0.0:.{digits}f}".replace("-", "−")


def span(values: np.ndarray) -> str:
    """The smallest and the largest value, on one line."""
    return f"{number(values.min())}\u00a0…\u00a0{number(values.max())}"


def nats(value: float) -> str:
    """Two decimals, three near the threshold of inactivity."""
    return f"{number(value, 2 if value >= 0.1 else 3)} nats"


def size_of(images: np.ndarray) -> str:
    """(..., C, H, W) as a caption says it: "28 × 28 grey" or "64 × 64 colour" (height × width)."""
    channels, height, width = images.shape[-3:]
    return f"{height} × {width} {'grey' if channels == 1 else 'colour'}"


def enlargement(rows: int, columns: int, height: int, width: int, least: tuple[int, int] = (24, 24)) -> int:
    """By what whole factor to enlarge images in a sheet: to fill the page, but at least `least` (height, width)."""
    room = min(((WIDE - GAP) / columns - GAP) / width, ((TALL - GAP) / rows - GAP) / height)
    need = max(-(-least[0] // height), -(-least[1] // width))
    return max(1, need, int(room))


def tile(grid: np.ndarray, factor: int) -> np.ndarray:
    """Images (rows, columns, C, H, W) in [0, 1] as one sheet (height, width, 3) uint8 with grey between them.

    A pixel becomes `factor` x `factor` pixels of its colour; one that is not a number shows as the grey.
    """
    gap = 200
    rows, columns, channels, height, width = grid.shape
    pixels = np.where(np.isfinite(grid), np.rint(np.clip(grid, 0, 1) * 255), gap).astype(np.uint8)
    pixels = np.broadcast_to(pixels, (rows, columns, 3, height, width)) if channels == 1 else pixels
    pixels = pixels.repeat(factor, axis=3).repeat(factor, axis=4)
    pixels = np.pad(pixels, ((0, 0), (0, 0), (0, 0), (GAP, 0), (GAP, 0)), constant_values=gap)
    sheet = pixels.transpose(0, 3, 1, 4, 2).reshape(rows * (height * factor + GAP), -1, 3)
    return np.pad(sheet, ((0, GAP), (0, GAP), (0, 0)), constant_values=gap)


def to_uint8(figure: Figure) -> np.ndarray:
    """The drawn figure, (height, width, 3): what `save` writes, for a dashboard."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def save(drawn: Drawn, path: str | Path) -> None:
    """Write a PNG, or of several frames a GIF, whole or not at all.

    The same data give the same bytes: the file carries no date and no version.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.stem}.{os.getpid()}.partial{path.suffix}")
    try:
        if isinstance(drawn, Figure):
            imsave(beside, to_uint8(drawn), format="png", dpi=DPI, origin="upper", pil_kwargs={"pnginfo": None})
        else:
            pictures = {id(figure): to_uint8(figure) for figure in drawn}  # a frame that comes again is drawn once
            first, *rest = (Image.fromarray(pictures[id(figure)]) for figure in drawn)
            first.save(beside, format="gif", save_all=True, append_images=rest, duration=FRAME, loop=0)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
