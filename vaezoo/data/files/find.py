"""The files of data sets: their names, the folders where they are looked for, and whether they are the right ones."""

import gzip
import hashlib
import json
import os
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any, NoReturn

from vaezoo.data.files.fetch import FetchError, fetch_file, is_page
from vaezoo.data.files.lock import find_data_folder, lock_data_folder
from vaezoo.errors import UserError
from vaezoo.progress import progress

OFFLINE = (
    "dataset=dsprites (rendered) and dataset=digits need no files, and Debian's package dataset-fashion-mnist brings "
    "those of dataset=fashionmnist."
)
GZIP_ERRORS = (EOFError, zlib.error, gzip.BadGzipFile)  # what a damaged .gz raises


@dataclass(frozen=True)
class DataFile:
    """One published file and its checksums.

    `md5` and `sha256` are of the file as it is published, `payload_md5` is of the decompressed content of a .gz: the
    same bytes are compressed differently in different places, and a decompressed copy is accepted, too.
    """

    name: str  # in its folder, and at the end of the address at each mirror
    size: int | None = None  # bytes
    md5: str | None = None
    sha256: str | None = None
    payload_md5: str | None = None
    other_names: tuple[str, ...] = ()  # names of the same file in other places
    unpacked: tuple[str, ...] = ()  # folders that the file unpacks to and that the source reads instead of it

    @property
    def possible_names(self) -> tuple[str, ...]:
        """Return all names that the file may have in a folder."""
        return (self.name, *self.other_names, *([self.name.removesuffix(".gz")] if self.payload_md5 else []))

    def find_in(self, place: Path) -> Path | None:
        """Return the path of the file in a folder, or of the folder that it was unpacked to, which may be `place`."""
        if file := next((place / name for name in self.possible_names if (place / name).is_file()), None):
            return file
        folders = [path for name in self.unpacked for path in (place / name, place) if path.name == Path(name).name]
        return next((folder for folder in folders if folder.is_dir()), None)

    @property
    def checksums(self) -> dict[str, str]:
        """Return the published checksums by algorithm, the most reliable one first."""
        checksums = {"sha256": self.sha256, "md5": self.md5, "payload_md5": self.payload_md5}
        return {algorithm: value for algorithm, value in checksums.items() if value}

    def __str__(self) -> str:
        facts = [f"{self.size:,} bytes"] if self.size else []
        facts += [f"MD5 {self.md5}"] if self.md5 else []
        return f"{self.name} ({', '.join(facts)})" if facts else self.name


@dataclass(frozen=True)
class DataFiles:
    """The files of one data set, which lie together in one folder."""

    dataset: str  # "mnist": its folder in the data folder, and its name in messages
    files: tuple[DataFile, ...]  # empty where the data set comes with a library
    homepage: str  # where a person finds the files
    licence: str
    mirrors: tuple[str, ...] = ()  # beginnings of addresses, the best first; without one, people fetch the files
    # Where other software keeps the files: absolute, relative to the data folder, or below an environment variable.
    folders: tuple[str, ...] = ()
    optional: bool = False  # the data set can be made without its files

    def list_places(self, path: str | None) -> list[Path]:
        """Return the folders to look in: `path` alone, or the usual ones where it is None."""
        if path is not None:
            return [Path(path).expanduser()]
        folders = [os.path.expandvars(folder) for folder in (self.dataset, *self.folders)]
        # expandvars leaves the name of a variable in place where the variable is not set.
        return [find_data_folder() / folder for folder in folders if "$" not in folder]

    def find_in(self, place: Path) -> dict[str, Path]:
        """Return the paths of the files in a folder by name; `place` may also be the only file, whatever its name."""
        if place.is_file() and len(self.files) == 1:
            return {self.files[0].name: place}
        return {file.name: path for file in self.files if (path := file.find_in(place))}

    def locate(self, path: str | None = None, download: bool = False) -> dict[str, Path]:
        """Return the path of each file, in the first folder that has all of them.

        Where no folder has all of them, `download` fetches them into the first folder. Raises UserError where files are
        missing.
        """
        places = self.list_places(path)
        present = max(map(self.find_in, places), key=len)  # of the first folder that has most of them
        if len(present) == len(self.files):
            return present
        if download:
            return self.fetch_missing(places[0])
        advice = " dataset.download=true fetches them." if self.mirrors else ""
        reason = f"Looked in: {', '.join(map(str, places))}"
        raise UserError(self.describe_missing(present, reason, places[0], advice))

    def fetch_missing(self, folder: Path) -> dict[str, Path]:
        """Download the files that the folder lacks, and return all paths. Other processes wait for the first one."""
        mirrors = list(self.mirrors)
        with lock_data_folder(folder, f"dataset={self.dataset}: fetching its files"):
            for file in self.files:
                if file.name in (present := self.find_in(folder)):
                    continue
                if not mirrors:
                    reason = "No address is known from which a program may fetch them"
                    raise UserError(self.describe_missing(present, reason, folder))
                addresses = [mirror + file.name for mirror in mirrors]
                try:
                    helped = fetch_file(folder / file.name, addresses, file.size, partial(check_download, file))
                except FetchError as error:
                    reason = f"Could not fetch {file.name}: {error}"
                    raise UserError(self.describe_missing(present, reason, folder)) from error
                # The mirror that helped is asked first from now on, because others may cost a time-out for each file.
                mirrors.insert(0, mirrors.pop(helped))
        return self.find_in(folder)

    def describe_missing(self, present: Mapping[str, Path], reason: str, folder: Path, advice: str = "") -> str:
        """Return the message that names each missing file, where it comes from and which folder it belongs into."""
        missing = ",\n  ".join(str(file) for file in self.files if file.name not in present)
        return (
            f"dataset={self.dataset}: not found: {missing}.\n{reason}.\n"
            f"Put the files into {folder}; they come from {self.homepage}.{advice}\n"
            f"Without a network: {OFFLINE}"
        )


