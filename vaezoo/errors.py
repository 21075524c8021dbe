"""Errors for mistakes of the user, which are reported in one or two lines without a traceback.

Raise `UserError` where the mistake is found. The message names the key or file and its value, and says what is allowed
and what to do. The commands print the message alone and exit with status 2.
"""

import errno
import re
import sys
from collections.abc import Iterable
from difflib import get_close_matches
from typing import NoReturn

# Errors of a place that no file can be written to, such as a folder of somebody else.
UNWRITABLE = (errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG, errno.EIO)


class UserError(ValueError):
    """A mistake in the configuration, on the command line or in a data file, whose message is all the user needs."""


class NotFinite(UserError):
    """A term of the objective that became NaN or infinite; `batch` is the first batch in which it did."""

    def __init__(self, message: str, batch: int) -> None:
        super().__init__(message)
        self.batch = batch


def nearest(name: str, names: Iterable[str]) -> str:
    """Return a hint such as " Did you mean 'dipvae'?", or "" where none of the names is similar."""
    matches = get_close_matches(name, list(names), n=1, cutoff=0.5)
    return f" Did you mean '{matches[0]}'?" if matches else ""


def make_printable(text: str) -> str:
    """Return the text with its control characters, except line breaks and tabs, replaced by question marks.

    Names and messages may come from other people's files, and a terminal obeys control characters. Those that reverse
    the direction of writing are replaced, too.
    """
    return re.sub(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]", "?", text)


def describe_write_error(error: OSError) -> str | None:
    """Return which file cannot be written and why, for a full disk and a folder that may not be written, else None."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return f"There is no space left to write {error.filename or 'the files of this command'}."
    if error.errno in UNWRITABLE:
        return f"{error.filename or 'A file'} cannot be written ({error.strerror})."
    return None


def report(error: UserError) -> NoReturn:
    """Print the message alone and end with status 2."""
    print(f"vaezoo: {make_printable(str(error))}", file=sys.stderr)
    sys.exit(2)
