"""MPI3D (Gondal et al., 2019): a robot arm holding an object, all combinations of seven factors.

https://github.com/rr-learning/disentanglement_dataset: drawn simply (`toy`), drawn well (`realistic`) or photographed
(`real`). Each is an archive of 12.7 GB, whose images are kept once more in the data folder, channels first.
"""

import math
from pathlib import Path
from typing import Literal

import numpy as np

from vaezoo.data.files.find import DataFile, DataFiles, reads
from vaezoo.data.files.find import verify as verify_file
from vaezoo.data.files.prepare import prepared
from vaezoo.data.images import ImageArrays
from vaezoo.data.readers.grids import channels_first, grid
from vaezoo.data.readers.npz import DAMAGED, Member
from vaezoo.errors import UserError

FACTORS = ("color", "shape", "size", "camera_height", "background", "horizontal_axis", "vertical_axis")
SIZES = (
    (6, 6, 2, 3, 3, 40, 40),
    (4, 4, 2, 3, 3, 40, 40),  # an older release of toy and realistic
)
SIDE = 64
MD5 = {
    "toy": "55889cb7c7dfc655d6e0277beee88868",
    "realistic": "59a6225b88b635365f70c91b3e52f70f",
    "real": "0f33f609918fb5c97996692f91129802",
}

Variant = Literal["toy", "realistic", "real"]


def files_of(variant: Variant = "toy", **_: object) -> DataFiles:
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


@reads(files_of)
def mpi3d(
    path: str | None = None, verify: bool = True, download: bool = False, variant: Variant = "toy"
) -> ImageArrays:
    files = files_of(variant)
    (official,) = files.files
    file = files.locate(path, download)[official.name]
    found = verify_file("mpi3d", file, official if verify else DataFile(official.name))
    shape = (3, SIDE, SIDE)
    try:
        pictures = Pictures(file)
        count = len(pictures)
        sizes = next((sizes for sizes in SIZES if math.prod(sizes) == count), None)
        if sizes is None:
            known = " or ".join(f"{math.prod(sizes):,}" for sizes in SIZES)
            raise UserError(f"dataset=mpi3d: {file} holds {count:,} images, expected {known}.")
        images = prepared("mpi3d", {"variant": variant, **found}, count, shape, pictures)
    except DAMAGED as error:
        raise UserError(f"dataset=mpi3d: {file} is damaged ({error}). Fetch it again.") from error
    origin = "official" if verify else "unverified file"
    return ImageArrays(
        name="mpi3d",
        images=images,
        shape=shape,
        identity={"origin": origin, "variant": variant, "file": file.name, **found},
        factors=grid(sizes),
        factor_names=FACTORS,
        factor_sizes=sizes,
    )


class Pictures:
    """The images of an archive, which is never held in memory as a whole."""

    def __init__(self, file: Path) -> None:
        self.member = Member("mpi3d", file, "images", (None, SIDE, SIDE, 3), np.dtype(np.uint8))

    def __len__(self) -> int:
        return self.member.shape[0]

    def __call__(self, start: int, stop: int) -> np.ndarray:
        return channels_first(self.member.rows(start, stop))
