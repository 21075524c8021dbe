"""Shared by the figures: pages laid out in pixels, sheets of images, texts for captions, and files.

A page is measured in pixels, not inches, so that images stay exact: each pixel of an image is a square of whole pixels
on the page, in the same colour.
"""

import logging
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg, RendererAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.image import imsave
from PIL import Image

from vaezoo.runs.files import write_whole

# Lengths in pixels.
DPI = 128  # A power of two makes the conversion of pixels to inches and back exact.
PAD = 16  # the margin around a page
GAP = 4  # between images
MIN_WIDTH = 620  # A page is at least this wide, so that its heading fits.
WIDE, TALL = 1060, 1280  # A sheet of images is enlarged up to this size.

HEADING, LABEL, SMALL = 11.0, 9.0, 8.0  # points
INK, FADED, RULE, BAND = "#1a1a1a", "#6e6e6e", "#c8c8c8", "#ececec"
# Blue and orange differ for every common colour blindness, and also in lightness.
FIRST, SECOND, THIRD = "#12508c", "#e08214", "#7a7a7a"
SEQUENTIAL, DIVERGING = "Blues", "RdBu_r"  # White is 0 in both, and dark is a large value.

FRAME = 80  # duration of a frame of a GIF, milliseconds

INACTIVE = 0.01  # A latent with a smaller KL, in nats, counts as inactive.

Drawn = Figure | Sequence[Figure]  # a picture, or the frames of an animation


@dataclass(frozen=True)
class Page:
    """A figure with a heading, content and a caption.

    Positions are pixels to the right of and below the top left corner of the content, which lies `left` and `top`
    pixels from that of the figure.
    """

    figure: Figure
    left: int
    top: int

    def add_text(self, x: float, y: float, text: str, **style: Any) -> None:
        """Write one line of text, centred vertically on y; `style` are matplotlib's properties of texts."""
        width, height = self.figure.bbox.size
        defaults: dict[str, Any] = {"size": SMALL, "color": INK, "va": "center", "parse_math": False}
        self.figure.text((self.left + x) / width, 1 - (self.top + y) / height, text, **(defaults | style))

    def add_axes(self, x: float, y: float, width: float, height: float) -> Axes:
        """Add axes in a rectangle, with a thin frame on the left and below."""
        page_width, page_height = self.figure.bbox.size
        bottom = page_height - self.top - y - height
        axes = self.figure.add_axes(
            ((self.left + x) / page_width, bottom / page_height, width / page_width, height / page_height)
        )
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(labelsize=SMALL, colors=INK, length=3)
        return axes

    def add_image(self, x: int, y: int, pixels: np.ndarray) -> None:
        """Add uint8 pixels (height, width, 3) to the page without changing their size or colour."""
        bottom = round(self.figure.bbox.height) - self.top - y - len(pixels)
        self.figure.figimage(pixels, self.left + x, bottom, origin="upper")


