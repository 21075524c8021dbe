"""The images of a data set that show best what is in it.

`arrays` are the images, factors and labels of a source (vaezoo.data.images).
"""

from typing import Any, NamedTuple

import numpy as np

from vaezoo.figures.contact_sheet import Strip

ROWS, COLUMNS = 4, 10


NAMED = 8  # factors whose values a caption can list


class Sheet(NamedTuple):
    """What a contact sheet shows, and what it says about it."""

    strips: list[Strip]
    heading: str
    caption: str


def sheet_of(arrays: Any) -> Sheet:
    about = f"{arrays.name} · {len(arrays):,} images"
    if arrays.factors is not None:
        strips, fixed = factor_strips(arrays)
        return Sheet(strips, "Factors: one varies along each row", f"{about} · the others stay {fixed}")
    if arrays.labels is not None:
        return Sheet(label_strips(arrays), "Images and their labels", about)
    chosen = np.linspace(0, len(arrays) - 1, min(len(arrays), ROWS * COLUMNS)).astype(int)
    return Sheet(in_rows(arrays, chosen, [f"{i:,}" for i in chosen]), "Images and their numbers", about)


def factor_strips(arrays: Any) -> tuple[list[Strip], str]:
    """One factor varies along each row, the others stay where they are in one image from the middle of the grid.

    Returns in words where that is. On incomplete grids the images most like it have to do.
    """
    factors = arrays.factors
    assert factors is not None
    middle = np.array(arrays.factor_sizes) // 2
    base = factors[np.abs(factors - middle.astype(np.int64)).sum(axis=1).argmin()]
    differing = factors != base
    count = differing.sum(axis=1)
    result, exact = [], True
    for k, name in enumerate(arrays.factor_names):
        others = count - differing[:, k]
        present = np.unique(factors[:, k])
        values = present[np.unique(np.linspace(0, len(present) - 1, COLUMNS).round().astype(int))]
        nearest = [(rows := np.flatnonzero(factors[:, k] == value))[others[rows].argmin()] for value in values]
        exact = exact and not others[nearest].any()
        result.append(Strip(name, arrays.pixels(np.array(nearest)), [value_name(arrays, k, v) for v in values]))
    fixed = ", ".join(f"{name} {value_name(arrays, k, base[k])}" for k, name in enumerate(arrays.factor_names))
    where = f"at {fixed}" if len(base) <= NAMED else "as they are in one image"
    return result, where if exact else f"{where}, or as near to it as there are images"


def value_name(arrays: Any, factor: int, value: int) -> str:
    """The number of a factor's class, or the name of the label that it is."""
    assert arrays.factors is not None
    if arrays.labels is not None and arrays.label_names and np.array_equal(arrays.factors[:, factor], arrays.labels):
        return arrays.label_names[value]
    return str(value)


def label_strips(arrays: Any) -> list[Strip]:
    """The classes in turn; where they fit into a row, each has its own columns."""
    labels = arrays.labels
    assert labels is not None
    classes = np.unique(labels)
    columns = COLUMNS // len(classes) * len(classes) or COLUMNS
    members = [np.flatnonzero(labels == label) for label in classes]
    places = [divmod(i, len(classes)) for i in range(max(ROWS * columns, len(classes)))]
    chosen = np.array([members[j][i] for i, j in places if i < len(members[j])])
    names = arrays.label_names or tuple(map(str, range(int(classes.max()) + 1)))
    return in_rows(arrays, chosen, [names[label] for label in labels[chosen]], columns)


def in_rows(arrays: Any, chosen: np.ndarray, captions: list[str], columns: int = COLUMNS) -> list[Strip]:
    starts = range(0, len(chosen), columns)
    return [Strip("", arrays.pixels(chosen[i : i + columns]), captions[i : i + columns]) for i in starts]
