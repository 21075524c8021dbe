"""The folder that holds all data sets: where it is, and how files come into it whole, by one process at a time."""

import errno
import logging
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from vaezoo.errors import UserError

log = logging.getLogger(__name__)

# What is wrong with a folder, not with the program that writes there.
REFUSALS = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.EEXIST, errno.ENOTDIR)


def data_folder() -> Path:
    """One folder for all data sets: $VAEZOO_DATA, or the user's cache."""
    given = os.environ.get("VAEZOO_DATA")
    return Path(given).expanduser() if given else Path.home() / ".cache" / "vaezoo"


@contextmanager
def sole_writer(folder: Path, what: str) -> Iterator[None]:
    """One process at a time, `what` says what it does there; the others wait. The system frees the lock of a dead one.

    Who has waited should look again whether there is anything left to do.
    """
    with writing_to(folder, what):
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / ".lock")
        try:
            lock.acquire(blocking=False)
        except Timeout:
            log.info("%s: another process is at it, waiting for it to finish.", what)
            lock.acquire()
    try:
        yield
    finally:
        lock.release()


@contextmanager
def writing_to(folder: Path, what: str, size: int = 0) -> Iterator[None]:
    """UserError where the folder does not take what is written; `size` is how many bytes that will be."""
    try:
        yield
    except OSError as error:
        if error.errno not in REFUSALS:
            raise
        raise UserError(refusal(folder, what, size, f"cannot be written to ({error.strerror})")) from error


def require_space(folder: Path, what: str, size: int) -> None:
    """UserError where an existing folder has no room for `size` bytes."""
    free = shutil.disk_usage(folder).free
    if free < size:
        raise UserError(refusal(folder, what, size, f"has room for {free:,}"))


def refusal(folder: Path, what: str, size: int, why: str) -> str:
    needed = f" needs {size:,} bytes in {folder}, which" if size else f": {folder}"
    return f"{what}{needed} {why}. Mend that, or set $VAEZOO_DATA to another folder for all data sets."
