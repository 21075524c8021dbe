"""MNIST (LeCun et al., 1998) and Fashion-MNIST (Xiao et al., 2017): 70,000 grey images of 28 x 28 in ten classes.

Both come in four IDX files of the same names, so they need folders of their own; the checksums notice a mix-up. Grey
values are used as they are, 0 ... 255, not binarised.
"""

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np

from vaezoo.data.arrays import ImageArrays
from vaezoo.data.files import data_folder, identity, locate, read_payload
from vaezoo.data.sources.rotated import rotated
from vaezoo.errors import UserError

log = logging.getLogger(__name__)

SIDE = 28
IMAGES, LABELS = 2051, 2049  # the first number of an IDX file says what it holds
PARTS = ("train", "t10k")

# MD5 of what each file holds, decompressed.
MNIST_MD5 = {
    "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
    "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
    "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
    "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
}
FASHION_MD5 = {
    "train-images-idx3-ubyte": "f4a8712d7a061bf5bd6d2ca38dc4d50a",
    "train-labels-idx1-ubyte": "9018921c3c673c538a1fc5bad174d6f9",
    "t10k-images-idx3-ubyte": "8181f5470baa50b63fa0f6fddb340f0a",
    "t10k-labels-idx1-ubyte": "15d484375f8d13e6eb1aabb0c3f46965",
}
CLOTHES = "T-shirt/top, Trouser, Pullover, Dress, Coat, Sandal, Shirt, Sneaker, Bag, Ankle boot"


def mnist(path: str | None = None, size: int = SIDE, verify: bool = True) -> ImageArrays:
    """The training images, then the 10,000 test images; `size=32` puts a black frame of two pixels around them."""
    source = "https://ossci-datasets.s3.amazonaws.com/mnist/ or https://storage.googleapis.com/cvdf-datasets/mnist/"
    folders = [data_folder() / "MNIST" / "raw"]
    names = tuple(map(str, range(10)))
    return framed(read("mnist", path, folders, MNIST_MD5 if verify else {}, names, source), size)


def fashionmnist(path: str | None = None, size: int = SIDE, verify: bool = True) -> ImageArrays:
    """As `mnist`; the files of Debian's package dataset-fashion-mnist are found by themselves."""
    source = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/ or Debian's package dataset-fashion-mnist"
    folders = [data_folder() / "FashionMNIST" / "raw", Path("/usr/share/datasets/fashion-mnist")]
    names = tuple(CLOTHES.split(", "))
    return framed(read("fashionmnist", path, folders, FASHION_MD5 if verify else {}, names, source), size)


def rotatedmnist(
    path: str | None = None,
    size: int = SIDE,
    verify: bool = True,
    angles: int = 9,
    class_id: int | None = 3,
    count: int | None = 5000,
) -> ImageArrays:
    """The first 5,000 training images of one class, each at nine angles: 45,000 images."""
    turned = rotated(training_part(mnist(path, verify=verify)), angles=angles, class_id=class_id, count=count)
    return framed(turned, size)


def rotatedfashionmnist(
    path: str | None = None,
    size: int = SIDE,
    verify: bool = True,
    angles: int = 9,
    class_id: int | None = 0,
    count: int | None = 5000,
) -> ImageArrays:
    turned = rotated(training_part(fashionmnist(path, verify=verify)), angles=angles, class_id=class_id, count=count)
    return framed(turned, size)


def read(
    name: str, path: str | None, folders: list[Path], md5: dict[str, str], label_names: tuple[str, ...], source: str
) -> ImageArrays:
    files = [f"{part}-{kind}" for part in PARTS for kind in ("images-idx3-ubyte", "labels-idx1-ubyte")]
    places = locate(name, files, path, folders, source)
    payloads = {file: read_payload(name, places[file], md5.get(file)) for file in files}
    images = [parse(name, file, payloads[file], IMAGES) for file in files[::2]]
    labels = [parse(name, file, payloads[file], LABELS) for file in files[1::2]]
    for pictures, classes, part in zip(images, labels, PARTS, strict=True):
        if len(pictures) != len(classes):
            raise UserError(f"dataset={name}: {len(pictures)} images but {len(classes)} labels in the {part} files.")
    return ImageArrays(
        name=name,
        images=np.concatenate(images)[:, None],
        shape=(1, *images[0].shape[1:]),
        identity={"origin": "official" if md5 else "unverified files", "sha256": identity(payloads)},
        labels=np.concatenate(labels).astype(np.int64),
        label_names=label_names,
        test_images=len(images[1]),
    )


def parse(name: str, file: str, payload: bytes, kind: int) -> np.ndarray:
    """The array in an IDX file of unsigned bytes: its kind and sizes as big-endian 32-bit numbers, then the values."""
    dimensions = kind & 0xFF
    header = np.frombuffer(payload[: 4 + 4 * dimensions], ">u4")
    if len(header) != 1 + dimensions or header[0] != kind:
        raise UserError(f"dataset={name}: {file} is no IDX file of {'images' if kind == IMAGES else 'labels'}.")
    shape = tuple(map(int, header[1:]))
    values = np.frombuffer(payload, np.uint8, offset=4 + 4 * dimensions)
    if values.size != np.prod(shape):
        raise UserError(f"dataset={name}: {file} should hold {np.prod(shape):,} values, but holds {values.size:,}.")
    return values.reshape(shape)


def training_part(arrays: ImageArrays) -> ImageArrays:
    assert arrays.labels is not None
    count = len(arrays) - (arrays.test_images or 0)
    return replace(arrays, images=arrays.images[:count], labels=arrays.labels[:count], test_images=None)


def framed(arrays: ImageArrays, size: int) -> ImageArrays:
    """With a black frame that makes the images `size` pixels wide and high: exact, unlike resizing."""
    side = arrays.shape[1]
    if size == side:
        return arrays
    if size < side or (size - side) % 2:
        raise UserError(
            f"dataset={arrays.name}: size={size} is not possible; {side}, or an even number of pixels more."
        )
    border = (size - side) // 2
    images = np.pad(arrays.images, ((0, 0), (0, 0), (border, border), (border, border)))
    return replace(arrays, images=images, shape=(1, size, size))
