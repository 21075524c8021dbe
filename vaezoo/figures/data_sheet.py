"""The images that a contact sheet of a data set shows.

`arrays` are the images, factors and labels of a source (vaezoo.data.images.ImageArrays).
"""

from typing import Any, NamedTuple

import numpy as np

from vaezoo.figures.contact_sheet import Strip

ROWS, COLUMNS = 4, 10
MAX_LISTED = 8  # factors whose values a caption can list


class Sheet(NamedTuple):
    """The content of a contact sheet."""

    strips: list[Strip]
    heading: str
    caption: str


def make_sheet(arrays: Any) -> Sheet:
    """Return images that vary in one factor at a time; without factors images of each class, else any images."""
    facts = f"{arrays.name} · {len(arrays):,} images"
    if arrays.factors is not None:
        strips, others = make_factor_strips(arrays)
        return Sheet(strips, "Factors: one varies along each row", f"{facts} · the others stay {others}")
    if arrays.labels is not None:
        return Sheet(make_label_strips(arrays), "Images and their labels", facts)
    rows = np.linspace(0, len(arrays) - 1, min(len(arrays), ROWS * COLUMNS)).astype(int)
    return Sheet(split_into_strips(arrays, rows, [f"{i:,}" for i in rows]), "Images and their numbers", facts)


def make_factor_strips(arrays: Any) -> tuple[list[Strip], str]:
    """Return a strip for each factor, which varies along it, and in words what the other factors are.

    The other factors stay what they are in an image from the middle of the grid. Where a grid is incomplete, the most
    similar images stand in.
    """
    factors = arrays.factors
    assert factors is not None
    middle = np.array(arrays.factor_sizes) // 2
    base = factors[np.abs(factors - middle.astype(np.int64)).sum(axis=1).argmin()]
    differs = factors != base
    count = differs.sum(axis=1)
    strips, exact = [], True
    for k, name in enumerate(arrays.factor_names):
        others = count - differs[:, k]
        present = np.unique(factors[:, k])
        values = present[np.unique(np.linspace(0, len(present) - 1, COLUMNS).round().astype(int))]
        nearest = [(rows := np.flatnonzero(factors[:, k] == value))[others[rows].argmin()] for value in values]
        exact = exact and not others[nearest].any()
        strips.append(Strip(name, arrays.pixels(np.array(nearest)), [name_value(arrays, k, v) for v in values]))
    listed = ", ".join(f"{name} {name_value(arrays, k, base[k])}" for k, name in enumerate(arrays.factor_names))
    where = f"at {listed}" if len(base) <= MAX_LISTED else "as they are in one image"
    return strips, where if exact else f"{where}, or as near to it as there are images"


def name_value(arrays: Any, factor: int, value: int) -> str:
    """Return the class of a factor as a number, or as the name of the label that it is."""
    assert arrays.factors is not None
    if arrays.labels is not None and arrays.label_names and np.array_equal(arrays.factors[:, factor], arrays.labels):
        return arrays.label_names[value]
    return str(value)


def make_label_strips(arrays: Any) -> list[Strip]:
    """Return images of the classes in turn; each class has its own columns where all classes fit into a row."""
    labels = arrays.labels
    assert labels is not None
    classes = np.unique(labels)
    columns = COLUMNS // len(classes) * len(classes) or COLUMNS
    members = [np.flatnonzero(labels == label) for label in classes]
    places = [divmod(i, len(classes)) for i in range(max(ROWS * columns, len(classes)))]
    rows = np.array([members[j][i] for i, j in places if i < len(members[j])])
    names = arrays.label_names or tuple(map(str, range(int(classes.max()) + 1)))
    return split_into_strips(arrays, rows, [names[label] for label in labels[rows]], columns)


def split_into_strips(arrays: Any, rows: np.ndarray, captions: list[str], columns: int = COLUMNS) -> list[Strip]:
    """Return the images of these rows of the data set with their captions, `columns` in a strip."""
    starts = range(0, len(rows), columns)
    return [Strip("", arrays.pixels(rows[i : i + columns]), captions[i : i + columns]) for i in starts]
