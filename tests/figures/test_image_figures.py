"""The figures of image scores and of attributes: every number where it belongs, every word legible."""

from pathlib import Path

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.patches import PathPatch

from tests.support.drawings import CLOTHES, DIGITS, TITLE, assert_text_keeps_apart, words
from vaezoo.figures import style
from vaezoo.figures.laplacian import laplacian
from vaezoo.figures.top_attributes import top_attributes

NAMES = [f"Attribute_{'x' * (i % 9)}{i}" for i in range(40)]


def boxes(classes: int, scale: float = 4000.0, missing: int | None = None) -> np.ndarray:
    found = scale * np.sort(np.random.default_rng(classes).random((1 + classes, 5)), axis=1)
    if missing is not None:
        found[1 + missing] = np.nan
    return found


def attributes(count: int, bars: int = 5):
    rng = np.random.default_rng(0)
    columns = np.stack([rng.permutation(40)[:bars] for _ in range(count)])
    columns[:, 0] = np.arange(count)
    r = -np.sort(-rng.uniform(0, 1, (count, bars)), axis=1) * rng.choice([-1, 1], (count, bars))
    return top_attributes(np.arange(count), columns, r, NAMES, TITLE)


FIGURES = {
    "digits": lambda: laplacian(boxes(10), TITLE, boxes(10, 900), boxes(0, 300), DIGITS),
    "clothes": lambda: laplacian(boxes(10, 3), TITLE, boxes(10, 0.3), boxes(0, 1), CLOTHES),
    "no classes": lambda: laplacian(boxes(0, 60_000), TITLE, boxes(0), boxes(0)),
    "images alone": lambda: laplacian(boxes(0), TITLE),
    "many classes": lambda: laplacian(boxes(200), TITLE, boxes(200), boxes(0), [str(i) for i in range(200)]),
    "sixteen": lambda: laplacian(boxes(16, 1e6, 3), TITLE, boxes(16, 1e6, 3), boxes(0), [f"{i}°" for i in range(16)]),
    "constant": lambda: laplacian(np.zeros((3, 5)), TITLE, np.zeros((3, 5)), np.zeros((1, 5)), ("a", "$b$")),
    **{f"attributes {n}": lambda n=n: attributes(n) for n in (1, 2, 3, 40)},
    "one bar": lambda: attributes(2, 1),
}


@pytest.mark.parametrize("name", FIGURES)
def test_text_keeps_apart_and_on_the_page(name: str) -> None:
    assert_text_keeps_apart(FIGURES[name]())


def drawn_boxes(figure, colour: str) -> np.ndarray:
    """(lower, upper quartile) of the boxes of a colour, from left to right."""
    patches = [
        p for p in figure.axes[0].patches if isinstance(p, PathPatch) and p.get_facecolor()[:3] == to_rgb(colour)
    ]
    return np.array([[np.min(p.get_path().vertices[:, 1]), p.get_path().vertices[:, 1].max()] for p in patches])


def test_boxes_and_medians_are_those_given() -> None:
    originals, rebuilt, drawn = boxes(3, missing=1), boxes(3, 500), boxes(0, 200)
    figure = laplacian(originals, TITLE, rebuilt, drawn, ("0", "1", "2"))
    np.testing.assert_allclose(drawn_boxes(figure, style.FIRST), originals[[0, 1, 3]][:, [1, 3]])
    np.testing.assert_allclose(drawn_boxes(figure, style.SECOND), rebuilt[:, [1, 3]])
    np.testing.assert_allclose(drawn_boxes(figure, style.THIRD), drawn[:, [1, 3]])
    found = words(figure)
    assert {f"{box[2]:,.0f}" for box in originals[[0, 1, 3]]} <= set(found)
    assert {"–", "all", "images", "reconstructions", "samples", "medians"} <= set(found)
    assert figure.axes[0].get_ylim()[0] == 0, "boxes compare by their height"


def test_bars_are_as_long_as_they_say() -> None:
    figure = top_attributes(
        np.array([3, 0]), np.array([[1, 0], [2, 1]]), np.array([[-0.5, 0.25], [0.9, -0.004]]), NAMES, TITLE
    )
    lengths = [[bar.get_width() for bar in axes.patches] for axes in figure.axes]
    assert np.allclose(lengths, [[0.5, 0.25], [0.9, 0.004]])
    found = words(figure)
    assert {"−0.50", "+0.25", "+0.90", "0.00", f"{NAMES[1]}: z3", f"{NAMES[2]}: z0"} <= set(found)
    assert found.count(NAMES[1]) == 2


def test_same_data_same_bytes(tmp_path: Path) -> None:
    for name in ("digits", "attributes 3"):
        first, again = (tmp_path / f"{name} {i}.png" for i in range(2))
        for path in (first, again):
            style.save(FIGURES[name](), path)
        assert first.read_bytes() == again.read_bytes()
