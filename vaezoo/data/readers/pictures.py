"""Pictures as files, in a folder, a zip or a tar: what they are called, and what is in them."""

import io
import os
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, KeysView
from contextlib import contextmanager
from functools import lru_cache, partial
from pathlib import Path

from PIL import Image

from vaezoo.errors import UserError

WORKERS = min(os.cpu_count() or 1, 8)  # processes that read pictures; more would wait for the disk
DAMAGED = (OSError, EOFError, ValueError, SyntaxError, zlib.error, zipfile.BadZipFile, tarfile.TarError)


@lru_cache(maxsize=1)
def contents(place: Path) -> dict[str, Callable[[], bytes]]:
    """How to read each file in a folder or an archive, by its name there, such as img_align_celeba/000001.jpg.

    Use inside `reading`: listing hundreds of thousands of files takes seconds, so each process does it once.
    """
    if place.is_dir():
        files = (Path(folder) / name for folder, _, names in os.walk(place) for name in names)
        return {file.relative_to(place).as_posix(): file.read_bytes for file in files}
    if place.suffix == ".zip":
        archive = zipfile.ZipFile(place)
        return {member.filename: partial(archive.read, member) for member in archive.infolist()}
    tar = tarfile.TarFile(place)
    return {member.name: partial(read_member, tar, member) for member in tar if member.isfile()}


def read_member(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    stream = tar.extractfile(member)
    assert stream is not None
    return stream.read()


@contextmanager
def reading() -> Iterator[None]:
    """What was listed in here is forgotten afterwards: it takes memory, and the files may change."""
    try:
        yield
    finally:
        contents.cache_clear()


def list_pictures(dataset: str, place: Path) -> KeysView[str]:
    """The names of all files there."""
    try:
        return contents(place).keys()
    except DAMAGED as error:
        raise UserError(f"dataset={dataset}: {place} is damaged ({error}). Fetch it again.") from error


def picture(dataset: str, place: Path, name: str, size: tuple[int, int]) -> Image.Image:
    """One of them, in colour; UserError if it is damaged or not `size` (width, height)."""
    try:
        image = Image.open(io.BytesIO(contents(place)[name]()))
        image.load()
    except DAMAGED as error:
        raise UserError(f"dataset={dataset}: {name} in {place} is damaged ({error}). Fetch it again.") from error
    if image.size != size:
        found, wanted = (f"{width} x {height}" for width, height in (image.size, size))
        raise UserError(f"dataset={dataset}: {name} in {place} has {found} pixels, expected {wanted}.")
    return image.convert("RGB")


def and_more(names: list[str]) -> str:
    """The first three names, and how many there are besides."""
    return ", ".join(names[:3]) + (f" and {len(names) - 3:,} more" if len(names) > 3 else "")
