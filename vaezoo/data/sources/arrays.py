"""A user's own data: an .npz, .npy or HDF5 file, or a folder of pictures, with or without factors and labels.

The configuration asks for the shape of the images and the number of classes before any data are read, so that nobody
has to state them: `image_shape` and `image_classes` look at headers and labels alone.
"""

import logging
from functools import lru_cache, partial
from pathlib import Path
from typing import Literal

import numpy as np

from vaezoo.data.files.prepare import prepared
from vaezoo.data.images import ImageArrays
from vaezoo.data.readers.grids import channels_first, resized
from vaezoo.data.readers.holdings import Holding, hold
from vaezoo.errors import UserError
from vaezoo.progress import progress

log = logging.getLogger(__name__)

MOST_LEVELS = 256  # distinct values of a factor that is not made of whole numbers
FEWEST_IMAGES = 10  # a tenth of them tests
DARK = 64  # images whose brightest pixel is below are looked at twice
PIECE = 1024  # images read at a time

Layout = Literal["grey", "first", "last"]  # where the channels are


def arrays(path: str | None = None, size: int | None = None) -> ImageArrays:
    held = holding(path, size)
    order, shape = layout(held, size)
    if held.count < FEWEST_IMAGES:
        raise UserError(f"dataset=arrays: {path} holds {held.count} images; at least {FEWEST_IMAGES} are needed.")
    labels, label_names = labels_of(held)
    factors, sizes = factors_of(held)
    gain = gain_of(held)
    images = ready(held, order, gain) if held.row in (shape, shape[1:]) else None
    return ImageArrays(
        name="arrays",
        images=converted_once(held, order, gain, size, shape) if images is None else images,
        shape=shape,
        identity={"origin": "own data", "name": held.place.name, **held.identity()},
        factors=factors,
        factor_names=() if factors is None else tuple(held.factors),
        factor_sizes=sizes,
        labels=labels,
        label_names=label_names,
    )


def image_shape(path: str | None, size: int | None) -> list[int]:
    """(C, H, W) of the images there, by their header; nothing without a path."""
    return [] if path is None else list(layout(holding(path, size), size)[1])


def image_classes(path: str | None) -> int | None:
    """How many classes the labels there have."""
    return None if path is None else len(labels_of(holding(path, None))[1]) or None


def holding(path: str | None, size: int | None) -> Holding:
    if path is None:
        raise UserError("dataset=arrays needs dataset.path: an .npz, .npy or .h5 file, or a folder of pictures.")
    place = Path(path).expanduser()
    if not place.exists():
        raise UserError(f"dataset.path={path}: must be a file or folder that exists.")
    return looked_at(place, size, place.stat().st_mtime_ns)


@lru_cache(maxsize=4)
def looked_at(place: Path, size: int | None, changed: int) -> Holding:
    """Composing a configuration asks several times; a folder may take a second to list."""
    return hold(place, size)


# ---- images


def layout(held: Holding, size: int | None) -> tuple[Layout, tuple[int, int, int]]:
    """Where the channels are, and the shape of an image as it will be, (C, H, W)."""
    row, told = held.row, f"dataset=arrays: images in {held.place} are {held.dtype} {(held.count, *held.row)}"
    if held.dtype.kind not in "bf" and held.dtype != np.uint8:
        raise UserError(f"{told}; they must be uint8, or floating-point numbers in [0, 1].")
    first, last = (len(row) == 3 and row[axis] in (1, 3) for axis in (0, 2))
    if first and last:
        raise UserError(f"{told}: the second or the last axis may be the channels.")
    if len(row) != 2 and not (first or last):
        raise UserError(f"{told}; expected (N, H, W), (N, C, H, W) or (N, H, W, C) with C = 1 or 3.")
    order: Layout = "grey" if len(row) == 2 else "first" if first else "last"
    channels, height, width = {"grey": (1, *row), "first": row, "last": (*row[2:], *row[:2])}[order]
    return order, (channels, size or height, size or width)


def gain_of(held: Holding) -> int:
    """What bytes are multiplied with: 255 if they are 0 and 1, else 1. Dark images are told."""
    if held.dtype != np.uint8 or held.pictures or (brightest := held.read(0, min(PIECE, held.count)).max()) >= DARK:
        return 1
    with progress("looking for the brightest pixel", held.count, "image") as bar:
        for start in range(PIECE, held.count, PIECE):
            stop = min(start + PIECE, held.count)
            brightest = max(brightest, held.read(start, stop).max())
            bar.update(stop - start)
    if brightest <= 1:
        log.info("dataset=arrays: the images hold 0 and 1 alone, which are taken for black and white.")
        return 255
    if brightest < DARK:
        log.warning(
            "dataset=arrays: the brightest pixel is %d of 255. If it should be white, give the images as numbers in "
            "[0, 1], divided by %d.",
            brightest,
            brightest,
        )
    return 1


