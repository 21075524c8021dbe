"""HDF5 files, opened when they are needed."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from vaezoo.errors import UserError


@contextmanager
def open_hdf5(dataset: str, file: Path) -> Iterator[Any]:
    """Open a file with h5py. Raises UserError where it is damaged or lacks what the body looks for."""
    import h5py  # Imported here because most data sets do without it.

    try:
        with h5py.File(file, "r") as contents:
            yield contents
    except (OSError, KeyError, RuntimeError) as error:
        reason = str(error.args[0]) if error.args else type(error).__name__
        raise UserError(f"dataset={dataset}: {file} is damaged, or another file ({reason}).") from error
