"""3D Chairs (Aubry et al., 2014): 1,393 chair models, each rendered from 31 azimuths at 2 elevations on white.

The usual subset has 809 models, near-duplicates dropped (Dosovitskiy et al., 2015; Yang et al., 2015). DIP-VAE learns
binary masks of it and keeps the first 80 % of the models for training; a mask is where a picture is not pure white. How
its masks were cropped is not told. Here the default is the central 400 of 600 pixels, averaged over areas down to 64;
`per_model` is the rule of Yang et al.: a square about all views of a model, with a margin of 20 pixels.

The pictures are cropped and shrunk once, and kept in the data folder.
"""

import hashlib
import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from PIL import Image

from vaezoo.data.files.find import DataFile, DataFiles, identity_on_disk, reads
from vaezoo.data.files.find import verify as checksum_of
from vaezoo.data.files.prepare import prepared
from vaezoo.data.images import ImageArrays
from vaezoo.data.readers.pictures import WORKERS, and_more, list_pictures, picture, reading
from vaezoo.errors import UserError

PICTURE, SIDE = 600, 64  # pixels wide and high, as published and as used
WHITE = 255
ELEVATIONS, AZIMUTHS = 2, 31
VIEWS = ELEVATIONS * AZIMUTHS
MARGIN = 20
BOXES = {"center400": (100, 100, 500, 500), "center300": (150, 150, 450, 450)}  # left, top, right, bottom
CHANNELS = {"mask": 1, "gray": 1, "rgb": 3}

MODELS = 1_393
NAMES_SHA256 = "d4def35bc20187d2ac5acfbf25226fbfa6e08a017127a1b995bc033b4c6a81c9"  # of all names, sorted, one a line
# Which of the sorted models belong to the subset: one bit each, the first is the most significant of the first byte.
SUBSET = bytes.fromhex(
    "fff6daeba35dfbebaaf0bab5bf91ffd1eb73bbe283283d9be0d0f6c6d67eb17fed778b77a9ff67ec"
    "17e2e78fab75c5cea75db48295886de75d0db0747bdc7cc6f8fed9a0a8fb8dffd4ba4b036f00e60f"
    "b3f28bcf0c3fe37e1f6fffafea871eba6be3e5772c518cf6cd5cb83d06fc5ddfe6643f967ca5ec70"
    "146ebfef74cfe7557f9f5ec839fb8395d76bccf012e70e050e4572d2306f9a6325b929877af10d25"
    "0b57d6d650923e95ea5dbcada87f80"
)
SUBSET_SHA256 = "ef359e16b244b5dbf1bc2253ab4ef1ec652c8577631b7599282e366174659f75"  # of its names

ARCHIVE = DataFile("rendered_chairs.tar", unpacked=("rendered_chairs",))  # about 3 GB; no checksum is published
CHAIRS = DataFiles(
    dataset="chairs3d",
    files=(ARCHIVE,),
    homepage="https://www.di.ens.fr/willow/research/seeing3Dchairs/",
    licence="none stated; for research, not to be passed on",
    mirrors=("https://www.di.ens.fr/willow/research/seeing3Dchairs/data/",),
    folders=(".",),
)
AGAIN = f" Unpack {ARCHIVE.name} again; it comes from {CHAIRS.homepage}."
VIEW = re.compile(r"(?:.*/)?([^/]+)/renders/image_\d+_p(\d+)_t(\d+)_r\d+\.png")