def ready(held: Holding, order: Layout, gain: int) -> np.ndarray | None:
    """The images as they are, mapped from their file, where they need no change."""
    if held.mapped is None or held.dtype != np.uint8 or order == "last" or gain != 1:
        return None
    return held.mapped[:, None] if order == "grey" else held.mapped


def converted_once(
    held: Holding, order: Layout, gain: int, size: int | None, shape: tuple[int, int, int]
) -> np.ndarray:
    if held.dtype.kind == "f":
        log.info("dataset=arrays: the images are %s in [0, 1]; they are kept as bytes, 255 x rounded.", held.dtype)
    make = partial(converted, held, order, gain, size)
    recipe = {"place": str(held.place.absolute()), "gain": gain, "size": size, **held.identity()}
    return prepared("arrays", recipe, held.count, shape, make, chunk=PIECE)


def converted(held: Holding, order: Layout, gain: int, size: int | None, start: int, stop: int) -> np.ndarray:
    images = as_bytes(held, start, held.read(start, stop)) * np.uint8(gain)
    if order == "first":
        images = images.transpose(0, 2, 3, 1)
    if images.ndim == 4 and images.shape[3] == 1:
        images = images[..., 0]
    if size is None or images.shape[1:3] == (size, size):
        return channels_first(images)
    return resized(np.ascontiguousarray(images), size)


def as_bytes(held: Holding, start: int, images: np.ndarray) -> np.ndarray:
    if held.dtype == np.uint8:
        return images
    if held.dtype.kind == "b":
        return images.astype(np.uint8) * np.uint8(255)
    inside = (images >= 0) & (images <= 1)  # false for nan, too
    if not inside.all():
        index = np.unravel_index(inside.argmin(), inside.shape)
        raise UserError(
            f"dataset=arrays: image {start + index[0]} in {held.place} has a pixel of {images[index]}; expected numbers"
            " in [0, 1], or uint8."
        )
    return np.rint(images.astype(np.float64) * 255).astype(np.uint8)


# ---- labels and factors


def labels_of(held: Holding) -> tuple[np.ndarray | None, tuple[str, ...]]:
    """The class (N,) of each image and what the classes are called; nothing where there are fewer than two."""
    if held.labels is None:
        return None, ()
    labels = np.asarray(held.labels)
    if labels.shape != (held.count,):
        raise UserError(f"dataset=arrays: labels in {held.place} are {labels.shape}, expected ({held.count},).")
    classes, values = as_classes(held, "labels", labels)
    if len(values) > max(2, held.count // 2):
        raise UserError(
            f"dataset=arrays: labels in {held.place} take {len(values)} values in {held.count} images: no classes."
        )
    return (classes, values) if len(values) > 1 else (None, ())


def factors_of(held: Holding) -> tuple[np.ndarray | None, tuple[int, ...]]:
    """The classes (N, K) of the factors, and how many each has."""
    if not held.factors:
        return None, ()
    for column in held.factors.values():
        if column.shape != (held.count,):
            raise UserError(
                f"dataset=arrays: {held.place} holds {held.count} images, but {len(column)} rows of factors."
            )
    found = [as_classes(held, f"factor '{name}'", column) for name, column in held.factors.items()]
    classes, values = zip(*found, strict=True)
    return np.stack(classes, axis=1), tuple(map(len, values))


def as_classes(held: Holding, what: str, column: np.ndarray) -> tuple[np.ndarray, tuple[str, ...]]:
    """Distinct values, in ascending order, as classes 0, 1, … (N,), and the values."""
    if column.dtype.kind not in "biufU" or (column.dtype.kind == "f" and not np.isfinite(column).all()):
        raise UserError(f"dataset=arrays: {what} in {held.place} holds {column.dtype} values that are no classes.")
    values, classes = np.unique(column, return_inverse=True)
    whole = column.dtype.kind in "biu" or (column.dtype.kind == "f" and bool((values == np.rint(values)).all()))
    if not whole and len(values) > MOST_LEVELS:
        raise UserError(
            f"dataset=arrays: {what} in {held.place} takes {len(values)} distinct values. Scores need classes: at most"
            f" {MOST_LEVELS} levels, or whole numbers. Round it, or leave it out."
        )
    names = tuple(f"{value:g}" if column.dtype.kind == "f" else str(value) for value in values)
    if names != tuple(map(str, range(len(names)))):
        log.info("dataset=arrays: %s: %s became the classes 0 … %d.", what, shortened(names), len(names) - 1)
    return classes.astype(np.int64), names


def shortened(names: tuple[str, ...]) -> str:
    return ", ".join(names if len(names) <= 4 else (*names[:2], "…", names[-1]))