def reads(files: DataFiles | Callable[..., DataFiles]) -> Callable[[Any], Any]:
    """Mark a source with the files that it reads, or with a function that returns them for the options of the source.

    `python -m vaezoo.data` learns from this mark which files to look for and to fetch.
    """

    def mark(source: Any) -> Any:
        source.files = files
        return source

    return mark


# ---- whether a file is the right one


def refuse_pages(dataset: str, file: Path) -> None:
    """Raise UserError where a failed download left a web page or a pointer of Git LFS under the name of the file."""
    with file.open("rb") as stream:
        if is_page(stream.read(512)):
            raise UserError(f"dataset={dataset}: {file} is a web page or a pointer, not data; a download has failed.")


@contextmanager
def refuse_damage(dataset: str, file: Path | str, errors: tuple[type[Exception], ...]) -> Iterator[None]:
    """Raise UserError, which names the file, where reading it raises one of these errors."""
    try:
        yield
    except UserError:  # It is a ValueError, which may be among the errors, and has its message already.
        raise
    except errors as error:
        raise UserError(f"dataset={dataset}: {file} is damaged ({error}). Fetch it again.") from error


def refuse_other_file(dataset: str, file: Path, difference: str) -> NoReturn:
    """Raise UserError for a file that is not the published one."""
    raise UserError(
        f"dataset={dataset}: {file} {difference}. It is another file, or damaged;"
        " dataset.verify=false takes it as it is."
    )


def verify_file(dataset: str, file: Path, expected: DataFile, fresh: bool = False) -> dict[str, str]:
    """Return the checksum of a file by algorithm. Raises UserError where it differs from a published one.

    `fresh` reads the file even where its checksum is remembered.
    """
    refuse_pages(dataset, file)
    algorithm = "payload_md5" if expected.payload_md5 else next(iter(expected.checksums), "md5")
    with refuse_damage(dataset, file, GZIP_ERRORS):
        value = get_checksum(file, algorithm, fresh)
    if difference := describe_difference(file, expected, algorithm, value):
        refuse_other_file(dataset, file, difference)
    return {algorithm: value}


def describe_difference(file: Path, expected: DataFile, algorithm: str, value: str) -> str | None:
    """Return how a file with this checksum differs from the published one, None where it does not."""
    size, published = file.stat().st_size, expected.checksums.get(algorithm)
    sizes = f"{size:,} bytes, expected {expected.size:,}" if expected.size not in (None, size) else ""
    if published is None:
        return f"has {sizes}" if sizes else None
    if value == published.lower():
        return None
    subject = "holds data of the MD5" if algorithm == "payload_md5" else f"has the {algorithm.upper()}"
    return f"{subject} {value}, expected {published}" + (f" ({sizes})" if sizes else "")


