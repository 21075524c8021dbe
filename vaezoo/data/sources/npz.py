"""Arrays inside npz archives, read a few rows at a time and as plain numbers: no pickle is ever loaded."""

import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np

from vaezoo.errors import UserError

DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError)  # what reading a damaged archive may raise


class Member:
    """The array `name` of an archive, which must have that type and shape; None stands for any length.

    Rows asked for in ascending order read the archive once. Pickled copies open it anew, for other processes.
    """

    def __init__(self, dataset: str, file: Path, name: str, shape: tuple[int | None, ...], dtype: np.dtype) -> None:
        self.dataset, self.file, self.name = dataset, file, name
        self.stream: IO[bytes] | None = None
        self.shape, found = self.open()
        fits = len(self.shape) == len(shape) and all(b in (None, a) for a, b in zip(self.shape, shape, strict=True))
        if found != dtype or not fits:
            wanted = str(shape).replace("None", "any")
            raise UserError(f"dataset={dataset}: {name} in {file} is {found} {self.shape}, expected {dtype} {wanted}.")
        self.dtype = dtype
        self.row_bytes = dtype.itemsize * int(np.prod(self.shape[1:]))

    def open(self) -> tuple[tuple[int, ...], np.dtype]:
        """Go to the first row; returns shape and type of the array."""
        archive = zipfile.ZipFile(self.file)
        if f"{self.name}.npy" not in archive.namelist():
            found = ", ".join(member.removesuffix(".npy") for member in archive.namelist())
            raise UserError(
                f"dataset={self.dataset}: {self.file} has no member {self.name}, only {found or 'nothing'}."
            )
        self.stream = archive.open(f"{self.name}.npy")
        shape, dtype = read_header(self.stream, self.name)
        self.beginning, self.row = self.stream.tell(), 0
        return shape, dtype

    def rows(self, start: int, stop: int) -> np.ndarray:
        if self.stream is None:
            self.open()
        assert self.stream is not None
        if start != self.row:
            self.stream.seek(self.beginning + start * self.row_bytes)
        data = self.stream.read((stop - start) * self.row_bytes)
        self.row = stop
        if len(data) < (stop - start) * self.row_bytes:
            raise EOFError(f"{self.name} ends early")
        # Reading to the end also makes zipfile compare the member's checksum.
        if stop == self.shape[0] and self.stream.read(1):
            raise EOFError(f"{self.name} is longer than its header says")
        return np.frombuffer(data, self.dtype).reshape(stop - start, *self.shape[1:])

    def slices(self, rows: int) -> Iterator[np.ndarray]:
        """The whole array, so many rows at a time."""
        for start in range(0, self.shape[0], rows):
            yield self.rows(start, min(start + rows, self.shape[0]))

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "stream": None}


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
