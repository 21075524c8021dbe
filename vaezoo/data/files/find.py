"""The files of data sets: what they are called, where they are looked for, and whether they are what they should be."""

import gzip
import hashlib
import json
import os
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any

from vaezoo.data.files.fetch import Failed, fetch, is_page
from vaezoo.data.files.lock import data_folder, sole_writer
from vaezoo.errors import UserError
from vaezoo.progress import progress

OFFLINE = (
    "dataset=dsprites (rendered) and dataset=digits need no files, and Debian's package dataset-fashion-mnist brings "
    "those of dataset=fashionmnist."
)


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
    unpacked: tuple[str, ...] = ()  # folders that stand in its place, where the source reads them as well

    @property
    def names(self) -> tuple[str, ...]:
        """All names that it may have in a folder."""
        return (self.name, *self.other_names, *([self.name.removesuffix(".gz")] if self.payload_md5 else []))

    def found_in(self, place: Path) -> Path | None:
        """The file in a folder, or what it was unpacked to, which `place` itself may be."""
        if file := next((place / name for name in self.names if (place / name).is_file()), None):
            return file
        folders = [at for name in self.unpacked for at in (place / name, place) if at.name == Path(name).name]
        return next((folder for folder in folders if folder.is_dir()), None)

    @property
    def checksums(self) -> dict[str, str]:
        """Those that are known, by algorithm, the one to trust most first."""
        known = {"sha256": self.sha256, "md5": self.md5, "payload_md5": self.payload_md5}
        return {algorithm: value for algorithm, value in known.items() if value}

    def __str__(self) -> str:
        known = [f"{self.size:,} bytes"] if self.size else []
        known += [f"MD5 {self.md5}"] if self.md5 else []
        return f"{self.name} ({', '.join(known)})" if known else self.name


@dataclass(frozen=True)
class DataFiles:
    """The files of one data set, all in one folder."""

    dataset: str  # "mnist": its folder in the data folder, and its name in messages
    files: tuple[DataFile, ...]  # none: it comes with a library
    homepage: str  # where a person finds them
    licence: str
    mirrors: tuple[str, ...] = ()  # beginnings of addresses, the best first; without one they are fetched by hand
    # Where other software keeps them: absolute, relative to the data folder, or below an environment variable.
    folders: tuple[str, ...] = ()
    optional: bool = False  # the set can be had without them

    def places(self, path: str | None) -> list[Path]:
        """The folders that are looked through: `path` alone, where one is given."""
        if path is not None:
            return [Path(path).expanduser()]
        folders = [os.path.expandvars(folder) for folder in (self.dataset, *self.folders)]
        # A variable that is not set leaves its name behind.
        return [data_folder() / folder for folder in folders if "$" not in folder]

    def found_in(self, place: Path) -> dict[str, Path]:
        """Those of the files that lie in a folder; `place` may also be the only file itself, whatever its name."""
        if place.is_file() and len(self.files) == 1:
            return {self.files[0].name: place}
        return {file.name: at for file in self.files if (at := file.found_in(place))}

    def locate(self, path: str | None = None, download: bool = False) -> dict[str, Path]:
        """Where each file lies, in the first folder that has all of them.

        Where none has, `download` fetches them into the first folder; else it is a UserError.
        """
        places = self.places(path)
        found = max(map(self.found_in, places), key=len)  # the first of those that have most
        if len(found) == len(self.files):
            return found
        if download:
            return self.fetch(places[0])
        advice = " dataset.download=true fetches them." if self.mirrors else ""
        raise self.missing(found, f"Looked in: {', '.join(map(str, places))}", places[0], advice)

    def fetch(self, folder: Path) -> dict[str, Path]:
        """Download what is not in the folder yet. Processes that want the same wait for the first of them."""
        mirrors = list(self.mirrors)
        with sole_writer(folder, f"dataset={self.dataset}: fetching its files"):
            for file in self.files:
                if file.name in (found := self.found_in(folder)):
                    continue
                if not mirrors:
                    raise self.missing(found, "No address is known from which a program may fetch them", folder)
                addresses = [mirror + file.name for mirror in mirrors]
                try:
                    helped = fetch(folder / file.name, addresses, file.size, partial(fault_of_download, file))
                except Failed as failed:
                    raise self.missing(found, f"Could not fetch {file.name}: {failed}", folder) from failed
                mirrors.insert(0, mirrors.pop(helped))  # the others may cost a time-out for each file
        return self.found_in(folder)

    def missing(self, found: Mapping[str, Path], why: str, folder: Path, advice: str = "") -> UserError:
        lacking = ",\n  ".join(str(file) for file in self.files if file.name not in found)
        return UserError(
            f"dataset={self.dataset}: not found: {lacking}.\n{why}.\n"
            f"Put the files into {folder}; they come from {self.homepage}.{advice}\n"
            f"Without a network: {OFFLINE}"
        )