def check_download(expected: DataFile, file: Path) -> str | None:
    """Return what is wrong with a file that a mirror has sent, None where it is the published one to the byte."""
    algorithm = next(iter(expected.checksums), "md5")
    try:
        return describe_difference(file, expected, algorithm, compute_checksum(file, algorithm))
    except GZIP_ERRORS as error:
        return f"is damaged ({error})"


def read_payload(dataset: str, file: Path, md5: str | None) -> bytes:
    """Return the decompressed content of a small file. Raises UserError where it has not this MD5; None allows any."""
    refuse_pages(dataset, file)
    raw = file.read_bytes()
    with refuse_damage(dataset, file, GZIP_ERRORS):
        payload = gzip.decompress(raw) if file.suffix == ".gz" else raw
    value = hashlib.md5(payload, usedforsecurity=False).hexdigest()
    if md5 not in (None, value):
        refuse_other_file(dataset, file, f"holds data of the MD5 {value}, expected {md5}")
    return payload


# ---- checksums, which are remembered


def get_checksum(file: Path, algorithm: str, fresh: bool = False) -> str:
    """Return the "md5" or "sha256" of a file, or the "payload_md5" of its decompressed content, in hexadecimal.

    Checksums are remembered in the data folder as long as the size and the time of the file stay the same, because the
    jobs of a sweep would otherwise read gigabytes each. `fresh` reads the file in any case.
    """

    def describe() -> dict[str, str]:
        # The time of the last change of the file's record also notices bytes that were replaced under an old date.
        return describe_status(file) | {"ctime_ns": str(file.stat().st_ctime_ns)}

    return compute_once(describe, algorithm, lambda: compute_checksum(file, algorithm), fresh)


def compute_once(
    describe: Callable[[], dict[str, str]], algorithm: str, compute: Callable[[], str], fresh: bool = False
) -> str:
    """Return the checksum that `compute` returns, or the remembered one as long as `describe` returns the same status.

    The status has the path under "file". `fresh` computes it in any case.
    """
    status = describe()
    memory = find_data_folder() / ".checksums" / f"{hashlib.sha256(status['file'].encode()).hexdigest()[:16]}.json"
    checksums = status | recall_checksums(memory, status)
    if fresh or algorithm not in checksums:
        checksums[algorithm] = compute()
        if describe() == status:
            remember_checksums(memory, checksums)
    return checksums[algorithm]


def describe_status(file: Path) -> dict[str, str]:
    """Return the path, size and time of a file or folder, of which one changes when its bytes do."""
    status = file.stat()
    return {"file": str(file.absolute()), "size": str(status.st_size), "mtime_ns": str(status.st_mtime_ns)}


def recall_checksums(memory: Path, status: Mapping[str, str]) -> dict[str, str]:
    """Return what is remembered of a file that has this status; nothing where its status was another one."""
    try:
        remembered = json.loads(memory.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return remembered if isinstance(remembered, dict) and status.items() <= remembered.items() else {}


def remember_checksums(memory: Path, checksums: Mapping[str, str]) -> None:
    """Write the status and the checksums of a file into the data folder."""
    temporary = memory.with_suffix(f".{os.getpid()}")
    try:
        memory.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(json.dumps(checksums), encoding="utf-8")
        temporary.replace(memory)
    except OSError:
        pass  # Where nothing can be written, the file is read again next time.


def compute_checksum(file: Path, algorithm: str) -> str:
    """Return a checksum of a file, in hexadecimal, after reading all of it; `algorithm` as for `get_checksum`."""
    digest = hashlib.new(algorithm.removeprefix("payload_"), usedforsecurity=False)
    with file.open("rb") as stored, progress(f"checking {file.name}", file.stat().st_size, "B") as bar:
        stream = decompress(stored) if algorithm.startswith("payload_") else stored
        while chunk := stream.read(2**20):
            digest.update(chunk)
            bar.update(stored.tell() - bar.n)
    return digest.hexdigest()


def decompress(stored: IO[bytes]) -> IO[bytes]:
    """Return a stream of the content of an open file, decompressed where it begins as gzip does."""
    compressed = stored.read(2) == b"\x1f\x8b"
    stored.seek(0)
    return gzip.GzipFile(fileobj=stored) if compressed else stored  # type: ignore[return-value]
