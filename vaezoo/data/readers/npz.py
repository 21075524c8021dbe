"""Arrays inside npz archives, read a few entries at a time and as plain numbers: no pickle is ever loaded."""

import zipfile
import zlib
from pathlib import Path
from typing import IO

import numpy as np

from vaezoo.data.readers.sequential import SequentialArray
from vaezoo.errors import UserError
from vaezoo.runs.limits import check_archive

ZIP_ERRORS = (zipfile.BadZipFile, zlib.error, EOFError)  # what reading a damaged archive may raise


class NpzArray(SequentialArray):
    """The array `name` of an archive.

    `shape` and `dtype` are what it must have: None allows any, also for single axes. Raises UserError where it has
    others or is not there.
    """

    def __init__(
        self, dataset: str, file: Path, name: str, shape: tuple[int | None, ...] | None, dtype: np.dtype | None
    ) -> None:
        self.dataset, self.file, self.name = dataset, file, name
        self.open()
        wanted = self.shape if shape is None else shape
        fits = len(self.shape) == len(wanted) and all(b in (None, a) for a, b in zip(self.shape, wanted, strict=True))
        if dtype not in (None, self.dtype) or not fits:
            expected = f"{dtype} {str(wanted).replace('None', 'any')}"
            raise UserError(f"dataset={dataset}: {name} in {file} is {self.dtype} {self.shape}, expected {expected}.")

    def open(self) -> None:
        check_archive(self.file)
        archive = zipfile.ZipFile(self.file)
        names = [member.removesuffix(".npy") for member in archive.namelist()]
        if f"{self.name}.npy" not in archive.namelist():
            present = ", ".join(names) or "nothing"
            raise UserError(f"dataset={self.dataset}: {self.file} has no member {self.name}, only {present}.")
        self.stream = archive.open(f"{self.name}.npy")
        self.shape, self.dtype = read_header(self.stream, self.name)
        self.beginning, self.position = self.stream.tell(), 0


def read_header(stream: IO[bytes], name: str) -> tuple[tuple[int, ...], np.dtype]:
    """Return the shape and the type of the array in a .npy stream, which is left at the first value."""
    try:
        if np.lib.format.read_magic(stream) == (1, 0):
            shape, fortran_order, dtype = np.lib.format.read_array_header_1_0(stream)
        else:
            shape, fortran_order, dtype = np.lib.format.read_array_header_2_0(stream)
    except ValueError as error:
        raise zipfile.BadZipFile(f"{name} is no array: {error}") from error
    if fortran_order and len(shape) > 1:
        raise zipfile.BadZipFile(f"{name} is stored column by column")
    return shape, dtype
