"""dSprites (Matthey et al. 2017): 737,280 binary images of a sprite, all combinations of five factors.

https://github.com/google-deepmind/dsprites-dataset. Rendered in about a second, or read from the official archive.
Rendered images equal every published image that could be compared; a few tens of the archive's 3.02 billion pixels may
differ, because sines and cosines differ in their last bit from one machine to another.

Orientations 0 and 39 are the same angle and give identical images, so an image does not determine all factors.
"""

import hashlib
import itertools
from pathlib import Path

import numpy as np

from vaezoo.data.files.find import DataFile, DataFiles, reads, refuse_damage, verify_file
from vaezoo.data.images import ImageArrays
from vaezoo.data.readers.grids import make_grid
from vaezoo.data.readers.npz import ZIP_ERRORS, NpzArray
from vaezoo.data.sources.dsprites_render import FACTOR_SIZES, FACTOR_VALUES, SIDE, render_block
from vaezoo.errors import UserError
from vaezoo.progress import progress
from vaezoo.ranges import ExistingPath

ARCHIVE = "dsprites_ndarray_co1sh3sc6or40x32y32_64x64.npz"
DSPRITES = DataFiles(
    dataset="dsprites",
    files=(DataFile(ARCHIVE, md5="7da33b31b13a06f4b04a70402ce90c2e"),),
    homepage="https://github.com/google-deepmind/dsprites-dataset",
    licence="Apache-2.0",
    mirrors=("https://raw.githubusercontent.com/google-deepmind/dsprites-dataset/master/",),
    folders=("$DISENTANGLEMENT_LIB_DATA/dsprites",),
    optional=True,
)
BLOCK = FACTOR_SIZES[3] * FACTOR_SIZES[4]  # consecutive images that differ in position only
SLICE = 2048  # images read at a time; all of them would need 3 GB


@reads(DSPRITES)
def dsprites(path: ExistingPath | None = None, verify: bool = True, download: bool = False) -> ImageArrays:
    """Return all images: rendered, or read from the official archive where `path` or `download` asks for it.

    `path` is the archive or its folder. `download` looks for the archive in the usual places, and fetches it where it
    is missing. Raises UserError where the archive is missing or not the published one.
    """
    if path is None and not download:
        return render_all()
    return read_official(DSPRITES.locate(path, download)[ARCHIVE], verify)


def render_all() -> ImageArrays:
    """Return all images, rendered."""
    blocks = list(itertools.product(*map(range, FACTOR_SIZES[:3])))
    images = np.empty((len(blocks) * BLOCK, SIDE * SIDE // 8), dtype=np.uint8)
    with progress("rendering dSprites", len(blocks), "block") as bar:
        for i, block in enumerate(blocks):
            images[i * BLOCK : (i + 1) * BLOCK] = render_block(*block)
            bar.update()
    identity: dict[str, str | int] = {"origin": "rendered", "sha256": hashlib.sha256(images.data).hexdigest()}
    return describe_images(images, make_factors(), identity)


def read_official(file: Path, verify: bool = True, factors: np.ndarray | None = None) -> ImageArrays:
    """Return the images of the archive, which must hold one for each row of `factors`, in this order (default: all).

    Raises UserError where it holds others, and with `verify` where it is not the published file.
    """
    (official,) = DSPRITES.files
    checksum = verify_file("dsprites", file, official if verify else DataFile(ARCHIVE))
    factors = make_factors() if factors is None else factors
    with refuse_damage("dsprites", file, ZIP_ERRORS):
        check_classes(file, factors)
        images = read_images(file, len(factors))
    origin = "official" if checksum["md5"] == official.md5 else "unverified file"
    return describe_images(images, factors, {"origin": origin, "file": file.name, **checksum})


def make_factors() -> np.ndarray:
    """Return the classes of every image, (737280, 5) uint8: all combinations, the last factor changing fastest."""
    return make_grid(FACTOR_SIZES)


def describe_images(images: np.ndarray, factors: np.ndarray, identity: dict[str, str | int]) -> ImageArrays:
    """Return packed images (N, 512) and their factors (N, 5) with the facts that all dSprites share."""
    return ImageArrays(
        name="dsprites",
        images=images,
        shape=(1, SIDE, SIDE),
        identity=identity,
        scale=1,
        packed=True,
        factors=factors,
        factor_names=tuple(FACTOR_VALUES),
        factor_sizes=FACTOR_SIZES,
    )


# The members of the archive are parsed here, as plain numbers: no pickle is ever loaded. The member `metadata` is a
# pickle (written by Python 2) and is not opened, because it says nothing that is not known.


def check_classes(file: Path, factors: np.ndarray) -> None:
    """Raise UserError where the archive lists its images in another order than that of `factors` (N, 5)."""
    done = 0
    shape = (len(factors), 1 + len(FACTOR_SIZES))
    for classes in NpzArray("dsprites", file, "latents_classes", shape, np.dtype(np.int64)).read_slices(SLICE):
        colour, others = classes[:, 0], classes[:, 1:]
        differs = (colour != 0) | (others != factors[done : done + len(classes)]).any(axis=1)
        if differs.any():
            i = int(differs.argmax())
            raise UserError(
                f"dataset=dsprites: latents_classes in {file} lists the images in another order: image {done + i} is "
                f"{classes[i].tolist()}, expected {[0, *factors[done + i].tolist()]}."
            )
        done += len(classes)


def read_images(file: Path, count: int) -> np.ndarray:
    """Return the `count` images of the archive, packed, (count, 512) uint8."""
    images = np.empty((count, SIDE * SIDE // 8), dtype=np.uint8)
    done = 0
    with progress("reading dSprites", count, "image") as bar:
        for pixels in NpzArray("dsprites", file, "imgs", (count, SIDE, SIDE), np.dtype(np.uint8)).read_slices(SLICE):
            if pixels.max() > 1:
                raise UserError(f"dataset=dsprites: imgs in {file} hold values up to {pixels.max()}, expected 0 and 1.")
            images[done : done + len(pixels)] = np.packbits(pixels.reshape(len(pixels), -1), axis=1)
            done += len(pixels)
            bar.update(len(pixels))
    return images
