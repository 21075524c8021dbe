"""SmallNORB (LeCun et al., 2004): 50 toys of five categories, photographed from 9 elevations and 18 azimuths under 6
lights, resized from 96 to 64 pixels. Of each stereo pair the first picture is taken.

Half of the toys are the published training part, the others the test part. Together they are a full grid of category,
instance, elevation, azimuth and lighting. The number of a toy within its category means nothing, so benchmarks leave
the instance out of the factors: each combination of the other four then occurs ten times.
"""

import zlib
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np

from vaezoo.data.files.find import DataFile, DataFiles, decompress, reads, refuse_damage, verify_file
from vaezoo.data.files.prepare import prepare_images
from vaezoo.data.images import ImageArrays
from vaezoo.data.readers.grids import resize_images
from vaezoo.data.readers.sequential import SequentialArray
from vaezoo.errors import UserError
from vaezoo.ranges import ExistingPath

TRAIN = "smallnorb-5x46789x9x18x6x2x96x96-training-"
TEST = "smallnorb-5x01235x9x18x6x2x96x96-testing-"
CHECKSUMS = {  # MD5 of the file, and of its decompressed content
    f"{TRAIN}dat": ("66054832f9accfe74a0f4c36a75bc0a2", "8138a0902307b32dfa0025a36dfa45ec"),
    f"{TRAIN}cat": ("23c8b86101fbf0904a000b43d3ed2fd9", "fd5120d3f770ad57ebe620eb61a0b633"),
    f"{TRAIN}info": ("51dee1210a742582ff607dfd94e332e3", "19faee774120001fc7e17980d6960451"),
    f"{TEST}dat": ("e4ad715691ed5a3a5f138751a4ceb071", "e9920b7f7b2869a8f1a12e945b2c166c"),
    f"{TEST}cat": ("5aa791cd7e6016cf957ce9bdb93b8603", "fd5120d3f770ad57ebe620eb61a0b633"),
    f"{TEST}info": ("a9454f3864d7fd4bb3ea7fc3eb84924e", "7c5b871cc69dcadec1bf6a18141f5edc"),
}
SMALLNORB = DataFiles(
    dataset="smallnorb",
    files=tuple(DataFile(f"{name}.mat.gz", md5=md5, payload_md5=payload) for name, (md5, payload) in CHECKSUMS.items()),
    homepage="https://cs.nyu.edu/~ylclab/data/norb-v1.0-small/",
    licence="research only",
    mirrors=("https://cs.nyu.edu/~ylclab/data/norb-v1.0-small/",),
    folders=("small_norb", "$DISENTANGLEMENT_LIB_DATA/small_norb"),
)
PUBLISHED_SIDE, SIDE = 96, 64
FACTORS = {"category": 5, "instance": 10, "elevation": 9, "azimuth": 18, "lighting": 6}
CATEGORIES = ("animal", "human", "airplane", "truck", "car")
KINDS: dict[int, np.dtype] = {0x1E3D4C55: np.dtype("u1"), 0x1E3D4C54: np.dtype("<i4")}  # by the first number of a file
READ_ERRORS = (EOFError, OSError, zlib.error)


