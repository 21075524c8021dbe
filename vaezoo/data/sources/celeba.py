"""CelebA (Liu et al., 2015): 202,599 aligned photographs of faces, 178 x 218, with 40 attributes that hold or do not.

The attributes are factors of two levels each. They are no grid: most of their combinations never occur, and they depend
on one another, so scores that hold one of them fixed say so (`interventional`). With `class_attribute`, one of them is
the label of each image as well.

The pictures are cropped and resized once, and kept in the data folder. They may not be passed on.
"""

from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image

from vaezoo.data.files.find import DataFile, DataFiles, describe_status, reads, refuse_damage, refuse_pages, verify_file
from vaezoo.data.files.prepare import prepare_images
from vaezoo.data.images import ImageArrays
from vaezoo.data.readers.grids import move_channels_first
from vaezoo.data.readers.pictures import WORKERS, cache_contents, list_names, read_picture, shorten_list
from vaezoo.errors import UserError, nearest
from vaezoo.ranges import ExistingPath

WIDTH, HEIGHT = 178, 218
PARTS = (162_770, 19_867, 19_962)  # training, validation and test images, in this order

Crop = Literal["center148", "schik118", "center128", "center108", "none"]
Resample = Literal["bilinear", "nearest"]
CROPS: dict[Crop, tuple[int, int, int, int]] = {  # left, top, right, bottom
    "center148": (15, 35, 163, 183),  # usual when DIP-VAE was published
    "schik118": (30, 50, 148, 168),  # Schik
    "center128": (25, 45, 153, 173),  # Ye & Bors (2021)
    "center108": (35, 55, 143, 163),  # usual for GANs
    "none": (0, 0, WIDTH, HEIGHT),  # squeezed into a square
}
OWN_RESAMPLE: dict[Crop, Resample] = {"schik118": "nearest"}  # The other crops are resized smoothly.

NAMES = """
5_o_Clock_Shadow Arched_Eyebrows Attractive Bags_Under_Eyes Bald Bangs Big_Lips Big_Nose Black_Hair Blond_Hair Blurry
Brown_Hair Bushy_Eyebrows Chubby Double_Chin Eyeglasses Goatee Gray_Hair Heavy_Makeup High_Cheekbones Male
Mouth_Slightly_Open Mustache Narrow_Eyes No_Beard Oval_Face Pale_Skin Pointy_Nose Receding_Hairline Rosy_Cheeks
Sideburns Smiling Straight_Hair Wavy_Hair Wearing_Earrings Wearing_Hat Wearing_Lipstick Wearing_Necklace
Wearing_Necktie Young
"""
ATTRIBUTES = tuple(NAMES.split())

PICTURES = DataFile(
    "img_align_celeba.zip",
    1_443_490_838,
    md5="00d2c5bc6d35e252742224ab0c1e8fcb",
    sha256="46fb89443c578308acf364d7d379fe1b9efb793042c0af734b6112e4fd3a8c74",
    other_names=("celeba.zip",),
    unpacked=("img_align_celeba",),
)
ATTRIBUTE_LIST = DataFile(
    "list_attr_celeba.txt",
    26_721_026,
    md5="75e246fa4810816ffd6ee81facbd244c",
    sha256="f0e5da289d5ccf75ffe8811132694922b60f2af59256ed362afa03fefba324d0",
    other_names=("list_attr_celeba.csv",),
)
PARTITION = DataFile(
    "list_eval_partition.txt",
    2_836_386,
    md5="d32c9cbf5e040fd4025c592c306e6668",
    sha256="fc955bcb3ef8fbdf7d5640d9a8693a8431b5f2ee291a5c1449a1549e7e073fe7",
    other_names=("list_eval_partition.csv",),
)
CELEBA = DataFiles(
    dataset="celeba",
    files=(PICTURES, ATTRIBUTE_LIST, PARTITION),
    homepage="https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html (Large-scale CelebFaces Attributes Dataset)",
    licence="non-commercial research; the images may not be passed on",
)