def reads(files: DataFiles | Callable[..., DataFiles]) -> Callable[[Any], Any]:
    """Marks a source with the files that it reads, or with a function of its options that says which.

    `python -m vaezoo.data` learns from it what to look for and to fetch.
    """

    def mark(source: Any) -> Any:
        source.files = files
        return source

    return mark


def refuse_pages(dataset: str, file: Path) -> None:
    """Failed downloads leave other things under a file's name; they are told apart by their first bytes."""
    with file.open("rb") as stream:
        if is_page(stream.read(512)):
            raise UserError(f"dataset={dataset}: {file} is a web page or a pointer, not data; a download has failed.")


def checksum(file: Path, algorithm: str, fresh: bool = False) -> str:
    """The "md5" or "sha256" of a file, or the "payload_md5" of what it holds compressed, in hexadecimal.

    It is remembered in the data folder for as long as the file's size and time stay, so that the jobs of a sweep do
    not read gigabytes each; `fresh` reads them all the same.
    """
    before = identity_on_disk(file)
    memory = data_folder() / ".checksums" / f"{hashlib.sha256(before['file'].encode()).hexdigest()[:16]}.json"
    known = before | recalled(memory, before)
    if fresh or algorithm not in known:
        known[algorithm] = hashed(file, algorithm)
        if identity_on_disk(file) == before:
            remember(memory, known)
    return known[algorithm]


def identity_on_disk(file: Path) -> dict[str, str]:
    """What changes when a file does."""
    status = file.stat()
    return {"file": str(file.absolute()), "size": str(status.st_size), "mtime_ns": str(status.st_mtime_ns)}


def recalled(memory: Path, identity: Mapping[str, str]) -> dict[str, str]:
    try:
        known = json.loads(memory.read_text())
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) and identity.items() <= known.items() else {}


def remember(memory: Path, known: Mapping[str, str]) -> None:
    beside = memory.with_suffix(f".{os.getpid()}")
    try:
        memory.parent.mkdir(parents=True, exist_ok=True)
        beside.write_text(json.dumps(known))
        beside.replace(memory)
    except OSError:
        pass  # where nothing can be written, it is read again next time


def hashed(file: Path, algorithm: str) -> str:
    digest = hashlib.new(algorithm.removeprefix("payload_"), usedforsecurity=False)
    with file.open("rb") as stored, progress(f"checking {file.name}", file.stat().st_size, "B") as bar:
        compressed = algorithm.startswith("payload_") and stored.read(2) == b"\x1f\x8b"
        stored.seek(0)
        stream: IO[bytes] = gzip.GzipFile(fileobj=stored) if compressed else stored  # type: ignore[assignment]
        while chunk := stream.read(2**20):
            digest.update(chunk)
            bar.update(stored.tell() - bar.n)
    return digest.hexdigest()


def verify(dataset: str, file: Path, expected: DataFile, fresh: bool = False) -> dict[str, str]:
    """The checksum of a file, by algorithm, after it turned out to be the published one, where one is known."""
    refuse_pages(dataset, file)
    algorithm = "payload_md5" if expected.payload_md5 else next(iter(expected.checksums), "md5")
    try:
        found = checksum(file, algorithm, fresh)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise UserError(f"dataset={dataset}: {file} is damaged ({error}). Fetch it again.") from error
    if fault := difference(file, expected, algorithm, found):
        raise UserError(
            f"dataset={dataset}: {file} {fault}. It is another file, or damaged;"
            " dataset.verify=false takes it as it is."
        )
    return {algorithm: found}


def difference(file: Path, expected: DataFile, algorithm: str, found: str) -> str | None:
    """In what a file is not the expected one."""
    size, wanted = file.stat().st_size, expected.checksums.get(algorithm)
    sizes = f"{size:,} bytes, expected {expected.size:,}" if expected.size not in (None, size) else ""
    if wanted is None:
        return f"has {sizes}" if sizes else None
    if found == wanted.lower():
        return None
    held = "holds data of the MD5" if algorithm == "payload_md5" else f"has the {algorithm.upper()}"
    return f"{held} {found}, expected {wanted}" + (f" ({sizes})" if sizes else "")


def fault_of_download(expected: DataFile, file: Path) -> str | None:
    """What is wrong with a file that a mirror has sent; it must be the published one to the byte."""
    algorithm = next(iter(expected.checksums), "md5")
    try:
        return difference(file, expected, algorithm, hashed(file, algorithm))
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        return f"is damaged ({error})"


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
