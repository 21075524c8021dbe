"""MNIST (LeCun et al., 1998) and Fashion-MNIST (Xiao et al., 2017): 70,000 grey images of 28 x 28 in ten classes.

Both come in four IDX files of the same names, so each needs a folder of its own; checksums notice a mix-up. Grey values
are used as they are, 0 ... 255, not binarised.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Literal

import numpy as np

from vaezoo.data.files.find import DataFile, DataFiles, read_payload, reads
from vaezoo.data.images import ImageArrays
from vaezoo.data.sources.rotated import rotate_drawings
from vaezoo.errors import UserError
from vaezoo.ranges import Count, ExistingPath, Natural, Several

Size = Literal[28, 32]
IMAGES, LABELS = 2051, 2049  # the first number of an IDX file, which says what it holds
PARTS = ("train", "t10k")

MNIST = DataFiles(
    dataset="mnist",
    files=(
        DataFile(
            "train-images-idx3-ubyte.gz",
            9_912_422,
            md5="f68b3c2dcbeaaa9fbdd348bbdeb94873",
            sha256="440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
            payload_md5="6bbc9ace898e44ae57da46a324031adb",
        ),
        DataFile(
            "train-labels-idx1-ubyte.gz",
            28_881,
            md5="d53e105ee54ea40749a09fcbcd1e9432",
            sha256="3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
            payload_md5="a25bea736e30d166cdddb491f175f624",
        ),
        DataFile(
            "t10k-images-idx3-ubyte.gz",
            1_648_877,
            md5="9fb629c4189551a2d022fa330f9573f3",
            sha256="8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
            payload_md5="2646ac647ad5339dbf082846283269ea",
        ),
        DataFile(
            "t10k-labels-idx1-ubyte.gz",
            4_542,
            md5="ec29112dd5afa0611ce80d1b7f02629c",
            sha256="f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
            payload_md5="27ae3e4e09519cfbb04c329615203637",
        ),
    ),
    homepage="http://yann.lecun.com/exdb/mnist/",
    licence="usually given as CC BY-SA 3.0",
    mirrors=(
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
        "http://yann.lecun.com/exdb/mnist/",
    ),
    folders=("MNIST/raw",),
)
FASHION = DataFiles(
    dataset="fashionmnist",
    files=(
        DataFile(
            "train-images-idx3-ubyte.gz",
            26_421_880,
            md5="8d4fb7e6c68d591d4c3dfef9ec88bf0d",
            payload_md5="f4a8712d7a061bf5bd6d2ca38dc4d50a",
        ),
        DataFile(
            "train-labels-idx1-ubyte.gz",
            29_515,
            md5="25c81989df183df01b3e8a0aad5dffbe",
            payload_md5="9018921c3c673c538a1fc5bad174d6f9",
        ),
        DataFile(
            "t10k-images-idx3-ubyte.gz",
            4_422_102,
            md5="bef4ecab320f06d8554ea6380940ec79",
            payload_md5="8181f5470baa50b63fa0f6fddb340f0a",
        ),
        DataFile(
            "t10k-labels-idx1-ubyte.gz",
            5_148,
            md5="bb300cfdad3c16e7a12a480ee83cd310",
            payload_md5="15d484375f8d13e6eb1aabb0c3f46965",
        ),
    ),
    homepage="https://github.com/zalandoresearch/fashion-mnist, or Debian's package dataset-fashion-mnist",
    licence="MIT",
    mirrors=("http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",),
    folders=("FashionMNIST/raw", "/usr/share/datasets/fashion-mnist"),
)
DIGITS = tuple(map(str, range(10)))
CLOTHES = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")


@reads(MNIST)
def mnist(
    path: ExistingPath | None = None, size: Size = 28, verify: bool = True, download: bool = False
) -> ImageArrays:
    """Return the training images, then the 10,000 test images; `size=32` puts a black frame of two pixels around them.

    `path` is the folder of the four files. Raises UserError where files are missing or not the published ones.
    """
    return add_frame(read_files(MNIST, DIGITS, path, verify, download), size)


@reads(FASHION)
def fashionmnist(
    path: ExistingPath | None = None, size: Size = 28, verify: bool = True, download: bool = False
) -> ImageArrays:
    """Return Fashion-MNIST, with the options of `mnist`; files of Debian's package dataset-fashion-mnist are found."""
    return add_frame(read_files(FASHION, CLOTHES, path, verify, download), size)


