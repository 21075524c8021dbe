"""A user's own data: an .npz, .npy or HDF5 file, or a folder of pictures, with or without factors and labels.

The configuration asks for the shape of the images and the number of classes before any data are read, so that users
need not state them: `image_shape` and `image_classes` look at headers and labels alone.
"""

import logging
import os
from functools import lru_cache, partial
from pathlib import Path
from typing import Literal

import numpy as np

from vaezoo.data.files.prepare import prepare_images
from vaezoo.data.images import ImageArrays
from vaezoo.data.readers.grids import move_channels_first, resize_images
from vaezoo.data.readers.own_files import TABLES, OwnImages, open_own_images
from vaezoo.errors import UserError
from vaezoo.progress import progress
from vaezoo.ranges import Count, ExistingPath

log = logging.getLogger(__name__)

MAX_LEVELS = 256  # distinct values of a factor that is not made of whole numbers
ROUNDING = 1e-6  # of the range of a factor; values that are nearer to each other are one level
MIN_IMAGES = 10  # of which a tenth tests
DARK = 64  # Images whose brightest pixel is below are looked at twice.
PIECE = 1024  # images read at a time

Layout = Literal["grey", "first", "last"]  # where the channels are


def arrays(path: ExistingPath, size: Count | None = None) -> ImageArrays:
    """Return the images of a file or folder, as squares of `size` pixels where a size is given.

    Raises UserError where the path does not exist, and where its content cannot be used.
    """
    own = open_path(path, size)
    layout, shape = find_layout(own, size)
    if own.count < MIN_IMAGES:
        raise UserError(f"dataset=arrays: {path} holds {own.count} images; at least {MIN_IMAGES} are needed.")
    labels, label_names = number_labels(own)
    factors, sizes = number_factors(own)
    gain = find_gain(own)
    images = map_images(own, layout, gain) if own.stored_shape in (shape, shape[1:]) else None
    describe_data(own, shape, label_names, sizes)
    if images is None:
        images = convert_images(own, layout, gain, size, shape)
    warn_of_images(images)
    return ImageArrays(
        name="arrays",
        images=images,
        shape=shape,
        identity={"origin": "own data", "name": own.place.name, **own.identify()},
        factors=factors,
        factor_names=() if factors is None else tuple(own.factors),
        factor_sizes=sizes,
        labels=labels,
        label_names=label_names,
    )


def image_shape(path: str | None, size: int | None) -> list[int]:
    """Return (C, H, W) of the images of a file or folder, as its header says; an empty list without a path."""
    return [] if path is None else list(find_layout(open_path(path, size), size)[1])


def image_classes(path: str | None) -> int | None:
    """Return how many classes the labels of a file or folder have, None where there are none."""
    return None if path is None else len(number_labels(open_path(path, None))[1]) or None


def open_path(path: str | None, size: int | None) -> OwnImages:
    """Return the images at a path, which are not read yet. Raises UserError where the path is None or missing."""
    if path is None or not path.strip():  # An empty path would be the current folder.
        raise UserError("dataset=arrays needs dataset.path: an .npz, .npy or .h5 file, or a folder of pictures.")
    place = Path(path).expanduser()
    if not place.is_dir() and not place.is_file():
        raise UserError(f"dataset.path={path}: must be a file or folder that exists.")
    changes = [place.stat().st_ctime_ns]
    if place.is_dir():
        with os.scandir(place) as inside:
            changes += [entry.stat().st_ctime_ns for entry in inside if entry.name in TABLES or entry.is_dir()]
    return open_cached(place, size, tuple(changes))


@lru_cache(maxsize=4)
def open_cached(place: Path, size: int | None, changes: tuple[int, ...]) -> OwnImages:
    """Return the images at a path, which is opened again when the times of its last changes are others.

    The result is kept, because composing a configuration asks for it several times, and listing a folder may take a
    second.
    """
    return open_own_images(place, size)


# ---- images


def find_layout(own: OwnImages, size: int | None) -> tuple[Layout, tuple[int, int, int]]:
    """Return where the channels are, and the shape (C, H, W) of an image after it was resized.

    Raises UserError where the type or the shape of the images is not one that can be read.
    """
    shape = own.stored_shape
    description = f"dataset=arrays: images in {own.place} are {own.dtype} {(own.count, *shape)}"
    if own.dtype.kind not in "bf" and own.dtype != np.uint8:
        raise UserError(f"{description}; they must be uint8, or floating-point numbers in [0, 1].")
    first, last = (len(shape) == 3 and shape[axis] in (1, 3) for axis in (0, 2))
    if first and last:
        raise UserError(f"{description}: the second or the last axis may be the channels.")
    if len(shape) != 2 and not (first or last):
        raise UserError(f"{description}; expected (N, H, W), (N, C, H, W) or (N, H, W, C) with C = 1 or 3.")
    layout: Layout = "grey" if len(shape) == 2 else "first" if first else "last"
    channels, height, width = {"grey": (1, *shape), "first": shape, "last": (*shape[2:], *shape[:2])}[layout]
    return layout, (channels, size or height, size or width)