def new_page(
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
    """Return an empty page for `width` x `height` pixels of content, with margins for its labels."""
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
        sheet.add_text(PAD - left, PAD - above + 13 + 26 * i, line, size=HEADING, weight="bold")
    for i, line in enumerate(captions):
        sheet.add_text(PAD - left, height + bottom + 14 + 10 + 20 * i, line, color=FADED)
    return sheet


@cache
def _renderer() -> RendererAgg:
    """Return a renderer that only measures texts, because a new one for each text is slow."""
    return RendererAgg(1, 1, DPI)


def text_width(text: str, size: float = SMALL, weight: str = "normal") -> int:
    """Return the width of a line of text in pixels; `size` is in points."""
    font = FontProperties(size=size, weight=weight)
    return int(np.ceil(_renderer().get_text_width_height_descent(text, font, ismath=False)[0]))


def wrap(text: str, width: int, size: float, weight: str = "normal") -> list[str]:
    """Break a text into lines of at most `width` pixels, inside a word only where the word is too long."""
    letters = len(text)
    while True:
        lines = textwrap.wrap(text, max(letters, 1), break_on_hyphens=False)
        if letters <= 1 or all(text_width(line, size, weight) <= width for line in lines):
            return lines
        letters -= 1 + letters // 40


def format_number(value: float, digits: int = 2) -> str:
    """Format a value with fixed decimals, a true minus sign, and no minus before a rounded zero."""
    return f"{round(float(value), digits) + 0.0:.{digits}f}".replace("-", "−")


def format_range(values: np.ndarray) -> str:
    """Format the smallest and the largest value, with spaces that no line breaks."""
    return f"{format_number(values.min())}\u00a0…\u00a0{format_number(values.max())}"


def format_nats(value: float) -> str:
    """Format nats with two decimals, or three below 0.1, near the threshold of inactive latents."""
    return f"{format_number(value, 2 if value >= 0.1 else 3)} nats"


def format_size(images: np.ndarray) -> str:
    """Describe images (..., C, H, W) by height, width and kind: "28 × 28 grey" or "64 × 64 colour"."""
    channels, height, width = images.shape[-3:]
    return f"{height} × {width} {'grey' if channels == 1 else 'colour'}"


def enlargement(rows: int, columns: int, height: int, width: int, least: tuple[int, int] = (24, 24)) -> int:
    """Return the whole factor by which images fill a sheet of this many rows and columns.

    Each image becomes at least `least` (height, width) pixels large, even where the sheet then exceeds WIDE and TALL.
    """
    fitting = min(((WIDE - GAP) / columns - GAP) / width, ((TALL - GAP) / rows - GAP) / height)
    needed = max(-(-least[0] // height), -(-least[1] // width))
    return max(1, needed, int(fitting))


def tile_centre(index: int, side: int, factor: int) -> float:
    """Return the position of the middle of the image with this index in a sheet of `tile`, along one axis in pixels.

    `side` is the side of an image before it is enlarged.
    """
    return GAP + (index + 0.5) * (side * factor + GAP) - GAP / 2


def tile(grid: np.ndarray, factor: int) -> np.ndarray:
    """Arrange images (rows, columns, C, H, W) in [0, 1] on one sheet, (height, width, 3) uint8, with grey between them.

    A pixel becomes `factor` x `factor` pixels of its colour; a pixel that is not finite becomes grey.
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
    """Draw a figure into uint8 pixels (height, width, 3), the same that `save` writes."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def save(drawn: Drawn, path: str | Path) -> None:
    """Write a PNG, or a GIF of several frames, completely or not at all.

    The same data give the same bytes, because the file has no date and no version.
    """

    def write(partial: Path) -> None:
        if isinstance(drawn, Figure):
            imsave(partial, to_uint8(drawn), format="png", dpi=DPI, origin="upper", pil_kwargs={"pnginfo": None})
        else:
            pictures = {id(figure): to_uint8(figure) for figure in drawn}  # A repeated frame is drawn only once.
            first, *rest = (Image.fromarray(pictures[id(figure)]) for figure in drawn)
            first.save(partial, format="gif", save_all=True, append_images=rest, duration=FRAME, loop=0)

    write_whole(Path(path), write)


def save_vectors(figure: Figure, path: Path) -> None:
    """Write a figure as PDF or SVG, as the name of the file says, completely or not at all.

    Its images keep their pixels, its texts stay texts. The same data give the same bytes.
    """
    logging.getLogger("fontTools").setLevel(logging.WARNING)  # It notes each table of a font that it leaves out.
    dates = {"pdf": "CreationDate", "svg": "Date"}
    form = path.suffix[1:]
    with rc_context({"svg.hashsalt": path.stem, "svg.fonttype": "none", "pdf.fonttype": 42}):
        write_whole(path, lambda partial: figure.savefig(partial, format=form, dpi=DPI, metadata={dates[form]: None}))
