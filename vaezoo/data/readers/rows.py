"""Arrays in files that can only be read from the beginning, because they are compressed or too large to be held."""

from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np


class Rows:
    """An array of which a few rows at a time are read; in ascending order the file is read once.

    Pickled copies open the file anew, for other processes. EOFError where the file ends early.
    """

    file: Path
    name: str  # of the array, in messages
    shape: tuple[int, ...]
    dtype: np.dtype
    stream: IO[bytes] | None = None
    beginning: int  # where the first row is in the stream
    row: int  # the next one

    def open(self) -> None:
        """Set the stream, at the first row, and what is known from the header."""
        raise NotImplementedError

    def rows(self, start: int, stop: int) -> np.ndarray:
        if self.stream is None:
            self.open()
        assert self.stream is not None
        row_bytes = self.dtype.itemsize * int(np.prod(self.shape[1:]))
        if start != self.row:
            self.stream.seek(self.beginning + start * row_bytes)
        data = self.stream.read((stop - start) * row_bytes)
        self.row = stop
        if len(data) < (stop - start) * row_bytes:
            raise EOFError(f"{self.name} ends early")
        # Reading to the end also makes zipfile and gzip compare their checksums.
        if stop == self.shape[0] and self.stream.read(1):
            raise EOFError(f"{self.name} is longer than its header says")
        return np.frombuffer(data, self.dtype).reshape(stop - start, *self.shape[1:])

    def slices(self, rows: int) -> Iterator[np.ndarray]:
        """The whole array, so many rows at a time."""
        for start in range(0, self.shape[0], rows):
            yield self.rows(start, min(start + rows, self.shape[0]))

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "stream": None}
