"""A user's own file or folder: its images, and perhaps factors and labels, in each of the forms that can be read."""

import csv
import hashlib
import os
import re
import zipfile
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from PIL import Image

from vaezoo.data.files.find import DataFile, compute_once, describe_status, verify_file
from vaezoo.data.readers.hdf5 import open_hdf5, take_dataset
from vaezoo.data.readers.npz import ZIP_ERRORS, NpzArray
from vaezoo.errors import UserError
from vaezoo.progress import progress
from vaezoo.runs.limits import read_arrays, require_file

PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")
TABLES = ("factors.csv", "labels.csv")
MODES = {"1": "L", "L": "L", "LA": "L", "P": "RGB", "RGB": "RGB", "RGBA": "RGB", "CMYK": "RGB"}
BESIDE_IMAGES = ("factors", "labels", "factor_names")  # further arrays of a file


@dataclass(frozen=True, eq=False)  # An object is equal to itself alone, so that results about it can be kept.
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
    omitted: tuple[str, ...] = ()  # what else is there and is not read, with counts
    changes: Counter[str] = field(default_factory=Counter)  # how many pictures were changed while they were read


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
    members: Collection[str] = (),
) -> OwnImages:
    """Return the images of a file, given the array `images` (N, ...) and the arrays beside it.

    `members` are the names of all arrays in the file, of which those without a meaning here are left out.
    """
    beside = {key: decode_strings(file, array) for key, array in beside.items()}
    others = [name for name in members if name not in ("images", *BESIDE_IMAGES)]
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
        omitted=describe_names("arrays of other names", others),
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
        with zipfile.ZipFile(file) as archive:
            members = [name.removesuffix(".npy") for name in archive.namelist()]

    def read(start: int, stop: int) -> np.ndarray:
        with refuse_damaged_archive(file):
            return images.read(start, stop)

    return describe_file(file, images, read, beside, members=members)


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
        images, *arrays = [take_dataset(contents, key) for key in ("images", *BESIDE_IMAGES)]
        beside = {key: array[()] for key, array in zip(BESIDE_IMAGES, arrays, strict=True) if array is not None}
        return describe_file(file, images, read, beside, members=list(contents))


def decode_strings(file: Path, array: np.ndarray) -> np.ndarray:
    """Return an array with strings in place of bytes, which HDF5 and older programs store. Their encoding is UTF-8."""
    if array.dtype.kind not in "OS":
        return array
    try:
        strings = [value.decode() if isinstance(value, bytes) else str(value) for value in array.ravel()]
    except UnicodeDecodeError as error:
        raise UserError(f"dataset=arrays: {file} has texts that are not UTF-8 ({error}).") from None
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
    check_names(f"factor_names in {file}", labels)
    return dict(zip(labels, table.T, strict=True))


def check_names(place: str, names: Sequence[str]) -> None:
    """Raise UserError where a column has no name, as the index that pandas writes, or the name of another column."""
    for k, name in enumerate(names):
        if not name.strip() or re.fullmatch(r"Unnamed: \d+", name):
            raise UserError(
                f"dataset=arrays: {place}: column {k + 1} of {len(names)} has no name. Name it, or leave it out; pandas"
                " leaves the index out with to_csv(..., index=False)."
            )
        if name in names[:k]:
            raise UserError(
                f"dataset=arrays: {place}: the name '{name}' stands there twice. Rename one of the columns."
            )


def describe_names(kind: str, names: Sequence[str]) -> tuple[str, ...]:
    """Return the number of names with one of them as an example; nothing where there are none."""
    return (f"{len(names):,} {kind} such as {names[0]}",) if names else ()


# ---- folders of pictures


