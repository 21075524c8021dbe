"""A user's own file or folder: its images, and perhaps factors and labels, in each of the forms that can be read."""

import csv
import hashlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from vaezoo.data.files.find import DataFile, verify_file
from vaezoo.data.readers.hdf5 import open_hdf5, take_dataset
from vaezoo.data.readers.npz import ZIP_ERRORS, NpzArray
from vaezoo.errors import UserError
from vaezoo.runs.limits import read_arrays, require_file

PICTURES = (".png", ".jpg", ".jpeg")
TABLES = ("factors.csv", "labels.csv")
MODES = {"1": "L", "L": "L", "LA": "L", "P": "RGB", "RGB": "RGB", "RGBA": "RGB", "CMYK": "RGB"}
BESIDE_IMAGES = ("factors", "labels", "factor_names")  # further arrays of a file


@dataclass(frozen=True)
class OwnImages:
    """The images of a file or folder, which are read in pieces, and the tables beside them."""

    place: Path
    count: int
    stored_shape: tuple[int, ...]  # of one image, as the file has it
    dtype: np.dtype
    read: Callable[[int, int], np.ndarray]  # (start, stop) -> (stop - start, *stored_shape)
    identify: Callable[[], dict[str, str]]  # returns which bytes these are
    labels: np.ndarray | None = None  # (N,)
    factors: Mapping[str, np.ndarray] = field(default_factory=dict)  # (N,) by name
    mapped: np.ndarray | None = None  # all images, where they can be mapped from the file
    pictures: bool = False  # whether each image is a file


def open_own_images(place: Path, size: int | None) -> OwnImages:
    """Return the images of a file or folder. `size` is for a folder, whose pictures may have different sizes.

    Raises UserError where the place has another form than those that are read, or is damaged.
    """
    if place.is_dir():
        return open_folder(place, size)
    readers = {".npz": open_npz, ".npy": open_npy, ".h5": open_h5, ".hdf5": open_h5}
    if place.suffix.lower() not in readers:
        raise UserError(f"dataset.path={place}: expected a folder of pictures, or a file {', '.join(readers)}.")
    require_file(place)
    return readers[place.suffix.lower()](place)


# ---- files


def describe_file(
    file: Path,
    images: Any,
    read: Callable[[int, int], np.ndarray],
    beside: Mapping[str, np.ndarray],
    mapped: np.ndarray | None = None,
) -> OwnImages:
    """Return the images of a file, given the array `images` (N, ...) and the arrays beside it."""
    if not images.shape:
        raise UserError(f"dataset=arrays: images in {file} are a single number.")
    return OwnImages(
        file,
        images.shape[0],
        tuple(images.shape[1:]),
        images.dtype,
        read=read,
        identify=lambda: verify_file("arrays", file, DataFile(file.name)),
        labels=beside.get("labels"),
        factors=name_factors(file, beside.get("factors"), beside.get("factor_names")),
        mapped=mapped,
    )


