"""What all commands do with their terminal: they outlive it, and end with a line in place of a traceback."""

import io
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from vaezoo.errors import UserError, describe_write_error, report


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
