"""Getting one file from the first of several servers that has it, whole and as it should be, or not at all."""

import logging
from collections.abc import Callable, Sequence
from pathlib import Path

import requests

from vaezoo.data.files.lock import require_space, writing_to
from vaezoo.progress import progress

log = logging.getLogger(__name__)

TIMEOUT = 10  # seconds without an answer
ATTEMPTS = 2  # at each server
BLOCK = 2**16
PAGES = (b"<!doctype", b"<html", b"version https://git-lfs")  # how things begin that servers send instead of data


class Failed(Exception):
    """Why an attempt has brought nothing; `final` where the same server would say it again."""

    def __init__(self, why: str, *, final: bool = False) -> None:
        super().__init__(why)
        self.final = final


def fetch(to: Path, addresses: Sequence[str], size: int | None, reject: Callable[[Path], str | None]) -> int:
    """Fill the file `to`; returns which address helped. Failed, with the reason of each, where none did.

    What has arrived is kept in a .part file, which the next attempt goes on with, at this server, another one, or when
    the command is given again. `reject` says what is wrong with a complete file, which is then deleted.
    """
    part = to.with_name(f"{to.name}.part")
    reasons = []
    for i, address in enumerate(addresses):
        log.info("Fetching %s", address)
        for _ in range(ATTEMPTS):
            try:
                download(address, part, size)
                if why := reject(part):
                    part.unlink()
                    raise Failed(why)
            except Failed as failed:
                reason = f"{address}: {failed}"
                if failed.final:
                    break
            else:
                with writing_to(to.parent, f"fetching {to.name}"):
                    part.replace(to)
                return i
        reasons.append(reason)
    raise Failed(";\n  ".join(reasons))


def download(address: str, part: Path, size: int | None) -> None:
    """Add to `part` what it lacks; `size` is how long it has to be, where that is known."""
    have = part.stat().st_size if part.is_file() else 0
    if have and have == size:
        return
    # A compressed answer would have another length, and no place to go on from.
    headers = {"Accept-Encoding": "identity", "User-Agent": "vaezoo"}
    if have:
        headers["Range"] = f"bytes={have}-"
    try:
        with requests.get(address, headers=headers, stream=True, timeout=TIMEOUT) as answer:
            if answer.status_code == 416:  # there is nothing after `have`: the part is complete, or of another file
                if answer.headers.get("Content-Range") == f"bytes */{have}":
                    return
                part.unlink()
                raise Failed("does not go on where the download was interrupted")
            if not answer.ok:
                raise Failed(f"HTTP {answer.status_code} {answer.reason}".rstrip(), final=answer.status_code < 500)
            if not answer.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
                have = 0  # the server sends everything
            receive(answer, part, have, size)
    except requests.RequestException as error:
        raise Failed(reason_of(error)) from error


def receive(answer: requests.Response, part: Path, have: int, size: int | None) -> None:
    """Write the answer behind the first `have` bytes of `part`."""
    what = f"fetching {part.stem}"
    length = answer.headers.get("Content-Length")
    total = size if length is None else have + int(length)
    if size is not None and total != size:
        raise Failed(f"has a file of {total:,} bytes, not {size:,}", final=True)
    require_space(part.parent, what, (total or 0) - have)
    with (
        writing_to(part.parent, what, (total or 0) - have),
        part.open("ab" if have else "wb") as stream,
        progress(what, total or 0, "B") as bar,
    ):
        bar.update(have)
        try:
            for block in answer.iter_content(BLOCK):
                if not have and is_page(block):
                    raise Failed("sent a web page or a pointer, not data", final=True)
                stream.write(block)
                have += len(block)
                bar.update(len(block))
        except requests.RequestException as error:
            raise Failed(f"the connection broke after {have:,} bytes") from error
    if total is not None and have != total:
        raise Failed(f"sent {have:,} of {total:,} bytes")


def is_page(beginning: bytes) -> bool:
    """Whether a file begins as a web page or a Git LFS pointer does."""
    return beginning[:512].removeprefix(b"\xef\xbb\xbf").lstrip().lower().startswith(PAGES)


def reason_of(error: requests.RequestException) -> str:
    if isinstance(error, requests.Timeout):
        return f"no answer within {TIMEOUT} s"
    if isinstance(error, requests.exceptions.SSLError):
        return "its certificate is not accepted"
    if isinstance(error, requests.ConnectionError):
        return "no connection"
    return type(error).__name__
