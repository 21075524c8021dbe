"""The files of data sets: what they are called, where they are looked for, and whether they are what they should be."""

import gzip
import hashlib
import os
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from vaezoo.errors import UserError
from vaezoo.progress import progress

OFFLINE = "dataset=dsprites (rendered) and dataset=digits need no files."


@dataclass(frozen=True)
class DataFile:
    """One published file. Checksums are of the file as it is published, `payload_md5` of what a .gz holds: the same
    bytes are compressed differently from one place to another, and a copy without .gz is as good."""

    name: str  # in its folder, and at the end of each mirror's address
    size: int | None = None  # bytes
    md5: str | None = None
    sha256: str | None = None
    payload_md5: str | None = None
    other_names: tuple[str, ...] = ()  # of the same file in other places

    @property
    def names(self) -> tuple[str, ...]:
        """All names that it may have in a folder."""
        return (self.name, *self.other_names, *([self.name.removesuffix(".gz")] if self.payload_md5 else []))

    def __str__(self) -> str:
        known = [f"{self.size:,} bytes"] if self.size else []
        known += [f"MD5 {self.md5}"] if self.md5 else []
        return f"{self.name} ({', '.join(known)})" if known else self.name


@dataclass(frozen=True)
class DataFiles:
    """The files of one data set, all in one folder."""

    dataset: str  # "mnist": its folder in the data folder, and its name in messages
    files: tuple[DataFile, ...]
    homepage: str  # where a person finds them
    licence: str
    mirrors: tuple[str, ...] = ()  # beginnings of addresses, the best first; without one they are fetched by hand
    folders: tuple[str, ...] = ()  # where other software keeps them, absolute or relative to the data folder

    def places(self, path: str | None) -> list[Path]:
        """The folders that are looked through: `path` alone, where one is given."""
        if path is not None:
            return [Path(path).expanduser()]
        return [data_folder() / folder for folder in (self.dataset, *self.folders)]

    def locate(self, path: str | None = None) -> dict[str, Path]:
        """Where each file lies, in the first folder that has all of them; UserError where none has."""
        places = self.places(path)
        fewest = self.files
        for place in places:
            found = {file.name: at for file in self.files if (at := first_existing(place, file.names))}
            if len(found) == len(self.files):
                return found
            fewest = min(fewest, tuple(file for file in self.files if file.name not in found), key=len)
        raise UserError(
            f"dataset={self.dataset}: not found: {', '.join(map(str, fewest))}. "
            f"Looked in: {', '.join(map(str, places))}. "
            f"Put the files into {places[0]}; they come from {self.homepage}. Without a network: {OFFLINE}"
        )


def data_folder() -> Path:
    """One folder for all data sets: $VAEZOO_DATA, or the user's cache."""
    given = os.environ.get("VAEZOO_DATA")
    return Path(given).expanduser() if given else Path.home() / ".cache" / "vaezoo"


def first_existing(folder: Path, names: tuple[str, ...]) -> Path | None:
    return next((folder / name for name in names if (folder / name).is_file()), None)


def refuse_pages(dataset: str, file: Path) -> None:
    """Failed downloads leave other things under a file's name; they are told apart by their first bytes."""
    with file.open("rb") as stream:
        head = stream.read(512).removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if head.startswith((b"<!doctype", b"<html", b"version https://git-lfs")):
        raise UserError(f"dataset={dataset}: {file} is a web page or a pointer, not data; a download has failed.")


def checksum(file: Path, algorithm: str) -> str:
    """The "md5" or "sha256" of a file, in hexadecimal."""
    digest = hashlib.new(algorithm, usedforsecurity=False)
    with file.open("rb") as stream, progress(f"checking {file.name}", file.stat().st_size, "B") as bar:
        while chunk := stream.read(2**20):
            digest.update(chunk)
            bar.update(len(chunk))
    return digest.hexdigest()


def verify(dataset: str, file: Path, expected: DataFile) -> dict[str, str]:
    """The checksum of a file, by name, after it turned out to be the published one, where one is known."""
    refuse_pages(dataset, file)
    algorithm = "sha256" if expected.sha256 else "md5"
    wanted = expected.sha256 or expected.md5
    found = checksum(file, algorithm)
    if wanted is not None and found != wanted:
        raise UserError(
            f"dataset={dataset}: {file} has the {algorithm.upper()} {found}, expected {wanted}. It is another file, or"
            " damaged; dataset.verify=false takes it as it is."
        )
    return {algorithm: found}


def read_payload(dataset: str, file: Path, md5: str | None) -> bytes:
    """What a small file holds, decompressed, if it has that MD5 (None: whatever it has)."""
    refuse_pages(dataset, file)
    raw = file.read_bytes()
    try:
        payload = gzip.decompress(raw) if file.suffix == ".gz" else raw
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise UserError(f"dataset={dataset}: {file} is damaged ({error}). Fetch it again.") from error
    found = hashlib.md5(payload, usedforsecurity=False).hexdigest()
    if md5 is not None and found != md5:
        raise UserError(
            f"dataset={dataset}: {file} holds data of the MD5 {found}, expected {md5}. It is another file, or damaged;"
            " dataset.verify=false takes it as it is."
        )
    return payload


def identity(payloads: Mapping[str, bytes]) -> str:
    """One checksum for all files together, in the order of their names."""
    digest = hashlib.sha256()
    for file in sorted(payloads):
        digest.update(hashlib.sha256(payloads[file]).digest())
    return digest.hexdigest()