@reads(SMALLNORB)
def smallnorb(
    path: ExistingPath | None = None,
    verify: bool = True,
    download: bool = False,
    instances: Literal["keep", "drop"] = "drop",
) -> ImageArrays:
    """Return the training images, then the test images. `instances` says whether the instance is one of the factors.

    `path` is the folder of the six files. Raises UserError where files are missing or not the published ones.
    """
    files = SMALLNORB.locate(path, download)
    checksums: dict[str, str] = {}
    for file in SMALLNORB.files:
        checksum = verify_file("smallnorb", files[file.name], file if verify else DataFile(file.name))
        checksums[file.name] = next(iter(checksum.values()))
    pictures, tables = [], []
    for part in (TRAIN, TEST):
        pictures.append(Matrix(files[f"{part}dat.mat.gz"], (2, PUBLISHED_SIDE, PUBLISHED_SIDE), np.dtype("u1")))
        category = Matrix(files[f"{part}cat.mat.gz"], (), np.dtype("<i4")).read_all()
        info = Matrix(files[f"{part}info.mat.gz"], (4,), np.dtype("<i4")).read_all()
        if not len(info) == len(category) == pictures[-1].shape[0]:
            counts = f"{pictures[-1].shape[0]} images, {len(category)} categories and {len(info)} descriptions"
            raise UserError(f"dataset=smallnorb: the files {part}*.mat.gz hold {counts}.")
        tables.append(np.column_stack([category, info]))
    factors = np.concatenate(tables)
    factors[:, 3] //= 2  # Azimuths count in steps of ten degrees, but there are pictures at every other step only.
    sizes = tuple(FACTORS.values())
    if (factors < 0).any() or (factors >= sizes).any():
        raise UserError(f"dataset=smallnorb: cat and info hold classes beyond those of {FACTORS}.")
    shape = (1, SIDE, SIDE)
    images = prepare_images("smallnorb", checksums, len(factors), shape, partial(read_first_of_pairs, pictures))
    columns = [k for k, name in enumerate(FACTORS) if instances == "keep" or name != "instance"]
    return ImageArrays(
        name="smallnorb",
        images=images,
        shape=shape,
        identity={"origin": "official" if verify else "unverified files", **checksums},
        factors=factors[:, columns].astype(np.uint8),
        factor_names=tuple(np.array(list(FACTORS))[columns].tolist()),
        factor_sizes=tuple(sizes[k] for k in columns),
        labels=factors[:, 0].astype(np.int64),
        label_names=CATEGORIES,
        test_images=len(tables[1]),
    )


class Matrix(SequentialArray):
    """The array in one of the files, compressed or not.

    A file holds a number that says which type the array has, the number of its sizes, the sizes (at least three), then
    the values, all little-endian. Raises UserError where the entries have another shape than `entry_shape` or another
    type than `dtype`, and where the file is damaged.
    """

    def __init__(self, file: Path, entry_shape: tuple[int, ...], dtype: np.dtype) -> None:
        self.file, self.name = file, file.name
        with refuse_damage("smallnorb", file, READ_ERRORS):
            self.open()
        if self.shape[1:] != entry_shape or self.dtype != dtype:
            raise UserError(
                f"dataset=smallnorb: {file} holds {self.dtype} {self.shape[1:]} for each image, expected {dtype}"
                f" {entry_shape}."
            )

    def open(self) -> None:
        stream = decompress(self.file.open("rb"))
        header = np.frombuffer(stream.read(8), "<i4")
        if len(header) < 2 or int(header[0]) not in KINDS or not 1 <= header[1] <= 4:
            raise UserError(f"dataset=smallnorb: {self.file} is no file of SmallNORB.")
        self.dtype = KINDS[int(header[0])]
        sizes = np.frombuffer(stream.read(4 * max(3, header[1])), "<i4")
        self.shape = tuple(map(int, sizes[: header[1]]))
        self.stream, self.beginning, self.position = stream, stream.tell(), 0

    def read(self, start: int, stop: int) -> np.ndarray:
        with refuse_damage("smallnorb", self.file, READ_ERRORS):
            return super().read(start, stop)

    def read_all(self) -> np.ndarray:
        """Return the whole array."""
        return self.read(0, self.shape[0])


def read_first_of_pairs(parts: list[Matrix], start: int, stop: int) -> np.ndarray:
    """Return the first pictures of pairs start ... stop, counted over all parts, (stop - start, 1, 64, 64) uint8."""
    images = []
    for part in parts:
        first, last = (min(max(row, 0), part.shape[0]) for row in (start, stop))
        if first < last:
            images.append(part.read(first, last)[:, 0])
        start, stop = start - part.shape[0], stop - part.shape[0]
    return resize_images(np.concatenate(images), SIDE)
