"""Locks of folders, also on file systems and systems without flock, and between machines that share a folder.

Where flock works, the operating system holds the lock and ends it with its process. Elsewhere the lock is a file with
the process number and the host of its holder, which is created exclusively. On the same host, the file of a process
that has ended is removed. That of another host is respected, because nobody here can know whether it still runs.
"""

import errno
from pathlib import Path

from filelock import BaseFileLock, FileLock, SoftFileLock

# What file systems without flock answer, such as some network file systems and FUSE.
NO_FLOCK = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP)


def acquire_lock(path: Path, timeout: float) -> BaseFileLock:
    """Return the lock of a path, held; a negative `timeout`, in seconds, waits without end.

    Raises filelock.Timeout if another process holds it for longer.
    """
    noted = SoftFileLock(name_note(path), timeout=timeout)
    if FileLock is SoftFileLock:  # Python has no fcntl here, and this is not Windows.
        noted.acquire()
        return noted
    lock = FileLock(path, timeout=timeout, fallback_to_soft=False)
    try:
        lock.acquire()
    except OSError as error:
        if error.errno not in NO_FLOCK:
            raise
        noted.acquire()
        return noted
    if name_note(path).exists():  # A host whose mount lacks flock may hold the lock.
        try:
            noted.acquire()
            noted.release()
        except BaseException:
            lock.release()
            raise
    return lock


def name_note(path: Path) -> Path:
    """Return the file that names the holder of a lock where flock is missing."""
    return path.with_name(f"{path.name}.owner")


def describe_holder(path: Path) -> str:
    """Return a sentence about the holder that a file names, and what to do if it has ended; "" without such a file."""
    try:
        process, host, *_ = name_note(path).read_text(encoding="utf-8", errors="replace").splitlines()
    except (OSError, ValueError):
        return ""
    return f" {name_note(path)} names process {process} on {host}. Remove this file if that process has ended."