@reads(CELEBA)
def celeba(
    path: ExistingPath | None = None,
    verify: bool = True,
    size: Literal[32, 64, 128] = 64,
    crop: Crop = "center148",
    resample: Resample | None = None,
    class_attribute: str | None = None,
) -> ImageArrays:
    """Return all images in the order of their numbers, the test images last.

    `resample=None` takes the resampling that the crop was published with. Raises UserError where files are missing or
    not the published ones, and for an attribute that does not exist.
    """
    if class_attribute is not None and class_attribute not in ATTRIBUTES:
        raise UserError(
            f"dataset.class_attribute={class_attribute}: there is no such attribute."
            f"{nearest(class_attribute, ATTRIBUTES)} Known: {', '.join(ATTRIBUTES)}."
        )
    resample = resample or OWN_RESAMPLE.get(crop, "bilinear")
    files = CELEBA.locate(path)
    for file in (ATTRIBUTE_LIST, PARTITION):
        if verify and files[file.name].suffix == ".txt":  # No checksums are published of the other forms.
            verify_file("celeba", files[file.name], file)
    attributes = read_list(files[ATTRIBUTE_LIST.name], (-1, 1), ATTRIBUTES) == 1
    check_partition(files[PARTITION.name])

    place = files[PICTURES.name]
    official = verify and place.is_file()
    source = verify_file("celeba", place, PICTURES) if official else describe_status(place)
    options: dict[str, Any] = {"crop": crop, "size": size, "resample": resample}
    count, shape = sum(PARTS), (3, size, size)
    with cache_contents():
        make = partial(crop_pictures, place, count, **options)
        images = prepare_images("celeba", {**source, **options}, count, shape, make, workers=WORKERS)
    labels = None if class_attribute is None else attributes[:, ATTRIBUTES.index(class_attribute)].astype(np.int64)
    return ImageArrays(
        name="celeba",
        images=images,
        shape=shape,
        identity={"origin": "official" if official else "unverified files", **source, **options},
        factors=attributes.astype(np.uint8),
        factor_names=ATTRIBUTES,
        factor_sizes=(2,) * len(ATTRIBUTES),
        labels=labels,
        label_names=() if class_attribute is None else (f"not {class_attribute}", class_attribute),
        test_images=PARTS[2],
    )


def read_list(file: Path, values: tuple[int, ...], header: tuple[str, ...] = ()) -> np.ndarray:
    """Return the numbers beside the name of each picture, (N, columns) int64.

    Columns are separated by blanks in a text file, by commas in a CSV file. Raises UserError where the names `header`
    do not stand above the columns, where the pictures are others, and where a number is not one of `values`.
    """
    refuse_pages("celeba", file)
    lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
    delimiter = "," if file.suffix == ".csv" else None
    first = next((i for i, line in enumerate(lines) if line.startswith(picture_name(0))), len(lines))
    if first == len(lines):
        raise UserError(f"dataset=celeba: {file} does not list {picture_name(0)}. Fetch it again.")
    if header and (first == 0 or tuple(lines[first - 1].split(delimiter))[-len(header) :] != header):
        raise UserError(f"dataset=celeba: {file} has not the names of the {len(header)} attributes above its columns.")
    columns = range(1, 1 + max(len(header), 1))
    with refuse_damage("celeba", file, (ValueError,)):
        names = np.loadtxt(lines[first:], str, delimiter=delimiter, usecols=0, ndmin=1)
        table = np.loadtxt(lines[first:], np.int64, delimiter=delimiter, usecols=columns, ndmin=2)
    count = sum(PARTS)
    if len(names) != count:
        raise UserError(f"dataset=celeba: {file} lists {len(names):,} pictures, expected {count:,}.")
    expected = np.array([picture_name(row) for row in range(count)])
    if (differs := names != expected).any():
        row = int(differs.argmax())
        raise UserError(f"dataset=celeba: {file} lists {names[row]} where {expected[row]} is expected.")
    if not np.isin(table, values).all():
        raise UserError(f"dataset=celeba: {file} has other values than {', '.join(map(str, values))}.")
    return table


def check_partition(file: Path) -> None:
    """Raise UserError where the parts are not the published ones, which follow one another as the split expects."""
    parts = read_list(file, (0, 1, 2))[:, 0]
    if (differs := parts != np.repeat([0, 1, 2], PARTS)).any():
        row = int(differs.argmax())
        name, part = picture_name(row), parts[row]
        raise UserError(f"dataset=celeba: {file} puts {name} into part {part}, unlike the published one.")


def picture_name(row: int) -> str:
    """Return the name of the picture file of a row; files are numbered from 1."""
    return f"{row + 1:06d}.jpg"


def crop_pictures(
    place: Path, count: int, start: int, stop: int, *, crop: Crop, size: int, resample: Resample
) -> np.ndarray:
    """Return pictures start ... stop of all `count`, cropped and resized, (stop - start, 3, size, size) uint8."""
    names = list_names("celeba", place)
    # Archives hold the pictures in a folder, or in a folder of a folder.
    first = next((name for name in names if f"/{name}".endswith(f"/{picture_name(0)}")), "")
    folder = first.removesuffix(picture_name(0))

    def find_missing(rows: range) -> list[str]:
        return [name for row in rows if (name := folder + picture_name(row)) not in names]

    # The first piece looks for all pictures, so that a missing one is not noticed only after the others were read.
    if (start == 0 or find_missing(range(start, stop))) and (missing := find_missing(range(count))):
        raise UserError(
            f"dataset=celeba: {place} lacks {len(missing):,} of {count:,} pictures: {shorten_list(missing)}."
            f" They come from {CELEBA.homepage}."
        )
    squares = [
        read_picture("celeba", place, folder + picture_name(row), (WIDTH, HEIGHT))
        .crop(CROPS[crop])
        .resize((size, size), Image.Resampling[resample.upper()])
        for row in range(start, stop)
    ]
    return move_channels_first(np.stack([np.asarray(square) for square in squares]))
