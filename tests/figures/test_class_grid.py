"""The figure of categories: every image where it belongs, every name legible above its column."""

from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from tests.support.drawings import (
    CLOTHES,
    DIGITS,
    TITLE,
    assert_text_keeps_apart,
    drawn_texts,
    noise,
    places,
    saved,
    words,
)
from vaezoo.figures import style
from vaezoo.figures.class_grid import class_grid

CASES = {
    "digits": (8, DIGITS, (1, 8, 8)),
    "clothes": (8, CLOTHES, (1, 28, 28)),
    "angles": (8, tuple(f"{10 * i}°" for i in range(9)), (1, 16, 16)),
    "many": (8, tuple(map(str, range(200))), (1, 28, 28)),
    "many with long names": (4, CLOTHES * 3, (3, 64, 64)),
    "small with long names": (4, CLOTHES * 3, (1, 8, 8)),
    "a name longer than anything": (2, ("A category with a very long name indeed, " * 3, "b"), (1, 8, 8)),
    "wide": (3, ("cat", "$dog$"), (3, 13, 90)),
    "one": (1, ("0",), (1, 31, 17)),
}


def figure(rows: int, names: tuple[str, ...], shape: tuple[int, int, int]) -> Figure:
    return class_grid(noise(rows, len(names), *shape), noise(rows, *shape), names, TITLE)


@pytest.mark.parametrize("name", CASES)
def test_text_keeps_apart_and_on_the_page(name: str) -> None:
    assert_text_keeps_apart(figure(*CASES[name]))


@pytest.mark.parametrize("shape", [(1, 8, 8), (1, 31, 17), (3, 28, 28)])
def test_images_stand_in_their_row_and_column(shape: tuple[int, int, int], tmp_path: Path) -> None:
    images, originals = 0.7 * noise(3, 4, *shape), 0.7 * noise(3, *shape) ** 2  # darker than what is between them
    drawn = class_grid(images, originals, ("zero", "one", "two", "three"), TITLE)
    page = saved(drawn, tmp_path / "grid.png")
    spots = np.array([[places(page, image) for image in row] for row in images])[:, :, 0]  # (R, K, 2), each once
    assert (np.diff(spots[:, :, 0], axis=0) > 0).all(), "rows downwards"
    assert (np.diff(spots[:, :, 1], axis=1) > 0).all(), "categories to the right"
    assert np.ptp(spots[:, :, 0], axis=1).max() == np.ptp(spots[:, :, 1], axis=0).max() == 0
    for row, original in zip(spots, originals, strict=True):
        ((y, x),) = places(page, original)
        assert y == row[0, 0], "beside its row"
        assert x < row[0, 1], "in front"

    factor = (spots[0, 1, 1] - spots[0, 0, 1] - style.GAP) // shape[2]
    by_text = {text.get_text(): text.get_window_extent() for text in drawn_texts(drawn)}
    for (_, x), name in zip(spots[0], ("zero", "one", "two", "three"), strict=True):
        assert abs((by_text[name].x0 + by_text[name].x1) / 2 - (x + shape[2] * factor / 2)) < 2
        assert by_text[name].y0 >= drawn.bbox.height - spots[0, 0, 0], "above the images"


@pytest.mark.parametrize(("case", "turned"), [("clothes", False), ("many", False), ("small with long names", True)])
def test_names_stand_upright_where_there_is_no_room(case: str, turned: bool) -> None:
    rows, names, shape = CASES[case]
    texts = [text for text in drawn_texts(figure(rows, names, shape)) if text.get_text() in names]
    assert [text.get_text() for text in texts] == list(names)
    assert {text.get_rotation() for text in texts} == {90.0 if turned else 0.0}


def test_what_is_shown_is_said() -> None:
    found = words(figure(8, DIGITS, (3, 5, 7)))
    assert {"original", *DIGITS} <= set(found)
    assert any("8 × 10 images of 5 × 7 colour" in text for text in found)
    assert "$dog$" in words(figure(*CASES["wide"])), "no mathematics"


def test_same_data_same_bytes(tmp_path: Path) -> None:
    for name in ("first", "second"):
        style.save(figure(*CASES["digits"]), tmp_path / name)
    assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes()
