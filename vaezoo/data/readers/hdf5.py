"""HDF5 files, opened when they are needed."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from vaezoo.errors import UserError
from vaezoo.runs.limits import check_claim, require_file


@contextmanager
def open_hdf5(dataset: str, file: Path) -> Iterator[Any]:
    """Open a file with h5py. Raises UserError where it is damaged or lacks what the body looks for."""
    import h5py  # Imported here because most data sets do without it.

    try:
        require_file(file)
        with h5py.File(file, "r") as contents:
            yield contents
    except (OSError, KeyError, RuntimeError) as error:
        reason = str(error.args[0]) if error.args else type(error).__name__
        raise UserError(f"dataset={dataset}: {file} is damaged, or another file ({reason}).") from error


def take_dataset(contents: Any, name: str) -> Any:
    """Return an array of an open file, whose values are not read yet; None where it is missing and not `images`.

    Raises UserError where the values lie in another file, or are fewer than the array claims.
    """
    import h5py

    where = f"{name} in {contents.filename}"
    link = contents.get(name, getlink=True)
    if link is None and name != "images":
        return None
    if link is not None and not isinstance(link, h5py.HardLink):
        raise UserError(f"{where} is a link, and is not followed. Store the array itself.")
    array = contents[name]
    if not isinstance(array, h5py.Dataset):
        raise UserError(f"{where} is a group of arrays, expected one array.")
    if array.external or array.is_virtual:
        raise UserError(f"{where} has its values in another file, which is not read. Store the array itself.")
    if array.shape is None or array.dtype.kind not in "biufOSU":
        raise UserError(f"{where} holds {array.dtype} values, expected numbers or texts.")
    check_claim(where, array.nbytes, array.id.get_storage_size())
    return array