@reads(CHAIRS)
def chairs3d(
    path: str | None = None,
    download: bool = False,
    models: str = "subset809",
    mode: str = "mask",
    crop: str = "center400",
    mask_threshold: float = 0.5,
) -> ImageArrays:
    """All views in the order of model, elevation, azimuth; the last fifth of the models tests.

    `mask_threshold` is the share of a pixel that the chair must cover, 0: any of it.
    """
    place = CHAIRS.locate(path, download)[ARCHIVE.name]
    source = checksum_of("chairs3d", place, ARCHIVE) if place.is_file() else identity_on_disk(place)
    options: dict[str, Any] = {"models": models, "mode": mode, "crop": crop}
    if mode == "mask":
        options["threshold"] = mask_threshold
    chosen = int(members(models).sum())
    shape = (CHANNELS[mode], SIDE, SIDE)
    packed = mode == "mask"
    with reading():
        images = prepared(
            "chairs3d",
            {**source, **options},
            chosen * VIEWS,
            (SIDE * SIDE // 8,) if packed else shape,
            partial(draw, place, **options),
            chunk=16 * VIEWS,
            workers=WORKERS,
        )
    sizes = (chosen, ELEVATIONS, AZIMUTHS)
    factors = np.indices(sizes, np.int16).reshape(len(sizes), -1).T
    return ImageArrays(
        name="chairs3d",
        images=images,
        shape=shape,
        identity={"origin": "no published checksum", **source, **options},
        scale=1 if packed else 255,
        packed=packed,
        factors=np.ascontiguousarray(factors),
        factor_names=("model", "elevation", "azimuth"),
        factor_sizes=sizes,
        test_images=(chosen - chosen * 4 // 5) * VIEWS,
        groups=factors[:, 0].astype(np.int64),
    )


def members(models: str) -> np.ndarray:
    """Which of all sorted models are used, (1393,) bool."""
    if models == "all":
        return np.ones(MODELS, bool)
    return np.unpackbits(np.frombuffer(SUBSET, np.uint8), count=MODELS).astype(bool)


def grid(place: Path, models: str) -> list[str]:
    """The names of the pictures of the chosen models, by model, elevation and azimuth."""
    views: dict[str, list[tuple[int, int, str]]] = {}
    for name in list_pictures("chairs3d", place):
        if match := VIEW.fullmatch(name):
            model, elevation, azimuth = match.groups()
            views.setdefault(model, []).append((int(elevation), int(azimuth), name))
    found = sorted(views)
    if len(found) != MODELS:
        raise UserError(f"dataset=chairs3d: {place} has views of {len(found):,} models, expected {MODELS:,}.{AGAIN}")
    chosen = [name for name, used in zip(found, members(models), strict=True) if used]
    for names, known in ((found, NAMES_SHA256), (chosen, SUBSET_SHA256 if models == "subset809" else None)):
        if known not in (None, hashlib.sha256("\n".join(names).encode()).hexdigest()):
            raise UserError(f"dataset=chairs3d: the models in {place} have other names than the published ones.{AGAIN}")
    if bad := [f"{model} ({len(views[model])})" for model in chosen if not complete(views[model])]:
        raise UserError(
            f"dataset=chairs3d: {len(bad):,} models in {place} do not have each of {AZIMUTHS} azimuths at {ELEVATIONS}"
            f" elevations once: {and_more(bad)} views.{AGAIN}"
        )
    return [name for model in chosen for *_, name in sorted(views[model])]


def complete(views: Sequence[tuple[int, int, str]]) -> bool:
    """Whether each azimuth is there at each elevation, once."""
    elevations = sorted({elevation for elevation, _, _ in views})
    azimuths = [{azimuth for at, azimuth, _ in views if at == elevation} for elevation in elevations]
    return len(views) == VIEWS and [len(seen) for seen in azimuths] == [AZIMUTHS] * ELEVATIONS


def draw(
    place: Path, start: int, stop: int, *, models: str, mode: str, crop: str, threshold: float = 0.0
) -> np.ndarray:
    """Images start ... stop. Models are read whole, because a crop may depend on all views of one."""
    names = grid(place, models)
    first = start - start % VIEWS
    images = []
    for i in range(first, stop, VIEWS):
        pictures = [picture("chairs3d", place, name, (PICTURE, PICTURE)) for name in names[i : i + VIEWS]]
        views = np.stack([np.asarray(image) for image in pictures])
        if crop == "per_model" and (views == WHITE).all():
            model = PurePosixPath(names[i]).parts[-3]
            raise UserError(f"dataset=chairs3d: the views of {model} show nothing but white, in {place}.{AGAIN}")
        views = cut(views, BOXES[crop] if crop in BOXES else surrounding(views))
        images.append(masks(views, threshold) if mode == "mask" else resized(views, mode))
    return np.concatenate(images)[start - first : stop - first]


def chair(views: np.ndarray) -> np.ndarray:
    """Where pictures (..., 3) are not pure white, that is, not all ones in all channels."""
    return views[..., 0] & views[..., 1] & views[..., 2] != WHITE


def surrounding(views: np.ndarray) -> tuple[int, int, int, int]:
    """The square with a margin about everything that any of the pictures shows; it may reach beyond them."""
    chairs = chair(views)
    rows, columns = np.flatnonzero(chairs.any(axis=(0, 2))), np.flatnonzero(chairs.any(axis=(0, 1)))
    top, bottom, left, right = (int(end) for ends in (rows, columns) for end in (ends[0], ends[-1] + 1))
    side = max(bottom - top, right - left) + 2 * MARGIN
    left, top = (left + right - side) // 2, (top + bottom - side) // 2
    return left, top, left + side, top + side


def cut(views: np.ndarray, box: tuple[int, int, int, int]) -> np.ndarray:
    """What is in the box (left, top, right, bottom), white beyond the pictures."""
    left, top, right, bottom = box
    beyond = max(0, -left, -top, right - PICTURE, bottom - PICTURE)
    views = np.pad(views, ((0, 0), (beyond, beyond), (beyond, beyond), (0, 0)), constant_values=WHITE)
    return views[:, top + beyond : bottom + beyond, left + beyond : right + beyond]


def masks(views: np.ndarray, threshold: float) -> np.ndarray:
    """Where the chair covers enough of a pixel of 64 x 64, packed, (n, 512). The areas are exact."""
    covered = summed(summed(chair(views)).swapaxes(1, 2)).swapaxes(1, 2)
    enough = (covered > 0) & (covered >= threshold * views.shape[1] ** 2)
    return np.packbits(enough.reshape(len(views), -1), axis=1)


def summed(values: np.ndarray) -> np.ndarray:
    """Whole numbers (..., side) summed over 64 equal parts of the last axis, times 64 to remain whole: (..., 64).

    Matrix products do the same, on as many threads as there are cores, in each process that prepares images.
    """
    side = values.shape[-1]
    before = np.zeros((*values.shape[:-1], side + 1), np.int32)
    np.cumsum(values, axis=-1, out=before[..., 1:])
    whole, rest = np.divmod(side * np.arange(SIDE + 1), SIDE)  # where the parts begin and end
    up_to = SIDE * before[..., whole] + rest * values[..., whole.clip(max=side - 1)]
    return np.diff(up_to, axis=-1)


def resized(views: np.ndarray, mode: str) -> np.ndarray:
    """(n, C, 64, 64), bilinear over the area that a pixel covers."""
    images = [Image.fromarray(view).convert("L" if mode == "gray" else "RGB") for view in views]
    small = np.stack([np.asarray(image.resize((SIDE, SIDE), Image.Resampling.BILINEAR)) for image in images])
    return small[:, None] if mode == "gray" else small.transpose(0, 3, 1, 2)