@reads(MNIST)
def rotatedmnist(
    path: ExistingPath | None = None,
    size: Size = 28,
    verify: bool = True,
    download: bool = False,
    angles: Several = 9,
    class_id: Natural | None = 3,
    count: Count | None = 5000,
) -> ImageArrays:
    """Return the first `count` training images of one class, each at every angle: 45,000 images by default."""
    upright = select_training_part(mnist(path, verify=verify, download=download))
    return add_frame(rotate_drawings(upright, angles=angles, class_id=class_id, count=count), size)


@reads(FASHION)
def rotatedfashionmnist(
    path: ExistingPath | None = None,
    size: Size = 28,
    verify: bool = True,
    download: bool = False,
    angles: Several = 9,
    class_id: Natural | None = 0,
    count: Count | None = 5000,
) -> ImageArrays:
    """Return the first `count` training images of one class of Fashion-MNIST, each at every angle."""
    upright = select_training_part(fashionmnist(path, verify=verify, download=download))
    return add_frame(rotate_drawings(upright, angles=angles, class_id=class_id, count=count), size)


def read_files(
    expected: DataFiles, label_names: tuple[str, ...], path: str | None, verify: bool, download: bool
) -> ImageArrays:
    """Return the images and labels of the four files of a data set, the test images last."""
    name, places = expected.dataset, expected.locate(path, download)
    payloads = {
        file.name.removesuffix(".gz"): read_payload(name, places[file.name], file.payload_md5 if verify else None)
        for file in expected.files
    }
    files = list(payloads)
    images = [parse_idx(name, file, payloads[file], IMAGES) for file in files[::2]]
    labels = [parse_idx(name, file, payloads[file], LABELS) for file in files[1::2]]
    for pictures, classes, part in zip(images, labels, PARTS, strict=True):
        if len(pictures) != len(classes):
            raise UserError(f"dataset={name}: {len(pictures)} images but {len(classes)} labels in the {part} files.")
    return ImageArrays(
        name=name,
        images=np.concatenate(images)[:, None],
        shape=(1, *images[0].shape[1:]),
        identity={"origin": "official" if verify else "unverified files", "sha256": hash_payloads(payloads)},
        labels=np.concatenate(labels).astype(np.int64),
        label_names=label_names,
        test_images=len(images[1]),
    )


def parse_idx(name: str, file: str, payload: bytes, kind: int) -> np.ndarray:
    """Return the array in an IDX file of unsigned bytes.

    The file holds its kind and its sizes as big-endian 32-bit numbers, then the values. Raises UserError where it is of
    another kind, or has another number of values.
    """
    dimensions = kind & 0xFF
    header = np.frombuffer(payload[: 4 + 4 * dimensions], ">u4")
    if len(header) != 1 + dimensions or header[0] != kind:
        raise UserError(f"dataset={name}: {file} is no IDX file of {'images' if kind == IMAGES else 'labels'}.")
    shape = tuple(map(int, header[1:]))
    values = np.frombuffer(payload, np.uint8, offset=4 + 4 * dimensions)
    if values.size != np.prod(shape):
        raise UserError(f"dataset={name}: {file} should hold {np.prod(shape):,} values, but holds {values.size:,}.")
    return values.reshape(shape)


def hash_payloads(payloads: Mapping[str, bytes]) -> str:
    """Return the SHA-256 of the SHA-256 of all files, in the order of their names."""
    digest = hashlib.sha256()
    for file in sorted(payloads):
        digest.update(hashlib.sha256(payloads[file]).digest())
    return digest.hexdigest()


def select_training_part(arrays: ImageArrays) -> ImageArrays:
    """Return the images and labels without the published test part."""
    assert arrays.labels is not None
    count = len(arrays) - (arrays.test_images or 0)
    return replace(arrays, images=arrays.images[:count], labels=arrays.labels[:count], test_images=None)


def add_frame(arrays: ImageArrays, size: int) -> ImageArrays:
    """Return the images with a black frame that makes them `size` pixels wide and high: exact, unlike resizing."""
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