def find_gain(own: OwnImages) -> int:
    """Return what the stored bytes are multiplied by: 255 where they are 0 and 1, else 1."""
    if own.dtype != np.uint8 or own.pictures or (brightest := own.read(0, min(PIECE, own.count)).max()) >= DARK:
        return 1
    with progress("looking for the brightest pixel", own.count, "image") as bar:
        for start in range(PIECE, own.count, PIECE):
            stop = min(start + PIECE, own.count)
            brightest = max(brightest, own.read(start, stop).max())
            bar.update(stop - start)
    if brightest <= 1:
        log.info("dataset=arrays: the images hold 0 and 1 alone, which are taken for black and white.")
        return 255
    return 1


def describe_data(
    own: OwnImages, shape: tuple[int, int, int], label_names: tuple[str, ...], sizes: tuple[int, ...]
) -> None:
    """Log in one line what is read and what is left out."""
    channels, height, width = shape
    labels = f"{len(label_names)} classes" if label_names else "no labels" if own.labels is None else "a single class"
    names = ", ".join(f"{name} ({size})" for name, size in zip(own.factors, sizes, strict=True))
    log.info(
        "dataset=arrays: %s holds %s %s of %d x %d in %s, %s, %s; left out: %s.",
        own.place,
        f"{own.count:,}",
        "pictures" if own.pictures else "images",
        height,
        width,
        "grey" if channels == 1 else "colour",
        labels,
        f"factors {names}" if names else "no factors",
        ", ".join(own.omitted) or "nothing",
    )


def warn_of_images(images: np.ndarray) -> None:
    """Warn of images (N, C, H, W) that are all equal or dark, because they were probably stored in another way."""
    pieces = [images[start : start + PIECE] for start in range(0, len(images), PIECE)]
    if all((piece == images[0]).all() for piece in pieces):
        log.warning("dataset=arrays: all %s images are equal, so there is nothing to learn.", f"{len(images):,}")
        return
    brightest = 0
    for piece in pieces:
        if (brightest := max(brightest, int(piece.max()))) >= DARK:
            return
    log.warning(
        "dataset=arrays: the brightest pixel is %d of 255. If it should be white, give the images as numbers in "
        "[0, 1], divided by %d.",
        brightest,
        brightest,
    )


def map_images(own: OwnImages, layout: Layout, gain: int) -> np.ndarray | None:
    """Return the images (N, C, H, W) mapped from their file, None where they need a change."""
    if own.mapped is None or own.dtype != np.uint8 or layout == "last" or gain != 1:
        return None
    return own.mapped[:, None] if layout == "grey" else own.mapped


def convert_images(
    own: OwnImages, layout: Layout, gain: int, size: int | None, shape: tuple[int, int, int]
) -> np.ndarray:
    """Return the images as uint8 (N, *shape), converted once and kept in the data folder."""
    if own.dtype.kind == "f":
        log.info("dataset=arrays: the images are %s in [0, 1]; they are kept as bytes, 255 x rounded.", own.dtype)
    make = partial(convert_piece, own, layout, gain, size)
    recipe = {"place": str(own.place.absolute()), "gain": gain, "size": size, **own.identify()}
    if own.pictures:
        recipe["ground"] = "white"
    own.changes.clear()
    images = prepare_images("arrays", recipe, own.count, shape, make, chunk=PIECE)
    for change, count in (+own.changes).items():
        log.info("dataset=arrays: %s %s.", f"{count:,}", change)
    return images


def convert_piece(own: OwnImages, layout: Layout, gain: int, size: int | None, start: int, stop: int) -> np.ndarray:
    """Return images start ... stop as uint8 (stop - start, C, H, W), resized where a size is given."""
    images = convert_to_bytes(own, start, own.read(start, stop)) * np.uint8(gain)
    if layout == "first":
        images = images.transpose(0, 2, 3, 1)
    if images.ndim == 4 and images.shape[3] == 1:
        images = images[..., 0]
    if size is None or images.shape[1:3] == (size, size):
        return move_channels_first(images)
    return resize_images(np.ascontiguousarray(images), size)


def convert_to_bytes(own: OwnImages, start: int, images: np.ndarray) -> np.ndarray:
    """Return images as uint8: truth values and numbers in [0, 1] times 255. `start` is the number of the first image.

    Raises UserError for numbers outside of [0, 1].
    """
    if own.dtype == np.uint8:
        return images
    if own.dtype.kind == "b":
        return images.astype(np.uint8) * np.uint8(255)
    inside = (images >= 0) & (images <= 1)  # also false for nan
    if not inside.all():
        index = np.unravel_index(inside.argmin(), inside.shape)
        raise UserError(
            f"dataset=arrays: image {start + index[0]} in {own.place} has a pixel of {images[index]}; expected numbers"
            " in [0, 1], or uint8."
        )
    return np.rint(images.astype(np.float64) * 255).astype(np.uint8)


