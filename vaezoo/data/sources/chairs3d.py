"""3D Chairs (Aubry et al., 2014): 1,393 chair models, each rendered from 31 azimuths at 2 elevations on white.

The usual subset has 809 models, without near-duplicates (Dosovitskiy et al., 2015; Yang et al., 2015). DIP-VAE learns
binary masks of the subset and trains on the first 80 % of the models; a mask is where a picture is not pure white. The
paper does not say how the masks were cropped. Here the default is the central 400 of 600 pixels, averaged over areas
down to 64; `per_model` is the rule of Yang et al.: a square about all views of a model, with a margin of 20 pixels.

The pictures are cropped and shrunk once, and kept in the data folder.
"""

import hashlib
import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, Literal

import numpy as np
from PIL import Image

from vaezoo.data.files.find import DataFile, DataFiles, describe_status, reads, verify_file
from vaezoo.data.files.prepare import prepare_images
from vaezoo.data.images import ImageArrays
from vaezoo.data.readers.grids import resize_images
from vaezoo.data.readers.pictures import WORKERS, cache_contents, list_names, read_picture, shorten_list
from vaezoo.errors import UserError
from vaezoo.ranges import ExistingPath, Fraction

PICTURE, SIDE = 600, 64  # pixels wide and high, as published and as used
WHITE = 255
ELEVATIONS, AZIMUTHS = 2, 31
VIEWS = ELEVATIONS * AZIMUTHS
MARGIN = 20
Models = Literal["subset809", "all"]
Mode = Literal["mask", "gray", "rgb"]
Crop = Literal["center400", "center300", "per_model"]
BOXES = {"center400": (100, 100, 500, 500), "center300": (150, 150, 450, 450)}  # left, top, right, bottom
CHANNELS = {"mask": 1, "gray": 1, "rgb": 3}

MODELS = 1_393
NAMES_SHA256 = "d4def35bc20187d2ac5acfbf25226fbfa6e08a017127a1b995bc033b4c6a81c9"  # of all names, sorted, one in a line
# Which of the sorted models belong to the subset: one bit each, beginning with the most significant of the first byte.
SUBSET = bytes.fromhex(
    "fff6daeba35dfbebaaf0bab5bf91ffd1eb73bbe283283d9be0d0f6c6d67eb17fed778b77a9ff67ec"
    "17e2e78fab75c5cea75db48295886de75d0db0747bdc7cc6f8fed9a0a8fb8dffd4ba4b036f00e60f"
    "b3f28bcf0c3fe37e1f6fffafea871eba6be3e5772c518cf6cd5cb83d06fc5ddfe6643f967ca5ec70"
    "146ebfef74cfe7557f9f5ec839fb8395d76bccf012e70e050e4572d2306f9a6325b929877af10d25"
    "0b57d6d650923e95ea5dbcada87f80"
)
SUBSET_SHA256 = "ef359e16b244b5dbf1bc2253ab4ef1ec652c8577631b7599282e366174659f75"  # of the names in the subset

ARCHIVE = DataFile("rendered_chairs.tar", unpacked=("rendered_chairs",))  # about 3 GB; no checksum is published
CHAIRS = DataFiles(
    dataset="chairs3d",
    files=(ARCHIVE,),
    homepage="https://www.di.ens.fr/willow/research/seeing3Dchairs/",
    licence="none stated; for research, not to be passed on",
    mirrors=("https://www.di.ens.fr/willow/research/seeing3Dchairs/data/",),
    folders=(".",),
)
UNPACK_AGAIN = f" Unpack {ARCHIVE.name} again; it comes from {CHAIRS.homepage}."
VIEW = re.compile(r"(?:.*/)?([^/]+)/renders/image_\d+_p(\d+)_t(\d+)_r\d+\.png")