def open_folder(folder: Path, size: int | None) -> OwnImages:
    """Return all pictures in a folder and below, in the order of their names. Each subfolder is a class.

    The files labels.csv and factors.csv may say more (docs/data.md). `size` makes squares of all pictures; without it,
    they must have the size of the first one.
    """
    names, others = list_pictures(folder)
    omitted = [text for kind in sorted(others) for text in describe_names(kind, sorted(others[kind]))]
    if not names:
        beside = f" It holds {', '.join(omitted)}." if omitted else ""
        raise UserError(f"dataset=arrays: no pictures ({', '.join(PICTURES)}) in {folder}.{beside}")
    first = open_picture(folder, names[0])
    mode = choose_mode(folder, names[0], first)
    width, height = first.size if size is None else (size, size)
    tables = {}
    for table in TABLES:
        if (folder / table).is_file():
            tables[table], strays = read_table(folder, table, names)
            omitted += describe_names(f"rows of {table} without a picture", strays)
    labels = tables.get("labels.csv")
    if labels is not None and len(labels) != 1:
        raise UserError(f"dataset=arrays: {folder / 'labels.csv'} needs the columns 'file' and one more.")
    changes: Counter[str] = Counter()
    return OwnImages(
        folder,
        len(names),
        (height, width) if mode == "L" else (height, width, 3),
        np.dtype(np.uint8),
        read=partial(read_pictures, folder, names, mode, (width, height), size is not None, changes),
        identify=partial(identify_pictures, folder, names),
        labels=next(iter(labels.values())) if labels else label_by_folder(folder, names),
        factors=tables.get("factors.csv", {}),
        pictures=True,
        omitted=tuple(omitted),
        changes=changes,
    )


def list_pictures(folder: Path) -> tuple[list[str], dict[str, list[str]]]:
    """Return the names of the pictures in a folder and below, in ascending order, and of all other files by their kind.

    Hidden files and folders are no pictures: programs leave copies in .ipynb_checkpoints, for example.
    """

    def refuse(error: OSError) -> NoReturn:
        raise UserError(f"dataset=arrays: {error.filename} cannot be read ({error.strerror}).") from error

    names: list[str] = []
    others: dict[str, list[str]] = {}
    for parent, folders, files in os.walk(folder, onerror=refuse):
        prefix = "" if parent == str(folder) else Path(parent).relative_to(folder).as_posix() + "/"
        for name in folders:
            if is_hidden(name):
                others.setdefault("hidden", []).append(f"{prefix}{name}/")
            elif os.path.islink(f"{parent}/{name}"):  # It may lead back into this folder.
                others.setdefault("links to folders", []).append(prefix + name)
        folders[:] = [name for name in folders if not is_hidden(name)]
        for name in files:
            if is_hidden(name):
                others.setdefault("hidden", []).append(prefix + name)
            elif name.lower().endswith(PICTURES):
                names.append(prefix + name)
            elif prefix + name not in TABLES:
                kind = os.path.splitext(name)[1] or "without an ending"
                others.setdefault(kind, []).append(prefix + name)
    return sorted(names), others


def is_hidden(name: str) -> bool:
    """Return whether a file or folder of that name is one that programs keep out of sight."""
    return name.startswith(".") or name == "__MACOSX"


def open_picture(folder: Path, name: str) -> Image.Image:
    """Return a picture, whose pixels are not read yet."""
    require_file(folder / name)
    try:
        return Image.open(folder / name)
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise UserError(f"dataset=arrays: {folder / name} is damaged, or no picture ({error}).") from error


def choose_mode(folder: Path, name: str, image: Image.Image) -> str:
    """Return "L" for a grey picture and "RGB" for one in colour."""
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
    folder: Path,
    names: Sequence[str],
    mode: str,
    size: tuple[int, int],
    resize: bool,
    changes: Counter[str],
    start: int,
    stop: int,
) -> np.ndarray:
    """Return pictures start ... stop, (stop - start, H, W) or (stop - start, H, W, 3) uint8.

    `size` is (width, height), and `changes` counts pictures that became others. Raises UserError where a picture has
    another size and `resize` is false, where it is damaged, where it has not 8 bits or several frames, and where it is
    in colour but `mode` is "L".
    """
    images = []
    for name in names[start:stop]:
        image = open_picture(folder, name)
        own_mode = choose_mode(folder, name, image)
        if mode == "L" and own_mode != "L":
            raise UserError(f"dataset=arrays: {folder / name} is in colour, unlike {names[0]}. Convert one of them.")
        changes["grey pictures became colour"] += own_mode != mode
        if image.size != size and not resize:
            actual, expected = (f"{width} x {height}" for width, height in (image.size, size))
            raise UserError(
                f"dataset=arrays: {folder / name} has {actual} pixels, but {names[0]} has {expected}."
                " dataset.size=64 makes all of them squares of 64."
            )
        try:
            # A camera's JPEG (MPO) has its picture first, and previews behind it.
            if image.format != "MPO" and (frames := getattr(image, "n_frames", 1)) > 1:
                raise UserError(f"dataset=arrays: {folder / name} has {frames} frames; expected a single picture.")
            if image.has_transparency_data:
                image, is_opaque = put_on_white(image)
                changes["pictures with transparent pixels were put on white"] += not is_opaque
            image = image.convert(mode)
        except UserError:  # It is a ValueError, and has its message already.
            raise
        except (OSError, ValueError, SyntaxError) as error:
            raise UserError(f"dataset=arrays: {folder / name} is damaged ({error}).") from error
        images.append(np.asarray(image if image.size == size else image.resize(size, Image.Resampling.BILINEAR)))
    return np.stack(images)


