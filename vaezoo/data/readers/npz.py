"""Arrays inside npz archives, read a few rows at a time and as plain numbers: no pickle is ever loaded."""

import zipfile
import zlib
from pathlib import Path
from typing import IO

import numpy as np

from vaezoo.data.readers.rows import Rows
from vaezoo.errors import UserError

DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError)  # what reading a damaged archive may raise


class Member(Rows):
    """The array `name` of an archive, which must have that shape and type; None allows any."""

    def __init__(
        self, dataset: str, file: Path, name: str, shape: tuple[int | None, ...] | None, dtype: np.dtype | None
    ) -> None:
        self.dataset, self.file, self.name = dataset, file, name
        self.open()
        wanted = self.shape if shape is None else shape
        fits = len(self.shape) == len(wanted) and all(b in (None, a) for a, b in zip(self.shape, wanted, strict=True))
        if dtype not in (None, self.dtype) or not fits:
            told = str(wanted).replace("None", "any")
            raise UserError(
                f"dataset={dataset}: {name} in {file} is {self.dtype} {self.shape}, expected {dtype} {told}."
            )

    def open(self) -> None:
        archive = zipfile.ZipFile(self.file)
        if f"{self.name}.npy" not in archive.namelist():
            found = ", ".join(member.removesuffix(".npy") for member in archive.namelist())
            raise UserError(
                f"dataset={self.dataset}: {self.file} has no member {self.name}, only {found or 'nothing'}."
            )
        self.stream = archive.open(f"{self.name}.npy")
        self.shape, self.dtype = read_header(self.stream, self.name)
        self.beginning, self.row = self.stream.tell(), 0


def read_header(stream: IO[bytes], name: str) -> tuple[tuple[int, ...], np.dtype]:
    try:
        version = np.lib.format.read_magic(stream)
        if version == (1, 0):
            shape, fortran_order, dtype = np.lib.format.read_array_header_1_0(stream)
        else:
            shape, fortran_order, dtype = np.lib.format.read_array_header_2_0(stream)
    except ValueError as error:
        raise zipfile.BadZipFile(f"{name} is no array: {error}") from error
    if fortran_order and len(shape) > 1:
        raise zipfile.BadZipFile(f"{name} is stored column by column")
    return shape, dtype
