"""Write files so that they appear whole or not at all."""

import json
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np


def write_whole(path: Path, write: Callable[[Path], Any]) -> None:
    """Write `path` through a partial file in its folder that is renamed in the end, so that no reader sees half a file.

    `write` gets the path of the partial file and fills it. An OSError names `path`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # The partial file keeps the suffix, because some writers choose their format by it, or add it where it is missing.
    partial = path.with_name(f".{path.stem}.{os.getpid()}.partial{path.suffix}")
    try:
        write(partial)
        sync(partial)
        partial.replace(path)
    except OSError as error:
        if error.filename in (None, str(partial)):
            error.filename = str(path)  # An error of a full disk names no file.
        raise
    finally:
        partial.unlink(missing_ok=True)


def sync(path: Path) -> None:
    """Wait until the content of a file is on the disk; a file that was renamed before could be empty after a crash."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def remove_unfinished(folder: Path) -> None:
    """Remove the partial files that a killed process left in the folder of a run.

    Only the subfolders of a run are searched, because the folder may also hold the user's own files.
    """
    for subfolder in ("", ".hydra", "checkpoints", "figures", "figures/over_time"):
        for partial in (folder / subfolder).glob(".*.partial*"):
            partial.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file whole."""
    write_whole(path, lambda partial: partial.write_text(text, encoding="utf-8"))


def write_json(path: Path, value: Any) -> None:
    """Write a value as JSON; numbers that JSON lacks become the strings "nan", "inf" and "-inf"."""
    write_text(path, json.dumps(to_plain(value), indent=2, allow_nan=False) + "\n")


def write_arrays(path: Path, arrays: "dict[str, np.ndarray]") -> None:
    """Write named arrays as an .npz file."""
    import numpy as np

    write_whole(path, lambda partial: np.savez(partial, **arrays))  # type: ignore[arg-type]


def to_plain(value: Any) -> Any:
    """Return the value in the types of JSON; numbers that are not finite, and objects of other types, as strings."""
    if isinstance(value, dict):
        return {str(key): to_plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_plain(item) for item in value]
    if hasattr(value, "tolist"):  # arrays and scalars of numpy, recognised without importing it
        return to_plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)