# ---- labels and factors


@lru_cache(maxsize=4)  # A run asks several times, and each time would print its messages.
def number_labels(own: OwnImages) -> tuple[np.ndarray | None, tuple[str, ...]]:
    """Return the class (N,) of each image and the names of the classes; None and () for fewer than two classes."""
    if own.labels is None:
        return None, ()
    labels = np.asarray(own.labels)
    if labels.shape != (own.count,):
        raise UserError(f"dataset=arrays: labels in {own.place} are {labels.shape}, expected ({own.count},).")
    classes, values = number_values(own, "labels", labels)
    if len(values) > max(2, own.count // 2):
        raise UserError(
            f"dataset=arrays: labels in {own.place} take {len(values)} values in {own.count} images: no classes."
        )
    return (classes, values) if len(values) > 1 else (None, ())


@lru_cache(maxsize=4)
def number_factors(own: OwnImages) -> tuple[np.ndarray | None, tuple[int, ...]]:
    """Return the classes (N, K) of the factors, and how many classes each factor has; None and () without factors."""
    if not own.factors:
        return None, ()
    for column in own.factors.values():
        if column.shape != (own.count,):
            raise UserError(f"dataset=arrays: {own.place} holds {own.count} images, but {len(column)} rows of factors.")
    numbered = [number_values(own, f"factor '{name}'", column) for name, column in own.factors.items()]
    classes, values = zip(*numbered, strict=True)
    return np.stack(classes, axis=1), tuple(map(len, values))


def number_values(own: OwnImages, subject: str, column: np.ndarray) -> tuple[np.ndarray, tuple[str, ...]]:
    """Return the distinct values of a column (N,) in ascending order as classes 0, 1, … (N,), and as strings.

    Texts that are numbers are ordered as numbers, before other texts. `subject` names the column in messages. Raises
    UserError where its values are no classes.
    """
    if column.dtype.kind not in "biufU" or (column.dtype.kind == "f" and not np.isfinite(column).all()):
        raise UserError(f"dataset=arrays: {subject} in {own.place} holds {column.dtype} values that are no classes.")
    values, classes = np.unique(column, return_inverse=True)
    if column.dtype.kind == "U":
        order = np.array(sorted(range(len(values)), key=lambda k: order_text(str(values[k]))), np.int64)
        values, classes = values[order], np.argsort(order)[classes]
    if column.dtype.kind == "f":
        levels = merge_levels(values)
        if levels[-1] + 1 < len(values):
            count = len(values)
            # Each level has the name of the value that most images have.
            frequent = np.argsort(np.bincount(classes), kind="stable")
            names_of_levels = np.empty(levels[-1] + 1, values.dtype)
            names_of_levels[levels[frequent]] = values[frequent]
            values, classes = names_of_levels, levels[classes]
            log.warning(
                "dataset=arrays: %s: %d values, some of which differ by rounding alone, became %d levels.",
                subject,
                count,
                len(values),
            )
    whole = column.dtype.kind in "biu" or (column.dtype.kind == "f" and bool((values == np.rint(values)).all()))
    if not whole and len(values) > MAX_LEVELS:
        raise UserError(
            f"dataset=arrays: {subject} in {own.place} takes {len(values)} distinct values. Scores need classes: at"
            f" most {MAX_LEVELS} levels, or whole numbers. Round it, or leave it out."
        )
    names = tuple(f"{value:g}" if column.dtype.kind == "f" else str(value) for value in values)
    if names != tuple(map(str, range(len(names)))):
        listed = ", ".join(names if len(names) <= 4 else (*names[:2], "…", names[-1]))
        log.info("dataset=arrays: %s: %s became the classes 0 … %d.", subject, listed, len(names) - 1)
    return classes.astype(np.int64), names


def order_text(text: str) -> tuple[bool, float, str]:
    """Return the key by which texts are sorted: numbers by their value, then other texts."""
    try:
        number = float(text)
    except ValueError:
        number = float("nan")
    return (False, number, text) if np.isfinite(number) else (True, 0.0, text)


def merge_levels(values: np.ndarray) -> np.ndarray:
    """Return the level 0, 1, … (V,) of each of the ascending numbers (V,); those that differ by rounding share one.

    Whole numbers stay as they are, and so do numbers that lie so close that no levels can be told apart.
    """
    apart = np.arange(len(values))
    if (values == np.rint(values)).all():
        return apart
    exact = values.astype(np.float64)
    resolution = 4 * float(np.finfo(values.dtype).eps) * np.abs(exact).max()
    tolerance = max(ROUNDING * (exact[-1] - exact[0]), resolution)
    levels = np.concatenate([[0], np.cumsum(np.diff(exact) > tolerance)])
    first, last = (np.searchsorted(levels, np.arange(levels[-1] + 1), side) for side in ("left", "right"))
    return levels if (exact[last - 1] - exact[first] <= tolerance).all() else apart
