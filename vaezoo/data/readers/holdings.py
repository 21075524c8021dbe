"""What a user's file or folder holds: images, and perhaps factors and labels, in each of the forms that are read."""

import csv
import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from vaezoo.data.files.find import DataFile, verify
from vaezoo.data.readers.hdf5 import opened
from vaezoo.data.readers.npz import DAMAGED, Member
from vaezoo.errors import UserError

PICTURES = (".png", ".jpg", ".jpeg")
TABLES = ("factors.csv", "labels.csv")
MODES = {"1": "L", "L": "L", "LA": "L", "P": "RGB", "RGB": "RGB", "RGBA": "RGB", "CMYK": "RGB"}


@dataclass(frozen=True)
class Holding:
    place: Path
    count: int
    row: tuple[int, ...]  # the shape of one image as it is stored
    dtype: np.dtype
    read: Callable[[int, int], np.ndarray]
    identity: Callable[[], dict[str, str]]  # which bytes these are
    labels: np.ndarray | None = None
    factors: Mapping[str, np.ndarray] = field(default_factory=dict)  # (N,) by name
    mapped: np.ndarray | None = None  # all images, where they need no reading
    pictures: bool = False


def hold(place: Path, size: int | None) -> Holding:
    """`size` is for pictures, each of which may have a size of its own."""
    if place.is_dir():
        return hold_folder(place, size)
    readers = {".npz": hold_npz, ".npy": hold_npy, ".h5": hold_hdf5, ".hdf5": hold_hdf5}
    if place.suffix.lower() not in readers:
        raise UserError(f"dataset.path={place}: expected a folder of pictures, or a file {', '.join(readers)}.")
    return readers[place.suffix.lower()](place)


def identity_of(file: Path) -> dict[str, str]:
    return verify("arrays", file, DataFile(file.name))