def open_npy(file: Path) -> OwnImages:
    """Return the images of a .npy file, which holds nothing else."""
    try:
        images = np.load(file, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise UserError(f"dataset=arrays: {file} is no array of numbers, or damaged ({error}).") from error
    return describe_file(file, images, lambda start, stop: images[start:stop], {}, mapped=images)


def open_npz(file: Path) -> OwnImages:
    """Return the images of a .npz file and what lies beside them."""
    with refuse_damaged_archive(file):
        images = NpzArray("arrays", file, "images", None, None)
        beside = read_arrays(file, BESIDE_IMAGES)

    def read(start: int, stop: int) -> np.ndarray:
        with refuse_damaged_archive(file):
            return images.read(start, stop)

    return describe_file(file, images, read, beside)


@contextmanager
def refuse_damaged_archive(file: Path) -> Iterator[None]:
    """Raise UserError where the body cannot read a .npz file."""
    try:
        yield
    except UserError:  # It is a ValueError, and has its message already.
        raise
    except (*ZIP_ERRORS, ValueError) as error:
        raise UserError(f"dataset=arrays: {file} cannot be read ({error}).") from error


def open_h5(file: Path) -> OwnImages:
    """Return the images of an HDF5 file and what lies beside them."""

    def read(start: int, stop: int) -> np.ndarray:
        with open_hdf5("arrays", file) as contents:
            return contents["images"][start:stop]

    with open_hdf5("arrays", file) as contents:
        images, *beside = [take_dataset(contents, key) for key in ("images", *BESIDE_IMAGES)]
        arrays = zip(BESIDE_IMAGES, beside, strict=True)
        return describe_file(file, images, read, {key: decode_strings(a[()]) for key, a in arrays if a is not None})


def decode_strings(array: np.ndarray) -> np.ndarray:
    """Return an array of an HDF5 file with strings in place of the bytes that HDF5 stores for them."""
    if array.dtype.kind not in "OS":
        return array
    strings = [value.decode() if isinstance(value, bytes) else str(value) for value in array.ravel()]
    return np.array(strings).reshape(array.shape)


def name_factors(file: Path, factors: np.ndarray | None, names: np.ndarray | None) -> dict[str, np.ndarray]:
    """Return the columns (N,) of `factors` (N, K) or (N,) by name; without names they are factor0, factor1, …"""
    if factors is None:
        return {}
    table = factors[:, None] if factors.ndim == 1 else factors
    if table.ndim != 2:
        raise UserError(f"dataset=arrays: factors in {file} are {factors.shape}, expected (N, K).")
    labels = [f"factor{k}" for k in range(table.shape[1])] if names is None else [str(name) for name in names]
    if len(set(labels)) != table.shape[1]:
        raise UserError(f"dataset=arrays: {table.shape[1]} factors in {file}, but factor_names are {labels}.")
    return dict(zip(labels, table.T, strict=True))


# ---- folders of pictures


def open_folder(folder: Path, size: int | None) -> OwnImages:
    """Return all pictures in a folder and below, in the order of their names. Each subfolder is a class.

    The files labels.csv and factors.csv may say more (docs/data.md). `size` makes squares of all pictures; without it,
    they must have the size of the first one.
    """
    names = sorted(
        (Path(parent) / name).relative_to(folder).as_posix()
        for parent, _, names in os.walk(folder)
        for name in names
        if name.lower().endswith(PICTURES) and not name.startswith(".")
    )
    if not names:
        raise UserError(f"dataset=arrays: no pictures ({', '.join(PICTURES)}) in {folder}.")
    first = open_picture(folder, names[0])
    mode = choose_mode(folder, names[0], first)
    width, height = first.size if size is None else (size, size)
    tables = {table: read_table(folder, table, names) for table in TABLES if (folder / table).is_file()}
    labels = tables.get("labels.csv")
    if labels is not None and len(labels) != 1:
        raise UserError(f"dataset=arrays: {folder / 'labels.csv'} needs the columns 'file' and one more.")
    return OwnImages(
        folder,
        len(names),
        (height, width) if mode == "L" else (height, width, 3),
        np.dtype(np.uint8),
        read=partial(read_pictures, folder, names, mode, (width, height), size is not None),
        identify=partial(identify_pictures, folder, names),
        labels=next(iter(labels.values())) if labels else label_by_folder(folder, names),
        factors=tables.get("factors.csv", {}),
        pictures=True,
    )


def open_picture(folder: Path, name: str) -> Image.Image:
    """Return a picture, whose pixels are not read yet."""
    require_file(folder / name)
    try:
        return Image.open(folder / name)
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise UserError(f"dataset=arrays: {folder / name} is damaged, or no picture ({error}).") from error


def choose_mode(folder: Path, name: str, image: Image.Image) -> str:
    """Return "L" for a grey picture and "RGB" for one in colour; transparency is left out."""
    if image.mode not in MODES:
        raise UserError(f"dataset=arrays: {folder / name} has pixels of the kind {image.mode}; expected 8 bits.")
    return MODES[image.mode]


def label_by_folder(folder: Path, names: Sequence[str]) -> np.ndarray | None:
    """Return the subfolder of each picture, (N,), None where there are no subfolders."""
    subfolders = [name.partition("/")[0] if "/" in name else "" for name in names]
    if "" in subfolders and len(set(subfolders)) > 1:
        stray = names[subfolders.index("")]
        raise UserError(f"dataset=arrays: {folder} has pictures in subfolders, which are classes, and beside: {stray}.")
    return None if "" in subfolders else np.array(subfolders)


def read_pictures(
    folder: Path, names: Sequence[str], mode: str, size: tuple[int, int], resize: bool, start: int, stop: int
) -> np.ndarray:
    """Return pictures start ... stop, (stop - start, H, W) or (stop - start, H, W, 3) uint8.

    `size` is (width, height). Raises UserError where a picture has another one and `resize` is false, where it is
    damaged, and where it is in colour but `mode` is "L".
    """
    images = []
    for name in names[start:stop]:
        image = open_picture(folder, name)
        if mode == "L" and choose_mode(folder, name, image) != "L":
            raise UserError(f"dataset=arrays: {folder / name} is in colour, unlike {names[0]}.")
        if image.size != size and not resize:
            actual, expected = (f"{width} x {height}" for width, height in (image.size, size))
            raise UserError(
                f"dataset=arrays: {folder / name} has {actual} pixels, but {names[0]} has {expected}."
                " dataset.size=64 makes all of them squares of 64."
            )
        try:
            image = image.convert(mode)
        except (OSError, ValueError, SyntaxError) as error:
            raise UserError(f"dataset=arrays: {folder / name} is damaged ({error}).") from error
        images.append(np.asarray(image if image.size == size else image.resize(size, Image.Resampling.BILINEAR)))
    return np.stack(images)


def identify_pictures(folder: Path, names: Sequence[str]) -> dict[str, str]:
    """Return a checksum of the names, sizes and times of the pictures, because reading all bytes would take long."""
    digest = hashlib.sha256()
    for name in names:
        status = (folder / name).stat()
        digest.update(f"{name} {status.st_size} {status.st_mtime_ns}\n".encode())
    return {"listing_sha256": digest.hexdigest()}


def read_table(folder: Path, table: str, names: Sequence[str]) -> dict[str, np.ndarray]:
    """Return the columns (N,) of a CSV file by name, in the order of the pictures and without the column `file`.

    A column holds numbers where all of its values are numbers, strings otherwise.
    """
    with (folder / table).open(newline="", encoding="utf-8-sig") as stream:
        rows = list(csv.DictReader(stream))
    if not rows or "file" not in rows[0] or len(rows[0]) < 2:
        raise UserError(f"dataset=arrays: {folder / table} needs a header with 'file' and a column more, and rows.")
    if any(None in row or None in row.values() for row in rows):
        raise UserError(f"dataset=arrays: {folder / table} has rows that are longer or shorter than its header.")
    by_file = {row["file"]: row for row in rows}
    if missing := [name for name in names if name not in by_file]:
        raise UserError(
            f"dataset=arrays: {folder / table} has no row for {len(missing):,} of {len(names):,} pictures, such as"
            f" {missing[0]}."
        )
    return {key: parse_numbers([by_file[name][key] for name in names]) for key in rows[0] if key != "file"}


def parse_numbers(strings: list[str]) -> np.ndarray:
    """Return the strings as integers where all of them are, else as floats where all of them are, else as they are."""
    for kind in (int, float):
        try:
            return np.array([kind(string) for string in strings])
        except ValueError:
            continue
    return np.array(strings)
