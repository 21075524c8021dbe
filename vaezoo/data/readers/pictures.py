"""Pictures as files, in a folder, a zip or a tar: their names and their pixels."""

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

from vaezoo.data.files.find import refuse_damage
from vaezoo.errors import UserError

WORKERS = min(os.cpu_count() or 1, 8)  # processes that read pictures; more would wait for the disk
DAMAGE = (
    *(OSError, EOFError, ValueError, SyntaxError, zlib.error, zipfile.BadZipFile, tarfile.TarError),
    Image.DecompressionBombError,
)


@lru_cache(maxsize=1)
def list_contents(place: Path) -> dict[str, Callable[[], bytes]]:
    """Return a function that reads each file of a folder or archive, by its name such as img_align_celeba/000001.jpg.

    Each process lists a place once, because listing hundreds of thousands of files takes seconds; `cache_contents`
    says how long the list is kept.
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
    """Return the content of a file in a tar."""
    stream = tar.extractfile(member)
    assert stream is not None
    return stream.read()


@contextmanager
def cache_contents() -> Iterator[None]:
    """Keep the list of a place until the body ends; later it would take memory, and the files may change."""
    try:
        yield
    finally:
        list_contents.cache_clear()


def list_names(dataset: str, place: Path) -> KeysView[str]:
    """Return the names of all files in a folder or archive. Raises UserError where it is damaged."""
    with refuse_damage(dataset, place, DAMAGE):
        return list_contents(place).keys()


def read_picture(dataset: str, place: Path, name: str, size: tuple[int, int]) -> Image.Image:
    """Return a picture in colour. Raises UserError where it is damaged or has another size than (width, height)."""
    with refuse_damage(dataset, f"{name} in {place}", DAMAGE):
        image = Image.open(io.BytesIO(list_contents(place)[name]()))
        image.load()
    if image.size != size:
        actual, expected = (f"{width} x {height}" for width, height in (image.size, size))
        raise UserError(f"dataset={dataset}: {name} in {place} has {actual} pixels, expected {expected}.")
    return image.convert("RGB")


def shorten_list(names: list[str]) -> str:
    """Return the first three names, and how many there are besides."""
    return ", ".join(names[:3]) + (f" and {len(names) - 3:,} more" if len(names) > 3 else "")