def hold_npy(file: Path) -> Holding:
    try:
        images = np.load(file, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise UserError(f"dataset=arrays: {file} is no array of numbers, or damaged ({error}).") from error
    return Holding(
        file,
        *counted(file, images),
        read=lambda start, stop: images[start:stop],
        identity=partial(identity_of, file),
        mapped=images,
    )


def hold_npz(file: Path) -> Holding:
    try:
        member = Member("arrays", file, "images", None, None)
        with np.load(file, allow_pickle=False) as held:
            beside = {key: held[key] for key in ("factors", "labels", "factor_names") if key in held}
    except (*DAMAGED, ValueError) as error:
        raise error if isinstance(error, UserError) else damaged(file, error) from error

    def read(start: int, stop: int) -> np.ndarray:
        try:
            return member.rows(start, stop)
        except DAMAGED as error:
            raise damaged(file, error) from error

    return Holding(
        file,
        *counted(file, member),
        read=read,
        identity=partial(identity_of, file),
        labels=beside.get("labels"),
        factors=columns(file, beside.get("factors"), beside.get("factor_names")),
    )


def damaged(file: Path, error: Exception) -> UserError:
    return UserError(f"dataset=arrays: {file} cannot be read ({error}).")


def hold_hdf5(file: Path) -> Holding:
    def read(start: int, stop: int) -> np.ndarray:
        with opened("arrays", file) as held:
            return held["images"][start:stop]

    with opened("arrays", file) as held:
        whole = counted(file, held["images"])
        beside = {key: as_text(held[key][()]) for key in ("factors", "labels", "factor_names") if key in held}
    return Holding(
        file,
        *whole,
        read=read,
        identity=partial(identity_of, file),
        labels=beside.get("labels"),
        factors=columns(file, beside.get("factors"), beside.get("factor_names")),
    )


def as_text(array: np.ndarray) -> np.ndarray:
    """HDF5 stores texts as bytes."""
    if array.dtype.kind not in "OS":
        return array
    texts = [one.decode() if isinstance(one, bytes) else str(one) for one in array.ravel()]
    return np.array(texts).reshape(array.shape)


def counted(file: Path, images: Any) -> tuple[int, tuple[int, ...], np.dtype]:
    if not images.shape:
        raise UserError(f"dataset=arrays: images in {file} are a single number.")
    return images.shape[0], tuple(images.shape[1:]), images.dtype


def columns(file: Path, factors: np.ndarray | None, names: np.ndarray | None) -> dict[str, np.ndarray]:
    """The factors by name; without names they are factor0, factor1, …"""
    if factors is None:
        return {}
    table = factors[:, None] if factors.ndim == 1 else factors
    if table.ndim != 2:
        raise UserError(f"dataset=arrays: factors in {file} are {factors.shape}, expected (N, K).")
    called = [f"factor{k}" for k in range(table.shape[1])] if names is None else [str(name) for name in names]
    if len(set(called)) != table.shape[1]:
        raise UserError(f"dataset=arrays: {table.shape[1]} factors in {file}, but factor_names are {called}.")
    return dict(zip(called, table.T, strict=True))


# ---- folders of pictures


def hold_folder(folder: Path, size: int | None) -> Holding:
    """All pictures in a folder and below, in the order of their names. Those of each subfolder are a class."""
    names = sorted(
        (Path(above) / name).relative_to(folder).as_posix()
        for above, _, names in os.walk(folder)
        for name in names
        if name.lower().endswith(PICTURES) and not name.startswith(".")
    )
    if not names:
        raise UserError(f"dataset=arrays: no pictures ({', '.join(PICTURES)}) in {folder}.")
    first = opened_picture(folder, names[0])
    mode, pixels = mode_of(folder, names[0], first), first.size if size is None else (size, size)
    row = (pixels[1], pixels[0]) if mode == "L" else (pixels[1], pixels[0], 3)
    tables = {table: read_table(folder, table, names) for table in TABLES if (folder / table).is_file()}
    labels = tables.get("labels.csv")
    if labels is not None and len(labels) != 1:
        raise UserError(f"dataset=arrays: {folder / 'labels.csv'} needs the columns 'file' and one more.")

    return Holding(
        folder,
        len(names),
        row,
        np.dtype(np.uint8),
        read=partial(read_pictures, folder, names, mode, pixels, size is not None),
        identity=partial(identity_of_listing, folder, names),
        labels=next(iter(labels.values())) if labels else folder_labels(folder, names),
        factors=tables.get("factors.csv", {}),
        pictures=True,
    )


def opened_picture(folder: Path, name: str) -> Image.Image:
    try:
        return Image.open(folder / name)
    except (OSError, ValueError) as error:
        raise UserError(f"dataset=arrays: {folder / name} is damaged, or no picture ({error}).") from error


def mode_of(folder: Path, name: str, image: Image.Image) -> str:
    """ "L" for grey, "RGB" for colour; transparency is left out."""
    if image.mode not in MODES:
        raise UserError(f"dataset=arrays: {folder / name} has pixels of the kind {image.mode}; expected 8 bits.")
    return MODES[image.mode]


def folder_labels(folder: Path, names: Sequence[str]) -> np.ndarray | None:
    tops = [name.partition("/")[0] if "/" in name else "" for name in names]
    if "" in tops and len(set(tops)) > 1:
        stray = names[tops.index("")]
        raise UserError(f"dataset=arrays: {folder} has pictures in subfolders, which are classes, and beside: {stray}.")
    return None if "" in tops else np.array(tops)


def read_pictures(
    folder: Path, names: Sequence[str], mode: str, pixels: tuple[int, int], resize: bool, start: int, stop: int
) -> np.ndarray:
    images = []
    for name in names[start:stop]:
        image = opened_picture(folder, name)
        if mode == "L" and mode_of(folder, name, image) != "L":
            raise UserError(f"dataset=arrays: {folder / name} is in colour, unlike {names[0]}.")
        if image.size != pixels and not resize:
            found, wanted = (f"{width} x {height}" for width, height in (image.size, pixels))
            raise UserError(
                f"dataset=arrays: {folder / name} has {found} pixels, but {names[0]} has {wanted}."
                " dataset.size=64 makes all of them squares of 64."
            )
        try:
            image = image.convert(mode)
        except (OSError, ValueError, SyntaxError) as error:
            raise UserError(f"dataset=arrays: {folder / name} is damaged ({error}).") from error
        images.append(np.asarray(image if image.size == pixels else image.resize(pixels, Image.Resampling.BILINEAR)))
    return np.stack(images)


def identity_of_listing(folder: Path, names: Sequence[str]) -> dict[str, str]:
    """Sizes and times stand for the bytes, which would take long to read."""
    digest = hashlib.sha256()
    for name in names:
        status = (folder / name).stat()
        digest.update(f"{name} {status.st_size} {status.st_mtime_ns}\n".encode())
    return {"listing_sha256": digest.hexdigest()}


def read_table(folder: Path, table: str, names: Sequence[str]) -> dict[str, np.ndarray]:
    """The columns of a CSV file besides `file`, in the order of the pictures: numbers where all are, else texts."""
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
    return {key: numbers([by_file[name][key] for name in names]) for key in rows[0] if key != "file"}


def numbers(texts: list[str]) -> np.ndarray:
    for kind in (int, float):
        try:
            return np.array([kind(text) for text in texts])
        except ValueError:
            continue
    return np.array(texts)
