"""Fetch one file from the first of several servers that has it, complete and with the right content, or not at all."""

import logging
from collections.abc import Callable, Sequence
from pathlib import Path

import requests

from vaezoo.data.files.lock import check_space, check_writing
from vaezoo.progress import progress

log = logging.getLogger(__name__)

TIMEOUT = 10  # seconds without an answer
ATTEMPTS = 2  # at each server
BLOCK = 2**16  # bytes
PAGES = (b"<!doctype", b"<html", b"version https://git-lfs")  # how files begin that servers send instead of data


class FetchError(Exception):
    """An attempt that did not bring the file; `final` where the same server would give the same answer again."""

    def __init__(self, reason: str, *, final: bool = False) -> None:
        super().__init__(reason)
        self.final = final


def fetch_file(file: Path, addresses: Sequence[str], size: int | None, check: Callable[[Path], str | None]) -> int:
    """Download a file and return the index of the address that had it.

    What has arrived stays in a .part file. The next attempt continues it: at the same server, at the next one, or when
    the command is repeated. `check` returns what is wrong with a complete file, which is then deleted, or None. `size`
    is in bytes. Raises FetchError, with the reason for each address, where no address had the file.
    """
    part = file.with_name(f"{file.name}.part")
    reasons = []
    for i, address in enumerate(addresses):
        log.info("Fetching %s", address)
        for _ in range(ATTEMPTS):
            try:
                complete_part(address, part, size)
                if fault := check(part):
                    part.unlink()
                    raise FetchError(fault)
            except FetchError as error:
                reason = f"{address}: {error}"
                if error.final:
                    break
            else:
                with check_writing(file.parent, f"fetching {file.name}"):
                    part.replace(file)
                return i
        reasons.append(reason)
    raise FetchError(";\n  ".join(reasons))


def complete_part(address: str, part: Path, size: int | None) -> None:
    """Download what `part` lacks; `size` is the length of the whole file in bytes, if known."""
    have = part.stat().st_size if part.is_file() else 0
    if have and have == size:
        return
    # A compressed answer would have another length, and could not be continued in the middle.
    headers = {"Accept-Encoding": "identity", "User-Agent": "vaezoo"}
    if have:
        headers["Range"] = f"bytes={have}-"
    try:
        with requests.get(address, headers=headers, stream=True, timeout=TIMEOUT) as answer:
            if answer.status_code == 416:  # Nothing follows `have`: the part is complete, or belongs to another file.
                if answer.headers.get("Content-Range") == f"bytes */{have}":
                    return
                part.unlink()
                raise FetchError("does not go on where the download was interrupted")
            if not answer.ok:
                reason = f"HTTP {answer.status_code} {answer.reason}".rstrip()
                raise FetchError(reason, final=answer.status_code < 500)
            if not answer.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
                have = 0  # The server does not know ranges and sends the whole file.
            write_answer(answer, part, have, size)
    except requests.RequestException as error:
        raise FetchError(describe_failure(error)) from error


def write_answer(answer: requests.Response, part: Path, have: int, size: int | None) -> None:
    """Write the answer of a server behind the first `have` bytes of `part`."""
    task = f"fetching {part.stem}"
    length = answer.headers.get("Content-Length")
    total = size if length is None else have + int(length)
    if size is not None and total != size:
        raise FetchError(f"has a file of {total:,} bytes, not {size:,}", final=True)
    missing = (total or 0) - have
    check_space(part.parent, task, missing)
    with (
        check_writing(part.parent, task, missing),
        part.open("ab" if have else "wb") as stream,
        progress(task, total or 0, "B") as bar,
    ):
        bar.update(have)
        try:
            for block in answer.iter_content(BLOCK):
                if not have and is_page(block):
                    raise FetchError("sent a web page or a pointer, not data", final=True)
                stream.write(block)
                have += len(block)
                bar.update(len(block))
        except requests.RequestException as error:
            raise FetchError(f"the connection broke after {have:,} bytes") from error
    if total is not None and have != total:
        raise FetchError(f"sent {have:,} of {total:,} bytes")


def is_page(beginning: bytes) -> bool:
    """Return whether a file begins like a web page or like a pointer of Git LFS."""
    return beginning[:512].removeprefix(b"\xef\xbb\xbf").lstrip().lower().startswith(PAGES)


def describe_failure(error: requests.RequestException) -> str:
    """Return in a few words why there was no answer."""
    if isinstance(error, requests.Timeout):
        return f"no answer within {TIMEOUT} s"
    if isinstance(error, requests.exceptions.SSLError):
        return "its certificate is not accepted"
    if isinstance(error, requests.ConnectionError):
        return "no connection"
    return type(error).__name__
