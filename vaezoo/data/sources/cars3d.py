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

from vaezoo.data.files.find import DataFile, DataFiles, describe_status, reads, refuse_damage, verify_file
from vaezoo.data.files.prepare import prepare_images
from vaezoo.data.images import ImageArrays
from vaezoo.data.readers.grids import make_grid, resize_images
from vaezoo.errors import UserError
from vaezoo.progress import progress
from vaezoo.ranges import ExistingPath

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
def cars3d(path: ExistingPath | None = None, verify: bool = True, download: bool = False) -> ImageArrays:
    """Return all images in the order of elevation, azimuth, model.

    `path` is the archive, its unpacked folder, or the folder of one of them. With verify=False, an unpacked folder may
    hold fewer models. Raises UserError where files are missing or not the published ones.
    """
    (official,) = CARS3D.files
    place = CARS3D.locate(path, download)[official.name]
    if place.is_file():
        checksums = verify_file("cars3d", place, official if verify else DataFile(official.name))
        origin, models = "official" if verify else "unverified file", MODELS
    else:
        files = sorted(place.glob(PATTERN))
        checksums = {file.name: "{size} bytes, {mtime_ns}".format(**describe_status(file)) for file in files}
        origin, models = "unpacked files", len(files)
        if models != MODELS and (verify or not models):
            raise UserError(f"dataset=cars3d: {place} holds {models} files {PATTERN}, expected {MODELS}.")
    # All models are prepared in one piece, because an archive has to be read from one end to the other.
    views = (ELEVATIONS, AZIMUTHS, 3, SIDE, SIDE)
    images = prepare_images("cars3d", checksums, models, views, partial(read_models, place, models), chunk=models)
    sizes = (ELEVATIONS, AZIMUTHS, models)
    return ImageArrays(
        name="cars3d",
        images=np.moveaxis(images, 0, 2).reshape(-1, 3, SIDE, SIDE),
        shape=(3, SIDE, SIDE),
        identity={"origin": origin, **(checksums if place.is_file() else {"folder": str(place)})},
        factors=make_grid(sizes),
        factor_names=("elevation", "azimuth", "object"),
        factor_sizes=sizes,
    )


def read_models(place: Path, models: int, start: int, stop: int) -> np.ndarray:
    """Return models start ... stop of all `models`, (stop - start, 4, 24, 3, 64, 64) uint8."""
    images = {}
    with open_models(place) as cars, progress("reading Cars3D", models, "car") as bar:
        for name, stream in cars:
            images[name] = read_views(place, name, stream)
            bar.update()
    if len(images) != models:
        raise UserError(f"dataset=cars3d: {place} holds {len(images)} files {PATTERN}, expected {models}.")
    return np.stack([images[name] for name in sorted(images)[start:stop]])


@contextmanager
def open_models(place: Path) -> Iterator[Cars]:
    """Open a folder or an archive, as the names and streams of its MATLAB files."""
    if place.is_dir():
        yield ((file.name, file.open("rb")) for file in place.glob(PATTERN))
        return
    with refuse_damage("cars3d", place, (tarfile.TarError, EOFError, OSError)), tarfile.open(place) as archive:
        yield (
            (PurePosixPath(member.name).name, stream)
            for member in archive
            if PurePosixPath(member.name).match(f"cars/{PATTERN}") and (stream := archive.extractfile(member))
        )


def read_views(place: Path, name: str, stream: IO[bytes]) -> np.ndarray:
    """Return all views of one model, (4, 24, 3, 64, 64) uint8."""
    from scipy.io import loadmat  # Imported here because it takes long.

    # SciPy raises exceptions of many kinds for bytes that are no MATLAB file.
    with refuse_damage("cars3d", f"{name} in {place}", (Exception,)), stream:
        images = loadmat(stream, variable_names=["im"])["im"]
    expected = (PUBLISHED_SIDE, PUBLISHED_SIDE, 3, AZIMUTHS, ELEVATIONS)
    if images.dtype != np.uint8 or images.shape != expected:
        raise UserError(
            f"dataset=cars3d: im of {name} in {place} is {images.dtype} {images.shape}, expected uint8 {expected}."
        )
    pictures = images.transpose(4, 3, 0, 1, 2).reshape(-1, PUBLISHED_SIDE, PUBLISHED_SIDE, 3)
    return resize_images(pictures, SIDE).reshape(ELEVATIONS, AZIMUTHS, 3, SIDE, SIDE)
