"""dSprites (Matthey et al. 2017): 737,280 binary images of a sprite, all combinations of five factors.

https://github.com/google-deepmind/dsprites-dataset. Rendered in about a second, or read from the official archive.
The two agree on every published image that could be compared; a few tens of the archive's 3.02 billion pixels may
differ, because sines and cosines differ in their last bit from one machine to another.

Orientations 0 and 39 are the same angle and give identical images, so images do not determine all factors.
"""

import hashlib
import itertools
from pathlib import Path

import numpy as np

from vaezoo.data.files.find import DataFile, DataFiles, reads
from vaezoo.data.files.find import verify as verify_file
from vaezoo.data.images import ImageArrays
from vaezoo.data.readers.grids import grid
from vaezoo.data.readers.npz import DAMAGED, Member
from vaezoo.data.sources.dsprites_render import FACTOR_SIZES, FACTOR_VALUES, SIDE, render
from vaezoo.errors import UserError
from vaezoo.progress import progress

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
SLICE = 2048  # images unpacked at a time; all of them would need 3 GB


@reads(DSPRITES)
def dsprites(path: str | None = None, verify: bool = True, download: bool = False) -> ImageArrays:
    """All images: rendered, or read from the official archive.

    That is `path`, or in the folder `path`; `download` looks for it in the usual places and fetches it if need be.
    """
    if path is None and not download:
        return rendered()
    return from_archive(DSPRITES.locate(path, download)[ARCHIVE], verify)


def rendered() -> ImageArrays:
    blocks = list(itertools.product(*map(range, FACTOR_SIZES[:3])))
    images = np.empty((len(blocks) * BLOCK, SIDE * SIDE // 8), dtype=np.uint8)
    with progress("rendering dSprites", len(blocks), "block") as bar:
        for i, block in enumerate(blocks):
            images[i * BLOCK : (i + 1) * BLOCK] = render(*block)
            bar.update()
    return as_arrays(images, all_factors(), {"origin": "rendered", "sha256": hashlib.sha256(images.data).hexdigest()})


def from_archive(file: Path, verify: bool = True, factors: np.ndarray | None = None) -> ImageArrays:
    """Reads the archive, which must hold one image for each row of `factors`, in this order (default: all)."""
    (official,) = DSPRITES.files
    found = verify_file("dsprites", file, official if verify else DataFile(ARCHIVE))
    factors = all_factors() if factors is None else factors
    try:
        images = read_archive(file, factors)
    except DAMAGED as error:
        raise UserError(f"dSprites: {file} is damaged ({error}). Fetch it again from {DSPRITES.homepage}.") from error
    origin = "official" if found["md5"] == official.md5 else "unverified file"
    return as_arrays(images, factors, {"origin": origin, "file": file.name, **found})


def compare_with_rendered(arrays: ImageArrays, count: int = 10_000, seed: int = 0) -> int:
    """How many of `count` images, drawn without replacement, differ from the rendered ones in any pixel.

    A few may. More than 0.5 % mean a wrong file or a bug.
    """
    if len(arrays) != np.prod(FACTOR_SIZES) or not arrays.packed:
        raise ValueError(f"can only compare the whole dSprites, packed; got {len(arrays)} images of {arrays.name}")
    drawn = np.random.default_rng(seed).choice(len(arrays), size=min(count, len(arrays)), replace=False)
    block, place = np.divmod(np.sort(drawn), BLOCK)
    differing = 0
    for b in np.unique(block):
        places = place[block == b]
        ours = render(*map(int, np.unravel_index(b, FACTOR_SIZES[:3])))[places]
        theirs = arrays.images[b * BLOCK + places]
        differing += int((ours != theirs).any(axis=1).sum())
    return differing


def all_factors() -> np.ndarray:
    """The classes of every image, (737280, 5) uint8: all combinations, the last factor changing fastest."""
    return grid(FACTOR_SIZES)


def as_arrays(images: np.ndarray, factors: np.ndarray, identity: dict[str, str | int]) -> ImageArrays:
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


def read_archive(file: Path, factors: np.ndarray) -> np.ndarray:
    """The archive's images, packed to (N, 512) uint8, after its classes turned out to be `factors`.

    Members are parsed here, as plain numbers and nothing else: no pickle is ever loaded. The member `metadata` is one
    (written by Python 2) and stays closed; all that it says is known.
    """
    count = len(factors)
    images = np.empty((count, SIDE * SIDE // 8), dtype=np.uint8)
    done = 0
    shape = (count, 1 + len(FACTOR_SIZES))
    for classes in Member("dsprites", file, "latents_classes", shape, np.dtype(np.int64)).slices(SLICE):
        colour, others = classes[:, 0], classes[:, 1:]
        wrong = (colour != 0) | (others != factors[done : done + len(classes)]).any(axis=1)
        if wrong.any():
            i = int(wrong.argmax())
            raise UserError(
                f"dSprites: latents_classes in {file} lists the images in another order: image {done + i} is "
                f"{classes[i].tolist()}, expected {[0, *factors[done + i].tolist()]}."
            )
        done += len(classes)
    done = 0
    with progress("reading dSprites", count, "image") as bar:
        for pixels in Member("dsprites", file, "imgs", (count, SIDE, SIDE), np.dtype(np.uint8)).slices(SLICE):
            if pixels.max() > 1:
                raise UserError(f"dSprites: imgs in {file} hold values up to {pixels.max()}, expected 0 and 1.")
            images[done : done + len(pixels)] = np.packbits(pixels.reshape(len(pixels), -1), axis=1)
            done += len(pixels)
            bar.update(len(pixels))
    return images
