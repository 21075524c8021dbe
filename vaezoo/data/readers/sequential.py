"""Arrays in files that can only be read from the beginning, because they are compressed or too large for memory."""

from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np


class SequentialArray:
    """An array in a file, (N, ...), of which a few images or rows of numbers are read at a time.

    Reading in ascending order reads the file once. A pickled copy opens the file anew, so that other processes can
    read it, too. Reading raises EOFError where the file ends early.
    """

    file: Path
    name: str  # of the array, for messages
    shape: tuple[int, ...]
    dtype: np.dtype
    stream: IO[bytes] | None = None
    beginning: int  # where the values begin in the stream
    position: int  # the next entry of the first axis

    def open(self) -> None:
        """Open the stream at the first value, and set what the header says."""
        raise NotImplementedError

    def read(self, start: int, stop: int) -> np.ndarray:
        """Return entries start ... stop of the first axis, (stop - start, ...)."""
        if self.stream is None:
            self.open()
        assert self.stream is not None
        entry_bytes = self.dtype.itemsize * int(np.prod(self.shape[1:]))
        if start != self.position:
            self.stream.seek(self.beginning + start * entry_bytes)
        data = self.stream.read((stop - start) * entry_bytes)
        self.position = stop
        if len(data) < (stop - start) * entry_bytes:
            raise EOFError(f"{self.name} ends early")
        # Reading to the end also makes zipfile and gzip compare their checksums.
        if stop == self.shape[0] and self.stream.read(1):
            raise EOFError(f"{self.name} is longer than its header says")
        return np.frombuffer(data, self.dtype).reshape(stop - start, *self.shape[1:])

    def read_slices(self, size: int) -> Iterator[np.ndarray]:
        """Yield the whole array, `size` entries at a time."""
        for start in range(0, self.shape[0], size):
            yield self.read(start, min(start + size, self.shape[0]))

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "stream": None}
