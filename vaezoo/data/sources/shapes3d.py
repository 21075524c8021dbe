"""Shapes3D (Burgess & Kim, 2018): 480,000 pictures of one shape in a room, all combinations of six factors.

https://github.com/google-deepmind/3d-shapes. Read from the official file, whose images are kept in the data folder
without compression, 5.9 GB.
"""

from functools import partial
from pathlib import Path

import numpy as np

from vaezoo.data.files.find import DataFile, DataFiles, reads, verify_file
from vaezoo.data.files.prepare import prepare_images
from vaezoo.data.images import ImageArrays
from vaezoo.data.readers.grids import make_grid, move_channels_first
from vaezoo.data.readers.hdf5 import open_hdf5
from vaezoo.errors import UserError
from vaezoo.ranges import ExistingPath

SHAPES3D = DataFiles(
    dataset="shapes3d",
    files=(
        DataFile(
            "3dshapes.h5",
            267_573_662,
            md5="099a2078d58cec4daad0702c55d06868",
            sha256="0a0f6ed98baff276a50f3a081a7434d788da63cb135a98189b2a5b5769be1785",
        ),
    ),
    homepage="https://github.com/google-deepmind/3d-shapes",
    licence="Apache-2.0",
    mirrors=("https://storage.googleapis.com/3d-shapes/",),
    folders=("3dshapes",),
)
FACTORS = ("floor_hue", "wall_hue", "object_hue", "scale", "shape", "orientation")
SIDE = 64


@reads(SHAPES3D)
def shapes3d(path: ExistingPath | None = None, verify: bool = True, download: bool = False) -> ImageArrays:
    """Return all images, the last factor changing fastest. `path` is the file or its folder.

    Raises UserError where the file is missing or not the published one.
    """
    (official,) = SHAPES3D.files
    file = SHAPES3D.locate(path, download)[official.name]
    checksum = verify_file("shapes3d", file, official if verify else DataFile(official.name))
    sizes, piece = read_layout(file)
    count, shape = int(np.prod(sizes)), (3, SIDE, SIDE)
    return ImageArrays(
        name="shapes3d",
        images=prepare_images("shapes3d", checksum, count, shape, partial(read_images, file), chunk=piece),
        shape=shape,
        identity={"origin": "official" if verify else "unverified file", "file": file.name, **checksum},
        factors=make_grid(sizes),
        factor_names=FACTORS,
        factor_sizes=sizes,
    )


def read_layout(file: Path) -> tuple[tuple[int, ...], int]:
    """Return the sizes of the factors, and how many images to read at a time.

    That number is a multiple of the images that are compressed together, so that none is decompressed twice. Raises
    UserError where the arrays have other shapes, or where the factors are no full grid in order.
    """
    with open_hdf5("shapes3d", file) as contents:
        labels, images = contents["labels"][:], contents["images"]
        expected = (len(labels), SIDE, SIDE, 3)
        if labels.ndim != 2 or labels.shape[1] != len(FACTORS) or images.shape != expected or images.dtype != np.uint8:
            raise UserError(
                f"dataset=shapes3d: {file} holds images {images.dtype} {images.shape} and labels {labels.shape},"
                f" expected uint8 (N, {SIDE}, {SIDE}, 3) and (N, {len(FACTORS)})."
            )
        together = images.chunks[0] if images.chunks else 1
    values, classes = zip(*(np.unique(column, return_inverse=True) for column in labels.T), strict=True)
    sizes = tuple(map(len, values))
    if np.prod(sizes) != len(labels) or not np.array_equal(np.stack(classes, axis=1), make_grid(sizes)):
        raise UserError(f"dataset=shapes3d: the labels in {file} are no full grid in order.")
    return sizes, -(-1024 // together) * together


def read_images(file: Path, start: int, stop: int) -> np.ndarray:
    """Return images start ... stop, (stop - start, 3, 64, 64) uint8."""
    with open_hdf5("shapes3d", file) as contents:
        return move_channels_first(contents["images"][start:stop])
