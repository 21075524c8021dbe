"""The folder of all data sets: where it lies, and how one process at a time writes whole files into it."""

import errno
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import Timeout

from vaezoo.errors import UserError
from vaezoo.runs.file_locks import acquire_lock, describe_holder

log = logging.getLogger(__name__)

# Errors of the operating system that come from the folder and not from the program that writes there.
FOLDER_ERRORS = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.EEXIST, errno.ENOTDIR)


def find_data_folder() -> Path:
    """Return the folder of all data sets: $VAEZOO_DATA, or ~/.cache/vaezoo where that is not set.

    A user without a home folder, as in many containers, gets a folder of temporary files.
    """
    if configured := os.environ.get("VAEZOO_DATA"):
        return Path(configured).expanduser()
    try:
        return Path.home() / ".cache" / "vaezoo"
    except RuntimeError:
        return Path(tempfile.gettempdir()) / f"vaezoo-{os.getuid()}"  # Windows always has a home folder.


@contextmanager
def lock_data_folder(folder: Path, task: str) -> Iterator[None]:
    """Let one process at a time work in a folder; the others wait. A missing folder is created.

    `task` says in messages what the process does there. A process that had to wait should look whether there is
    anything left to do. The lock of a process that was killed is released.
    """
    with check_writing(folder, task):
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / ".lock"
        try:
            lock = acquire_lock(path, timeout=0)
        except Timeout:
            log.info("%s: another process is at it, waiting for it to finish.%s", task, describe_holder(path))
            lock = acquire_lock(path, timeout=-1)
    try:
        yield
    finally:
        lock.release()


@contextmanager
def check_writing(folder: Path, task: str, size: int = 0) -> Iterator[None]:
    """Raise UserError where the folder does not accept what is written; `size` is the number of bytes, if known."""
    try:
        yield
    except OSError as error:
        if error.errno not in FOLDER_ERRORS:
            raise
        reason = f"cannot be written to ({error.strerror})"
        raise UserError(describe_refusal(folder, task, size, reason)) from error


def check_space(folder: Path, task: str, size: int) -> None:
    """Raise UserError where the disk of an existing folder has less than `size` bytes left."""
    free = shutil.disk_usage(folder).free
    if free < size:
        raise UserError(describe_refusal(folder, task, size, f"has room for {free:,}"))


def describe_refusal(folder: Path, task: str, size: int, reason: str) -> str:
    """Return the message that the folder does not accept what is written, and what to do about it."""
    needed = f" needs {size:,} bytes in {folder}, which" if size else f": {folder}"
    return f"{task}{needed} {reason}. Mend that, or set $VAEZOO_DATA to another folder for all data sets."
