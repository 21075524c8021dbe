"""HDF5 files, opened when they are needed."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from vaezoo.errors import UserError


@contextmanager
def opened(dataset: str, file: Path) -> Iterator[Any]:
    """The file, as h5py sees it; UserError where it is damaged or lacks what is looked for inside."""
    import h5py  # no other set needs it

    try:
        with h5py.File(file, "r") as held:
            yield held
    except (OSError, KeyError, RuntimeError) as error:
        reason = str(error.args[0]) if error.args else type(error).__name__
        raise UserError(f"dataset={dataset}: {file} is damaged, or another file ({reason}).") from error
