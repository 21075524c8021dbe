"""Refuse files that are no files, that lie elsewhere, or that claim to hold far more than they are large.

Run folders and data files may come from other people. Each check looks at sizes and headers, before memory is taken.
"""

import os
import stat
import zipfile
import zlib
from collections.abc import Iterable
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vaezoo.errors import UserError

if TYPE_CHECKING:
    import numpy as np

MAX_TEXT_BYTES = 2**26  # of a file of text, such as metrics.json
HARMLESS_BYTES = 2**26  # What claims no more than 64 MiB is always read.
MAX_RATIO = 250  # of claimed to stored bytes; dSprites, the emptiest images that we know, has 116
# What reading a damaged file of text or of arrays may raise, besides UserError.
UNREADABLE = (
    *(OSError, EOFError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError),
    *(zipfile.BadZipFile, zlib.error, NotImplementedError),
)


def check_inside(folder: Path, path: Path) -> None:
    """Raise UserError if a path within a run folder leads, through links, to a place outside of it."""
    if not path.resolve().is_relative_to(folder.resolve()):
        raise UserError(f"{path} is a link to {path.resolve()}, outside of its folder, and is not followed.")


def require_file(path: Path, max_bytes: int | None = None) -> None:
    """Raise UserError unless the path is a regular file whose bytes are on the disk, at most `max_bytes` of them.

    A pipe would be waited for without end, and a sparse file may claim terabytes.
    """
    try:
        status = path.stat()
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}).") from None
    if not stat.S_ISREG(status.st_mode):
        raise UserError(f"{path} cannot be read, because it is no regular file.")
    if max_bytes is not None and status.st_size > max_bytes:
        raise UserError(f"{path} has {status.st_size:,} bytes, expected at most {max_bytes:,}. It is not read.")
    check_claim(str(path), status.st_size, getattr(status, "st_blocks", status.st_size) * 512)


def read_bytes(folder: Path, name: str | Path, max_bytes: int = MAX_TEXT_BYTES) -> bytes | None:
    """Return the content of a file in a run folder; None where it is missing.

    Raises UserError if it is a link out of the folder, no regular file, or larger than `max_bytes`.
    """
    path = folder / name
    if not os.path.lexists(path):
        return None
    check_inside(folder, path)
    require_file(path, max_bytes)
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}).") from None


def check_claim(what: str, claimed: int, stored: int) -> None:
    """Raise UserError if `what` claims to hold far more bytes than are stored for it."""
    if claimed > HARMLESS_BYTES and claimed > MAX_RATIO * stored:
        raise UserError(f"{what} claims {claimed:,} bytes, but only {stored:,} are stored for it. It is not read.")


def check_archive(path: Path) -> None:
    """Raise UserError if a member of a zip archive claims far more than is stored, or two share their bytes.

    Raises zipfile.BadZipFile for another file.
    """
    require_file(path)
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
    if len({member.header_offset for member in members}) < len(members):
        raise UserError(f"{path} has two members in the same place. It is damaged, and not read.")
    for member in members:
        stored = min(member.compress_size, path.stat().st_size)
        check_claim(f"{member.filename} in {path}", member.file_size, stored)


def read_arrays(path: Path, names: Iterable[str] | None = None) -> "dict[str, np.ndarray]":
    """Return arrays of an .npz file by name: all of them, or those of `names` that are there. Nothing is unpickled.

    Raises UserError for arrays that claim more than is stored, and ValueError, KeyError, EOFError, OSError or
    zipfile.BadZipFile where the file is damaged.
    """
    import numpy as np

    check_archive(path)
    arrays: dict[str, np.ndarray] = {}
    with np.load(path, allow_pickle=False) as file:
        for name in file.files if names is None else [name for name in names if name in file.files]:
            with file.zip.open(f"{name}.npy") as stream:
                shape, dtype = read_header(stream)
            member = file.zip.getinfo(f"{name}.npy")
            if not dtype.hasobject and prod(shape) * dtype.itemsize > member.file_size:
                raise ValueError(f"{name} is shorter than its header says")
            arrays[name] = file[name]
    return arrays


def read_header(stream: Any) -> "tuple[tuple[int, ...], np.dtype]":
    """Return the shape and the type of the array in a .npy stream, which is left at its first value."""
    import numpy as np

    version = np.lib.format.read_magic(stream)
    reader = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = reader(stream)
    return shape, dtype