@reads(CHAIRS)
def chairs3d(
    path: ExistingPath | None = None,
    download: bool = False,
    models: Models = "subset809",
    mode: Mode = "mask",
    crop: Crop = "center400",
    mask_threshold: Fraction = 0.5,
) -> ImageArrays:
    """Return all views in the order of model, elevation, azimuth; the last fifth of the models tests.

    `mask_threshold` is the share of a pixel that the chair must cover; 0 accepts any part. Raises UserError where files
    are missing or damaged, or hold other models than the published ones.
    """
    place = CHAIRS.locate(path, download)[ARCHIVE.name]
    source = verify_file("chairs3d", place, ARCHIVE) if place.is_file() else describe_status(place)
    options: dict[str, Any] = {"models": models, "mode": mode, "crop": crop}
    if mode == "mask":
        options["threshold"] = mask_threshold
    count = int(select_models(models).sum())
    shape = (CHANNELS[mode], SIDE, SIDE)
    packed = mode == "mask"
    with cache_contents():
        images = prepare_images(
            "chairs3d",
            {**source, **options},
            count * VIEWS,
            (SIDE * SIDE // 8,) if packed else shape,
            partial(make_images, place, **options),
            chunk=16 * VIEWS,
            workers=WORKERS,
        )
    sizes = (count, ELEVATIONS, AZIMUTHS)
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
        test_images=(count - count * 4 // 5) * VIEWS,
        groups=factors[:, 0].astype(np.int64),
    )


def select_models(models: Models) -> np.ndarray:
    """Return which of all models, sorted by name, are used, (1393,) bool."""
    if models == "all":
        return np.ones(MODELS, bool)
    return np.unpackbits(np.frombuffer(SUBSET, np.uint8), count=MODELS).astype(bool)


def list_views(place: Path, models: Models) -> list[str]:
    """Return the names of the pictures of the selected models, by model, elevation and azimuth.

    Raises UserError where the models are not the published ones, or lack views.
    """
    views: dict[str, list[tuple[int, int, str]]] = {}
    for name in list_names("chairs3d", place):
        if match := VIEW.fullmatch(name):
            model, elevation, azimuth = match.groups()
            views.setdefault(model, []).append((int(elevation), int(azimuth), name))
    present = sorted(views)
    if len(present) != MODELS:
        raise UserError(
            f"dataset=chairs3d: {place} has views of {len(present):,} models, expected {MODELS:,}.{UNPACK_AGAIN}"
        )
    selected = [name for name, used in zip(present, select_models(models), strict=True) if used]
    for names, sha256 in ((present, NAMES_SHA256), (selected, SUBSET_SHA256 if models == "subset809" else None)):
        if sha256 not in (None, hashlib.sha256("\n".join(names).encode()).hexdigest()):
            raise UserError(
                f"dataset=chairs3d: the models in {place} have other names than the published ones.{UNPACK_AGAIN}"
            )
    if incomplete := [f"{model} ({len(views[model])})" for model in selected if not is_complete(views[model])]:
        raise UserError(
            f"dataset=chairs3d: {len(incomplete):,} models in {place} do not have each of {AZIMUTHS} azimuths at"
            f" {ELEVATIONS} elevations once: {shorten_list(incomplete)} views.{UNPACK_AGAIN}"
        )
    return [name for model in selected for *_, name in sorted(views[model])]


def is_complete(views: Sequence[tuple[int, int, str]]) -> bool:
    """Return whether the views (elevation, azimuth, name) of a model have each azimuth at each elevation once."""
    elevations = sorted({elevation for elevation, _, _ in views})
    azimuths = [{azimuth for at, azimuth, _ in views if at == elevation} for elevation in elevations]
    return len(views) == VIEWS and [len(angles) for angles in azimuths] == [AZIMUTHS] * ELEVATIONS


def make_images(
    place: Path, start: int, stop: int, *, models: Models, mode: Mode, crop: Crop, threshold: float = 0.0
) -> np.ndarray:
    """Return images start ... stop as uint8: packed masks (n, 512), or pictures (n, C, 64, 64).

    Models are read whole, because a crop may depend on all views of a model.
    """
    names = list_views(place, models)
    first = start - start % VIEWS
    images = []
    for i in range(first, stop, VIEWS):
        pictures = [read_picture("chairs3d", place, name, (PICTURE, PICTURE)) for name in names[i : i + VIEWS]]
        views = np.stack([np.asarray(image) for image in pictures])
        if crop == "per_model" and (views == WHITE).all():
            model = PurePosixPath(names[i]).parts[-3]
            raise UserError(f"dataset=chairs3d: the views of {model} show nothing but white, in {place}.{UNPACK_AGAIN}")
        views = cut_box(views, BOXES[crop] if crop in BOXES else find_square(views))
        images.append(make_masks(views, threshold) if mode == "mask" else shrink_pictures(views, mode))
    return np.concatenate(images)[start - first : stop - first]


def find_chair(views: np.ndarray) -> np.ndarray:
    """Return where pictures (..., 3) are not pure white, that is, not all ones in all channels, (...) bool."""
    return views[..., 0] & views[..., 1] & views[..., 2] != WHITE


def find_square(views: np.ndarray) -> tuple[int, int, int, int]:
    """Return the square about everything that any of the pictures (n, H, W, 3) shows, with a margin.

    It is (left, top, right, bottom), and may reach beyond the pictures.
    """
    chairs = find_chair(views)
    rows, columns = np.flatnonzero(chairs.any(axis=(0, 2))), np.flatnonzero(chairs.any(axis=(0, 1)))
    top, bottom, left, right = (int(end) for ends in (rows, columns) for end in (ends[0], ends[-1] + 1))
    side = max(bottom - top, right - left) + 2 * MARGIN
    left, top = (left + right - side) // 2, (top + bottom - side) // 2
    return left, top, left + side, top + side


def cut_box(views: np.ndarray, box: tuple[int, int, int, int]) -> np.ndarray:
    """Return what is inside a box (left, top, right, bottom) of pictures (n, H, W, 3), white beyond the pictures."""
    left, top, right, bottom = box
    beyond = max(0, -left, -top, right - PICTURE, bottom - PICTURE)
    views = np.pad(views, ((0, 0), (beyond, beyond), (beyond, beyond), (0, 0)), constant_values=WHITE)
    return views[:, top + beyond : bottom + beyond, left + beyond : right + beyond]


def make_masks(views: np.ndarray, threshold: float) -> np.ndarray:
    """Return where the chair covers enough of a pixel of 64 x 64, packed, (n, 512). The areas are exact."""
    covered = sum_parts(sum_parts(find_chair(views)).swapaxes(1, 2)).swapaxes(1, 2)
    enough = (covered > 0) & (covered >= threshold * views.shape[1] ** 2)
    return np.packbits(enough.reshape(len(views), -1), axis=1)


def sum_parts(values: np.ndarray) -> np.ndarray:
    """Return the sums of whole numbers (..., side) over 64 equal parts of the last axis, times 64, (..., 64).

    Times 64 they are whole, so nothing is rounded. A matrix product would give the same, but on as many threads as
    there are cores, in each of the processes that prepare images.
    """
    side = values.shape[-1]
    before = np.zeros((*values.shape[:-1], side + 1), np.int32)
    np.cumsum(values, axis=-1, out=before[..., 1:])
    whole, rest = np.divmod(side * np.arange(SIDE + 1), SIDE)  # where the parts begin and end
    up_to = SIDE * before[..., whole] + rest * values[..., whole.clip(max=side - 1)]
    return np.diff(up_to, axis=-1)


def shrink_pictures(views: np.ndarray, mode: Mode) -> np.ndarray:
    """Return pictures (n, H, W, 3) as (n, C, 64, 64), bilinear over the area that a pixel covers."""
    if mode == "gray":
        views = np.stack([np.asarray(Image.fromarray(view).convert("L")) for view in views])
    return resize_images(views, SIDE)
