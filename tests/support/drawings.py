"""What the pictures of figures show: their texts and where images stand."""

from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.image import imread
from matplotlib.text import Text

from vaezoo.figures import style

TITLE = "dipvae dsprites lambda_od=10 seed=0"


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(sum(shape)).random(shape, dtype=np.float32)


def drawn_texts(figure: Figure) -> list[Text]:
    """Every text that the reader sees."""
    FigureCanvasAgg(figure).draw()
    found = list(figure.texts)
    for axes in figure.axes:
        if not axes.axison:
            continue
        found += [*axes.texts, axes.title, axes.xaxis.label, axes.yaxis.label]
        for axis in (axes.xaxis, axes.yaxis):
            low, high = sorted(axis.get_view_interval())
            found.append(axis.get_offset_text())
            for tick in (*axis.get_major_ticks(), *axis.get_minor_ticks()):
                if low - 1e-9 <= tick.get_loc() <= high + 1e-9:
                    found += [tick.label1, tick.label2]
    return [text for text in found if text.get_visible() and text.get_text().strip()]


def words(figure: Figure) -> list[str]:
    return [text.get_text().replace("\u00a0", " ") for text in drawn_texts(figure)]


def assert_text_keeps_apart(figure: Figure) -> None:
    """Assert that no text overlaps another one or leaves the page."""
    texts = drawn_texts(figure)
    renderer = figure.canvas.get_renderer()  # type: ignore[attr-defined]
    left, low, right, high = np.array([text.get_window_extent(renderer).extents for text in texts]).T
    width, height = figure.bbox.size
    outside = (left < 0) | (low < 0) | (right > width) | (high > height)
    assert not outside.any(), [texts[i].get_text() for i in np.flatnonzero(outside)]
    across = np.minimum(right[:, None], right) - np.maximum(left[:, None], left)
    upward = np.minimum(high[:, None], high) - np.maximum(low[:, None], low)
    clashes = np.argwhere(np.triu((across > 0.5) & (upward > 0.5), 1))
    assert not len(clashes), [(texts[i].get_text(), texts[j].get_text()) for i, j in clashes[:5]]


def places(page: np.ndarray, image: np.ndarray) -> list[tuple[int, int]]:
    """Where an image (C, H, W) in [0, 1] stands unaltered on a page, each pixel a square of whole pixels."""
    pixels = np.rint(image * 255).astype(np.uint8).transpose(1, 2, 0)
    pixels = np.broadcast_to(pixels, (*pixels.shape[:2], 3))
    first = (page == pixels[0, 0]).all(-1)
    corners = first.copy()  # of the square that the first pixel has become
    corners[1:] &= ~first[:-1]
    corners[:, 1:] &= ~first[:, :-1]
    found = []
    for y, x in np.argwhere(corners):
        run = int(np.argmin(np.append(first[y, x:], False)))
        for factor in {run, run // 2, run // 3} - {0}:  # the next pixels may have the same colour
            enlarged = pixels.repeat(factor, 0).repeat(factor, 1)
            if np.array_equal(page[y : y + len(enlarged), x : x + enlarged.shape[1]], enlarged):
                found.append((int(y), int(x)))
    return found


def saved(figure: Figure, path: Path) -> np.ndarray:
    style.save(figure, path)
    return np.rint(imread(path)[..., :3] * 255).astype(np.uint8)


DIGITS = tuple(map(str, range(10)))


CLOTHES = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")
