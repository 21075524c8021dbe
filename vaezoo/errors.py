"""Errors for mistakes of the user, and how commands end: with a line in place of a traceback.

Raise `UserError` where the mistake is found. The message names the key or file and its value, and says what is allowed
and what to do. The commands print the message alone and exit with status 2. They outlive their terminal.
"""

import errno
import io
import os
import re
import signal
import sys
import traceback
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
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
    match = find_nearest(name, list(names))
    return f" Did you mean '{match}'?" if match else ""


def find_nearest(name: str, names: Sequence[str]) -> str:
    """Return the name that is probably meant: the same but for capitals and signs, or with a beginning that is missing
    or too much (`lr` for `optimizer.lr`, `model.latent.dim` for `latent.dim`), or a similar one; "" where none is."""
    written = simplify(name)
    ends = [other for other in names if re.split(r"[./]", other)[-1] == name]
    tails = [name.split(".", place)[-1] for place in range(1, name.count(".") + 1)]
    return next(
        iter(
            [
                *(other for other in names if simplify(other) == written),
                *sorted(ends, key=len),
                *(tail for tail in tails if tail in names and "." in tail),
                *get_close_matches(name, names, n=1, cutoff=0.5),
            ]
        ),
        "",
    )


def simplify(name: str) -> str:
    """Return a name in small letters without signs: "betavae" for "Beta-VAE"."""
    return re.sub(r"[\W_]", "", name.lower())


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


def describe_build_error(error: BaseException) -> str:
    """Return in a line why Hydra could not build a part: which, and the error with its line in the file of the part.

    Hydra's own message hides an error in the import of the file. A UserError is its message alone.
    """
    names = re.findall(r"target '([\w.]+)'", str(error)) or ["a part of the configuration"]
    while error.__cause__ is not None and not isinstance(error, UserError):
        error = error.__cause__
    if isinstance(error, UserError):
        return str(error)
    frames = [line for line in traceback.extract_tb(error.__traceback__) if not line.filename.startswith("<")]
    place = f" ({frames[-1].filename}, line {frames[-1].lineno})" if frames else ""
    return f"{names[0]} cannot be built: {type(error).__name__}: {error}{place}"


def report(error: UserError) -> NoReturn:
    """Print the message alone and end with status 2."""
    print(f"vaezoo: {make_printable(str(error))}", file=sys.stderr)
    sys.exit(2)


class LenientFile(io.FileIO):
    """A file that loses what it cannot write, because no run may depend on what it prints.

    The terminal may be closed, the reader of a pipe may be gone, the disk of a log may be full.
    """

    def write(self, data: "bytes | bytearray | memoryview") -> int:  # type: ignore[override]
        """Return the number of bytes written, or lost."""
        try:
            return super().write(data)
        except OSError:
            return len(data)


def outlive_terminal() -> None:
    """Let standard output and standard error lose what cannot be written, and replace letters that they lack by "?".

    Streams that are not the process's own, such as those of a notebook, stay as they are.
    """
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # The shell closed it: `2>&-`.
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115 - it stays open as long as the process
        elif stream is getattr(sys, f"__{name}__") and not isinstance(getattr(stream.buffer, "raw", None), LenientFile):
            stream.flush()
            lenient = io.TextIOWrapper(
                io.BufferedWriter(LenientFile(stream.fileno(), "wb", closefd=False)),  # type: ignore[type-var]
                encoding=stream.encoding,
                errors="replace",
                line_buffering=stream.line_buffering,
                write_through=stream.write_through,
            )
            setattr(sys, name, lenient)
            setattr(sys, f"__{name}__", lenient)


@contextmanager
def command(then: str = "") -> Iterator[None]:
    """Run a command, and report in a line: mistakes of the user, what cannot be written, and Ctrl-C.

    `then` says how the command goes on after Ctrl-C.
    """
    if signal.getsignal(signal.SIGINT) == signal.SIG_DFL:  # vaezoo/__init__.py has changed it for the imports.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    outlive_terminal()
    try:
        yield
    except UserError as error:
        report(error)
    except OSError as error:
        if (reason := describe_write_error(error)) is None:
            raise
        report(UserError(reason))
    except KeyboardInterrupt:
        print(f"\ninterrupted by SIGINT{then and f'; {then}'}", file=sys.stderr)
        sys.exit(128 + signal.SIGINT)
