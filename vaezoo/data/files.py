"""Where the files of data sets are looked for, and what is said when they are not there or not what they should be."""

import gzip
import hashlib
import os
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from vaezoo.errors import UserError

OFFLINE = "dataset=dsprites (rendered) and dataset=digits need no files."


def data_folder() -> Path:
    """One folder for all data sets: $VAEZOO_DATA, or the user's cache."""
    given = os.environ.get("VAEZOO_DATA")
    return Path(given).expanduser() if given else Path.home() / ".cache" / "vaezoo"


def locate(name: str, files: Sequence[str], path: str | None, folders: Sequence[Path], source: str) -> dict[str, Path]:
    """The first folder that has all `files`, each compressed (.gz) or not; with a `path`, that folder alone.

    `folders` are looked through besides the data folder's own NAME; `source` says where the files come from.
    """
    places = [Path(path).expanduser()] if path is not None else [data_folder() / name, *folders]
    fewest: list[str] = list(files)
    for place in places:
        found = {file: at for file in files if (at := first_existing(place / file, place / f"{file}.gz"))}
        if len(found) == len(files):
            return found
        fewest = min(fewest, [file for file in files if file not in found], key=len)
    looked = ", ".join(map(str, places))
    raise UserError(
        f"dataset={name}: {', '.join(f'{file}.gz' for file in fewest)} not found. Looked in: {looked}. "
        f"Put the files into {places[0]}; they come from {source}. Without a network: {OFFLINE}"
    )


def first_existing(*candidates: Path) -> Path | None:
    return next((candidate for candidate in candidates if candidate.is_file()), None)


def read_payload(name: str, file: Path, md5: str | None) -> bytes:
    """What the file holds, decompressed, if it has that MD5 (None: whatever it has).

    The payload is checked and not the archive: the same bytes are compressed differently from one place to another.
    """
    raw = file.read_bytes()
    if raw[:64].lstrip().lower().startswith((b"<!doctype", b"<html", b"version https://git-lfs")):
        raise UserError(f"dataset={name}: {file} is a web page or a pointer, not data; a download has failed.")
    try:
        payload = gzip.decompress(raw) if file.suffix == ".gz" else raw
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise UserError(f"dataset={name}: {file} is damaged ({error}). Fetch it again.") from error
    found = hashlib.md5(payload, usedforsecurity=False).hexdigest()
    if md5 is not None and found != md5:
        raise UserError(
            f"dataset={name}: {file} holds data of the MD5 {found}, expected {md5}. It is another file, or damaged;"
            " dataset.verify=false takes it as it is."
        )
    return payload


def identity(payloads: Mapping[str, bytes]) -> str:
    """One checksum for all files together, in the order of their names."""
    digest = hashlib.sha256()
    for file in sorted(payloads):
        digest.update(hashlib.sha256(payloads[file]).digest())
    return digest.hexdigest()
