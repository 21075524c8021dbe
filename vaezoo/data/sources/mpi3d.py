"""MPI3D (Gondal et al., 2019): a robot arm holding an object, all combinations of seven factors.

https://github.com/rr-learning/disentanglement_dataset: rendered simply (`toy`), rendered well (`realistic`) or
photographed (`real`). Each is an archive of 12.7 GB, whose images are also kept in the data folder, channels first.
"""

import math
from functools import partial
from typing import Literal

import numpy as np

from vaezoo.data.files.find import DataFile, DataFiles, reads, refuse_damage, verify_file
from vaezoo.data.files.prepare import prepare_images
from vaezoo.data.images import ImageArrays
from vaezoo.data.readers.grids import make_grid, move_channels_first
from vaezoo.data.readers.npz import ZIP_ERRORS, NpzArray
from vaezoo.errors import UserError
from vaezoo.ranges import ExistingPath

FACTORS = ("color", "shape", "size", "camera_height", "background", "horizontal_axis", "vertical_axis")
SIZES = (
    (6, 6, 2, 3, 3, 40, 40),
    (4, 4, 2, 3, 3, 40, 40),  # an older release of toy and realistic
)
SIDE = 64
Variant = Literal["toy", "realistic", "real"]
MD5: dict[Variant, str] = {
    "toy": "55889cb7c7dfc655d6e0277beee88868",
    "realistic": "59a6225b88b635365f70c91b3e52f70f",
    "real": "0f33f609918fb5c97996692f91129802",
}


def describe_files(variant: Variant = "toy", **options: object) -> DataFiles:
    """Return the file of a variant; the other options of the source do not change it."""
    return DataFiles(
        dataset="mpi3d",
        files=(DataFile(f"mpi3d_{variant}.npz", md5=MD5[variant]),),
        homepage="https://github.com/rr-learning/disentanglement_dataset",
        licence="CC BY 4.0",
        mirrors=(
            "https://storage.googleapis.com/disentanglement_dataset/Final_Dataset/",
            "https://huggingface.co/datasets/waleedgondal/mpi3d/resolve/main/",
        ),
        folders=(f"mpi3d_{variant}", f"$DISENTANGLEMENT_LIB_DATA/mpi3d_{variant}"),
    )


@reads(describe_files)
def mpi3d(
    path: ExistingPath | None = None, verify: bool = True, download: bool = False, variant: Variant = "toy"
) -> ImageArrays:
    """Return all images of a variant, the last factor changing fastest. `path` is the archive or its folder.

    Raises UserError where the file is missing or not the published one.
    """
    files = describe_files(variant)
    (official,) = files.files
    file = files.locate(path, download)[official.name]
    checksum = verify_file("mpi3d", file, official if verify else DataFile(official.name))
    shape = (3, SIDE, SIDE)
    with refuse_damage("mpi3d", file, ZIP_ERRORS):
        pictures = NpzArray("mpi3d", file, "images", (None, SIDE, SIDE, 3), np.dtype(np.uint8))
        count = pictures.shape[0]
        sizes = next((sizes for sizes in SIZES if math.prod(sizes) == count), None)
        if sizes is None:
            expected = " or ".join(f"{math.prod(sizes):,}" for sizes in SIZES)
            raise UserError(f"dataset=mpi3d: {file} holds {count:,} images, expected {expected}.")
        recipe = {"variant": variant, **checksum}
        images = prepare_images("mpi3d", recipe, count, shape, partial(read_images, pictures))
    origin = "official" if verify else "unverified file"
    return ImageArrays(
        name="mpi3d",
        images=images,
        shape=shape,
        identity={"origin": origin, "variant": variant, "file": file.name, **checksum},
        factors=make_grid(sizes),
        factor_names=FACTORS,
        factor_sizes=sizes,
    )


def read_images(pictures: NpzArray, start: int, stop: int) -> np.ndarray:
    """Return images start ... stop of an archive, (stop - start, 3, 64, 64) uint8."""
    return move_channels_first(pictures.read(start, stop))
