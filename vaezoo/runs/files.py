"""Files that appear whole or not at all."""

import json
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np


def write_whole(path: Path, write: Callable[[Path], Any]) -> None:
    """Let `write` fill a file beside `path`, then rename it: a reader never sees half a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # The ending stays, since some writers choose their format, or add to the name, by it.
    beside = path.with_name(f".{path.stem}.{os.getpid()}.partial{path.suffix}")
    try:
        write(beside)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def remove_unfinished(folder: Path) -> None:
    """What a killed process was writing in the folder of a run. Only its own places: it may lie among other files."""
    for place in ("", ".hydra", "checkpoints", "figures", "figures/over_time"):
        for beside in (folder / place).glob(".*.partial*"):
            beside.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    write_whole(path, lambda beside: beside.write_text(text))


def write_json(path: Path, value: Any) -> None:
    """Numbers that JSON lacks are written as the strings "nan", "inf" and "-inf"."""
    write_text(path, json.dumps(to_plain(value), indent=2, allow_nan=False) + "\n")


def write_arrays(path: Path, arrays: "dict[str, np.ndarray]") -> None:
    import numpy as np

    write_whole(path, lambda beside: np.savez(beside, **arrays))  # type: ignore[arg-type]


def to_plain(value: Any) -> Any:
    """The value in JSON's own types."""
    if isinstance(value, dict):
        return {str(key): to_plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_plain(item) for item in value]
    if hasattr(value, "tolist"):  # numpy's arrays and scalars, without importing numpy
        return to_plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)
