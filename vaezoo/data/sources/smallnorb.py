"""SmallNORB (LeCun et al., 2004): 50 toys of five categories, photographed from 9 elevations and 18 azimuths under 6
lights, resized from 96 to 64 pixels. Of each stereo pair the first picture is taken.

Half of the toys are the published training part, the others the test part. Together they are a full grid of category,
instance, elevation, azimuth and lighting. Which toy has which number within its category means nothing, so benchmarks
leave the instance out of the factors: each combination of the other four is then there ten times.
"""

import gzip
import zlib
from functools import partial
from pathlib import Path
from typing import IO, Literal

import numpy as np

from vaezoo.data.files.find import DataFile, DataFiles, reads
from vaezoo.data.files.find import verify as verify_file
from vaezoo.data.files.prepare import prepared
from vaezoo.data.images import ImageArrays
from vaezoo.data.readers.grids import resized
from vaezoo.data.readers.rows import Rows
from vaezoo.errors import UserError

TRAIN = "smallnorb-5x46789x9x18x6x2x96x96-training-"
TEST = "smallnorb-5x01235x9x18x6x2x96x96-testing-"
CHECKSUMS = {  # of the file, and of what it holds
    f"{TRAIN}dat": ("66054832f9accfe74a0f4c36a75bc0a2", "8138a0902307b32dfa0025a36dfa45ec"),
    f"{TRAIN}cat": ("23c8b86101fbf0904a000b43d3ed2fd9", "fd5120d3f770ad57ebe620eb61a0b633"),
    f"{TRAIN}info": ("51dee1210a742582ff607dfd94e332e3", "19faee774120001fc7e17980d6960451"),
    f"{TEST}dat": ("e4ad715691ed5a3a5f138751a4ceb071", "e9920b7f7b2869a8f1a12e945b2c166c"),
    f"{TEST}cat": ("5aa791cd7e6016cf957ce9bdb93b8603", "fd5120d3f770ad57ebe620eb61a0b633"),
    f"{TEST}info": ("a9454f3864d7fd4bb3ea7fc3eb84924e", "7c5b871cc69dcadec1bf6a18141f5edc"),
}
SMALLNORB = DataFiles(
    dataset="smallnorb",
    files=tuple(DataFile(f"{name}.mat.gz", md5=md5, payload_md5=held) for name, (md5, held) in CHECKSUMS.items()),
    homepage="https://cs.nyu.edu/~ylclab/data/norb-v1.0-small/",
    licence="research only",
    mirrors=("https://cs.nyu.edu/~ylclab/data/norb-v1.0-small/",),
    folders=("small_norb", "$DISENTANGLEMENT_LIB_DATA/small_norb"),
)
PUBLISHED_SIDE, SIDE = 96, 64
FACTORS = {"category": 5, "instance": 10, "elevation": 9, "azimuth": 18, "lighting": 6}
CATEGORIES = ("animal", "human", "airplane", "truck", "car")
KINDS: dict[int, np.dtype] = {0x1E3D4C55: np.dtype("u1"), 0x1E3D4C54: np.dtype("<i4")}  # the first number of a file
DAMAGED = (EOFError, OSError, zlib.error)


