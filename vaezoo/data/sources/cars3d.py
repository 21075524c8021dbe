"""Cars3D (Reed et al., 2015): 183 car models from 24 azimuths at 4 elevations, resized from 128 to 64 pixels.

Read from the authors' archive as it is published, or from its unpacked folder `cars`. The images of one model are a
MATLAB file; the order of the models is that of their names.
"""

import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO

import numpy as np

from vaezoo.data.files.find import DataFile, DataFiles, identity_on_disk, reads
from vaezoo.data.files.find import verify as verify_file
from vaezoo.data.files.prepare import prepared
from vaezoo.data.images import ImageArrays
from vaezoo.data.readers.grids import grid, resized
from vaezoo.errors import UserError
from vaezoo.progress import progress

CARS3D = DataFiles(
    dataset="cars3d",
    files=(
        DataFile(
            "nips2015-analogy-data.tar.gz",
            md5="4e866a7919c1beedf53964e6f7a23686",
            unpacked=("cars", "data/cars"),
        ),
    ),
    homepage="http://www.scottreed.info (Deep Visual Analogy-Making)",
    licence="not stated",
    mirrors=("http://www.scottreed.info/files/",),
    folders=("cars", "$DISENTANGLEMENT_LIB_DATA"),
)
PATTERN = "car_*_mesh.mat"
MODELS, ELEVATIONS, AZIMUTHS = 183, 4, 24
PUBLISHED_SIDE, SIDE = 128, 64
Cars = Iterator[tuple[str, IO[bytes]]]


@reads(CARS3D)
def cars3d(path: str | None = None, verify: bool = True, download: bool = False) -> ImageArrays:
    (official,) = CARS3D.files
    place = CARS3D.locate(path, download)[official.name]
    if place.is_file():
        found = verify_file("cars3d", place, official if verify else DataFile(official.name))
        origin, models = "official" if verify else "unverified file", MODELS
    else:
        files = sorted(place.glob(PATTERN))
        found = {file.name: "{size} bytes, {mtime_ns}".format(**identity_on_disk(file)) for file in files}
        origin, models = "unpacked files", len(files)
        if models != MODELS and (verify or not models):
            raise UserError(f"dataset=cars3d: {place} holds {models} files {PATTERN}, expected {MODELS}.")
    # A model is one row, and its file is where it is: an archive is read from one end to the other.
    views = (ELEVATIONS, AZIMUTHS, 3, SIDE, SIDE)
    images = prepared("cars3d", found, models, views, partial(read, place, models), chunk=models)
    sizes = (ELEVATIONS, AZIMUTHS, models)
    return ImageArrays(
        name="cars3d",
        images=np.moveaxis(images, 0, 2).reshape(-1, 3, SIDE, SIDE),
        shape=(3, SIDE, SIDE),
        identity={"origin": origin, **(found if place.is_file() else {"folder": str(place)})},
        factors=grid(sizes),
        factor_names=("elevation", "azimuth", "object"),
        factor_sizes=sizes,
    )


def read(place: Path, models: int, start: int, stop: int) -> np.ndarray:
    """Models start ... stop of all, (n, 4, 24, 3, 64, 64)."""
    held = {}
    with opened(place) as cars, progress("reading Cars3D", models, "car") as bar:
        for name, stream in cars:
            held[name] = views(place, name, stream)
            bar.update()
    if len(held) != models:
        raise UserError(f"dataset=cars3d: {place} holds {len(held)} files {PATTERN}, expected {models}.")
    return np.stack([held[name] for name in sorted(held)[start:stop]])


@contextmanager
def opened(place: Path) -> Iterator[Cars]:
    """The names and contents of the MATLAB files in a folder or an archive."""
    if place.is_dir():
        yield ((file.name, file.open("rb")) for file in place.glob(PATTERN))
        return
    try:
        with tarfile.open(place) as archive:
            yield (
                (PurePosixPath(member.name).name, stream)
                for member in archive
                if PurePosixPath(member.name).match(f"cars/{PATTERN}") and (stream := archive.extractfile(member))
            )
    except (tarfile.TarError, EOFError, OSError) as error:
        raise UserError(f"dataset=cars3d: {place} is damaged ({error}). Fetch it again.") from error


def views(place: Path, name: str, stream: IO[bytes]) -> np.ndarray:
    """All views of one model, (4, 24, 3, 64, 64)."""
    from scipy.io import loadmat  # slow to import

    try:
        with stream:
            images = loadmat(stream, variable_names=["im"])["im"]
    except Exception as error:  # whatever SciPy makes of bytes that are no MATLAB file
        raise UserError(f"dataset=cars3d: {name} in {place} is damaged ({error}). Fetch it again.") from error
    expected = (PUBLISHED_SIDE, PUBLISHED_SIDE, 3, AZIMUTHS, ELEVATIONS)
    if images.dtype != np.uint8 or images.shape != expected:
        raise UserError(
            f"dataset=cars3d: im of {name} in {place} is {images.dtype} {images.shape}, expected uint8 {expected}."
        )
    rows = images.transpose(4, 3, 0, 1, 2).reshape(-1, PUBLISHED_SIDE, PUBLISHED_SIDE, 3)
    return resized(rows, SIDE).reshape(ELEVATIONS, AZIMUTHS, 3, SIDE, SIDE)