def put_on_white(image: Image.Image) -> tuple[Image.Image, bool]:
    """Return a picture in colour on a white ground, and whether it was opaque, so that nothing has changed."""
    white, picture = Image.new("RGBA", image.size, "white"), image.convert("RGBA")
    white.alpha_composite(picture)
    return white, picture.getchannel("A").getextrema()[0] == 255


def identify_pictures(folder: Path, names: Sequence[str]) -> dict[str, str]:
    """Return a checksum of the names and bytes of the pictures and tables.

    It is remembered as long as the names, sizes and times stay the same, because reading all bytes takes long.
    """
    files = [*names, *(table for table in TABLES if (folder / table).is_file())]

    def describe() -> dict[str, str]:
        digest = hashlib.sha256()
        for name in files:
            status = (folder / name).stat()
            digest.update(f"{name} {status.st_size} {status.st_mtime_ns} {status.st_ctime_ns}\n".encode())
        return {"file": describe_status(folder)["file"], "listing_sha256": digest.hexdigest()}

    def compute() -> str:
        digest = hashlib.sha256()
        with progress(f"checking {folder.name}", len(files), "file") as bar:
            for name in files:
                content = hashlib.sha256((folder / name).read_bytes()).hexdigest()
                digest.update(f"{name} {content}\n".encode())
                bar.update()
        return digest.hexdigest()

    return {"sha256": compute_once(describe, "sha256", compute)}


def read_table(folder: Path, table: str, names: Sequence[str]) -> tuple[dict[str, np.ndarray], list[str]]:
    """Return the columns (N,) of a CSV file by name, in the order of the pictures and without the column `file`.

    A column holds numbers where all of its values are numbers, strings otherwise. The second result are the files that
    have a row and are not among the pictures. Raises UserError where a column or a value is missing.
    """
    try:
        with (folder / table).open(newline="", encoding="utf-8-sig") as stream:
            header, *lines = [[cell.strip() for cell in row] for row in csv.reader(stream) if row] or [[]]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"dataset=arrays: {folder / table} cannot be read as CSV in UTF-8 ({error}).") from error
    if not lines or "file" not in header or len(header) < 2:
        raise UserError(f"dataset=arrays: {folder / table} needs a header with 'file' and a column more, and rows.")
    check_names(str(folder / table), header)
    if any(len(line) != len(header) for line in lines):
        raise UserError(f"dataset=arrays: {folder / table} has rows that are longer or shorter than its header.")
    rows = [dict(zip(header, line, strict=True)) for line in lines]
    by_file = {row["file"]: row for row in rows}
    if len(by_file) < len(rows):
        file, count = Counter(row["file"] for row in rows).most_common(1)[0]
        raise UserError(f"dataset=arrays: {folder / table} has {count} rows for {file}; expected one.")
    if missing := [name for name in names if name not in by_file]:
        raise UserError(
            f"dataset=arrays: {folder / table} has no row for {len(missing):,} of {len(names):,} pictures, such as"
            f" {missing[0]}."
        )
    for name in names:
        if "" in by_file[name].values():
            raise UserError(f"dataset=arrays: {folder / table} has an empty value in the row of {name}.")
    columns = {key: parse_numbers([by_file[name][key] for name in names]) for key in header if key != "file"}
    return columns, sorted(by_file.keys() - set(names))


def parse_numbers(strings: list[str]) -> np.ndarray:
    """Return the strings as integers where all of them are, else as floats where all of them are, else as they are."""
    for kind in (int, float):
        try:
            return np.array([kind(string) for string in strings])
        except ValueError:
            continue
    return np.array(strings)