@reads(SMALLNORB)
def smallnorb(
    path: str | None = None,
    verify: bool = True,
    download: bool = False,
    instances: Literal["keep", "drop"] = "drop",
) -> ImageArrays:
    """The training images, then the test images; `instances` says whether the instance is one of the factors."""
    files = SMALLNORB.locate(path, download)
    found: dict[str, str] = {}
    for file in SMALLNORB.files:
        checked = verify_file("smallnorb", files[file.name], file if verify else DataFile(file.name))
        found[file.name] = next(iter(checked.values()))
    pictures, tables = [], []
    for part in (TRAIN, TEST):
        pictures.append(Matrix(files[f"{part}dat.mat.gz"], (2, PUBLISHED_SIDE, PUBLISHED_SIDE), np.dtype("u1")))
        category = Matrix(files[f"{part}cat.mat.gz"], (), np.dtype("<i4")).whole()
        info = Matrix(files[f"{part}info.mat.gz"], (4,), np.dtype("<i4")).whole()
        if not len(info) == len(category) == pictures[-1].shape[0]:
            counts = f"{pictures[-1].shape[0]} images, {len(category)} categories and {len(info)} descriptions"
            raise UserError(f"dataset=smallnorb: the files {part}*.mat.gz hold {counts}.")
        tables.append(np.column_stack([category, info]))
    factors = np.concatenate(tables)
    factors[:, 3] //= 2  # numbered in steps of ten degrees, of which there are pictures at every other
    sizes = tuple(FACTORS.values())
    if (factors < 0).any() or (factors >= sizes).any():
        raise UserError(f"dataset=smallnorb: cat and info hold classes beyond those of {FACTORS}.")
    shape = (1, SIDE, SIDE)
    images = prepared("smallnorb", found, len(factors), shape, partial(first_of_pairs, pictures))
    kept = [k for k, name in enumerate(FACTORS) if instances == "keep" or name != "instance"]
    return ImageArrays(
        name="smallnorb",
        images=images,
        shape=shape,
        identity={"origin": "official" if verify else "unverified files", **found},
        factors=factors[:, kept].astype(np.uint8),
        factor_names=tuple(np.array(list(FACTORS))[kept].tolist()),
        factor_sizes=tuple(sizes[k] for k in kept),
        labels=factors[:, 0].astype(np.int64),
        label_names=CATEGORIES,
        test_images=len(tables[1]),
    )


class Matrix(Rows):
    """The array in one of the files, compressed or not: a number that says of what type, how many sizes (at least
    three are there), the sizes, then the values, all little-endian."""

    def __init__(self, file: Path, row: tuple[int, ...], dtype: np.dtype) -> None:
        self.file, self.name = file, file.name
        try:
            self.open()
        except DAMAGED as error:
            raise damaged(self.file, error) from error
        if self.shape[1:] != row or self.dtype != dtype:
            raise UserError(
                f"dataset=smallnorb: {file} holds {self.dtype} {self.shape[1:]} for each image, expected {dtype} {row}."
            )

    def open(self) -> None:
        stored = self.file.open("rb")
        compressed = stored.read(2) == b"\x1f\x8b"
        stored.seek(0)
        stream: IO[bytes] = gzip.GzipFile(fileobj=stored) if compressed else stored  # type: ignore[assignment]
        header = np.frombuffer(stream.read(8), "<i4")
        if len(header) < 2 or int(header[0]) not in KINDS or not 1 <= header[1] <= 4:
            raise UserError(f"dataset=smallnorb: {self.file} is no file of SmallNORB.")
        self.dtype = KINDS[int(header[0])]
        sizes = np.frombuffer(stream.read(4 * max(3, header[1])), "<i4")
        self.shape = tuple(map(int, sizes[: header[1]]))
        self.stream, self.beginning, self.row = stream, stream.tell(), 0

    def whole(self) -> np.ndarray:
        return self.some(0, self.shape[0])

    def some(self, start: int, stop: int) -> np.ndarray:
        try:
            return self.rows(start, stop)
        except DAMAGED as error:
            raise damaged(self.file, error) from error


def damaged(file: Path, error: Exception) -> UserError:
    return UserError(f"dataset=smallnorb: {file} is damaged ({error}). Fetch it again.")


def first_of_pairs(parts: list[Matrix], start: int, stop: int) -> np.ndarray:
    """Images start ... stop of all parts together."""
    images = []
    for part in parts:
        first, last = (min(max(row, 0), part.shape[0]) for row in (start, stop))
        if first < last:
            images.append(part.some(first, last)[:, 0])
        start, stop = start - part.shape[0], stop - part.shape[0]
    return resized(np.concatenate(images), SIDE)
