"""CIFAR-10 (Krizhevsky, 2009): 60,000 colour photographs of 32 x 32 in ten classes, the last 10,000 for testing.

It is published twice, as binary records and as Python pickles: the same images in the same order. Either form is read,
packed or unpacked; the binary one is preferred. A pickle is opened only when its MD5 is the published one, whatever
`verify` says, and even then nothing comes out of it but numbers, strings, lists, dicts and arrays of bytes.
"""

import hashlib
import io
import pickle
import tarfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from vaezoo.data.files.find import DataFile, DataFiles, read_payload, reads, refuse_damage, verify_file
from vaezoo.data.images import ImageArrays
from vaezoo.errors import UserError
from vaezoo.progress import progress
from vaezoo.ranges import ExistingPath

SHAPE = (3, 32, 32)
PIXELS = 3 * 32 * 32
BATCH = 10_000  # images in each of the six files; those of the last one test
CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")

# No checksums of the unpacked records are published.
RECORDS = (*(DataFile(f"data_batch_{i}.bin") for i in range(1, 6)), DataFile("test_batch.bin"))
PICKLES = (
    DataFile("data_batch_1", md5="c99cafc152244af753f735de768cd75f"),
    DataFile("data_batch_2", md5="d4bba439e000b95fd0a9bffe97cbabec"),
    DataFile("data_batch_3", md5="54ebc095f3ab1f0389bbae665268c751"),
    DataFile("data_batch_4", md5="634d18415352ddfa80567beed471001a"),
    DataFile("data_batch_5", md5="482c414d41f54cd18b22e5b47cb7c3cb"),
    DataFile("test_batch", md5="40351d587109b95175f43aff81a1287e"),
)
BINARY = DataFiles(
    dataset="cifar10",
    files=(
        DataFile(
            "cifar-10-binary.tar.gz",
            170_052_171,
            md5="c32a1d4ab5d03f1284b67883e8d87530",
            sha256="c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
            unpacked=("cifar-10-batches-bin",),
        ),
    ),
    homepage="https://www.cs.toronto.edu/~kriz/cifar.html",
    licence="none stated",
    mirrors=("https://www.cs.toronto.edu/~kriz/",),
    folders=(".",),
)
PICKLED = replace(
    BINARY,
    files=(
        DataFile(
            "cifar-10-python.tar.gz",
            170_498_071,
            md5="c58f30108f718f92721af3b95e74349a",
            sha256="6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce",
            unpacked=("cifar-10-batches-py",),
        ),
    ),
)


def select_form(path: str | None = None, **options: Any) -> DataFiles:
    """Return the files of the pickled form where only that form is there, else those of the binary form."""

    def has_pickles(place: Path) -> bool:
        return place.name == PICKLED.files[0].name if place.is_file() else bool(PICKLED.find_in(place))

    places = BINARY.list_places(path)
    has_binary = any(BINARY.find_in(place) for place in places if not place.is_file())
    return PICKLED if not has_binary and any(map(has_pickles, places)) else BINARY


@reads(select_form)
def cifar10(path: ExistingPath | None = None, verify: bool = True, download: bool = False) -> ImageArrays:
    """Return the training images, then the test images.

    `path` is an archive, its unpacked folder, or the folder of one of them. Raises UserError where files are missing or
    not the published ones.
    """
    form = select_form(path)
    (archive,) = form.files
    place = form.locate(path, download)[archive.name]
    if verify and place.is_file():
        verify_file("cifar10", place, archive)
    files = PICKLES if form is PICKLED else RECORDS
    official = form is PICKLED or (verify and place.is_file())
    payloads = read_folder(place, files) if place.is_dir() else read_archive(place, files)
    check_payloads(place, files, payloads)
    parse = parse_pickle if form is PICKLED else parse_records
    images = np.empty((len(files) * BATCH, PIXELS), np.uint8)
    labels = np.empty(len(files) * BATCH, np.int64)
    for i, file in enumerate(files):
        batch = slice(i * BATCH, (i + 1) * BATCH)
        images[batch], labels[batch] = parse(f"{file.name} in {place}", payloads[file.name])
    if labels.min() < 0 or labels.max() >= len(CLASSES):
        raise UserError(f"dataset=cifar10: {place} has labels {labels.min()} ... {labels.max()}, expected 0 ... 9.")
    # The checksum is of the arrays and not of the files, so that it is the same for both forms.
    digest = hashlib.sha256(images.data)
    digest.update(labels.astype(np.uint8).tobytes())
    return ImageArrays(
        name="cifar10",
        images=images.reshape(-1, *SHAPE),
        shape=SHAPE,
        identity={
            "origin": "official" if official else "unverified files",
            "file": place.name,
            "sha256": digest.hexdigest(),
        },
        labels=labels,
        label_names=CLASSES,
        test_images=BATCH,
    )


def read_folder(folder: Path, files: Sequence[DataFile]) -> dict[str, bytes]:
    """Return the content of the files that lie in a folder, by name."""
    present = [file.name for file in files if (folder / file.name).is_file()]
    return {name: read_payload("cifar10", folder / name, None) for name in present}


def read_archive(archive: Path, files: Sequence[DataFile]) -> dict[str, bytes]:
    """Return the content of the files that lie in an archive, by name."""
    names = {file.name for file in files}
    payloads: dict[str, bytes] = {}
    with (
        refuse_damage("cifar10", archive, (tarfile.TarError, zlib.error, OSError, EOFError)),
        tarfile.open(archive) as tar,
        progress("unpacking CIFAR-10", len(names), "file") as bar,
    ):
        for member in tar:
            name = PurePosixPath(member.name).name
            if name in names and (stream := tar.extractfile(member)):
                payloads[name] = stream.read()
                bar.update()
    return payloads


def check_payloads(place: Path, files: Sequence[DataFile], payloads: Mapping[str, bytes]) -> None:
    """Raise UserError where files are missing, or have another MD5 than the published one, if there is one."""
    if missing := [file.name for file in files if file.name not in payloads]:
        raise UserError(f"dataset=cifar10: {place} lacks {', '.join(missing)}. Fetch it again from {BINARY.homepage}.")
    for file in files:
        md5 = hashlib.md5(payloads[file.name], usedforsecurity=False).hexdigest()
        if file.md5 not in (None, md5):
            raise UserError(
                f"dataset=cifar10: {file.name} in {place} has the MD5 {md5}, expected {file.md5}. A pickle of unknown"
                f" content is not opened; {BINARY.files[0].name} can be read instead."
            )


def parse_records(where: str, payload: bytes) -> tuple[np.ndarray, np.ndarray]:
    """Return the images (10000, 3072) and labels (10000,) of binary records, uint8.

    A record is the label and 1,024 red, green and blue values each, row by row. `where` names the file in messages.
    """
    if len(payload) != BATCH * (1 + PIXELS):
        raise UserError(
            f"dataset=cifar10: {where} has {len(payload):,} bytes, but {BATCH:,} images are {BATCH * (1 + PIXELS):,}."
        )
    records = np.frombuffer(payload, np.uint8).reshape(BATCH, 1 + PIXELS)
    return records[:, 1:], records[:, 0]


def parse_pickle(where: str, payload: bytes) -> tuple[np.ndarray, np.ndarray]:
    """Return the images (10000, 3072) and labels (10000,) of a pickled dict of Python 2; `where` is for messages."""
    try:
        batch = BatchUnpickler(io.BytesIO(payload), encoding="bytes").load()
        images, labels = batch[b"data"].values, np.array(batch[b"labels"])
    except Exception as error:  # A pickle that is no batch of images may raise anything.
        raise UserError(f"dataset=cifar10: {where} is no batch of images: {error}.") from error
    if images.shape != (BATCH, PIXELS) or labels.shape != (BATCH,):
        raise UserError(
            f"dataset=cifar10: {where} has {images.shape} values and {labels.shape} labels, expected {(BATCH, PIXELS)}"
            f" and {(BATCH,)}."
        )
    return images, labels


class ByteType:
    """A replacement for numpy's dtype in a pickle, which accepts bytes only."""

    def __init__(self, name: bytes, *options: Any) -> None:
        if name != b"u1":
            raise pickle.UnpicklingError(f"it has an array of {name!r}")

    def __setstate__(self, state: Any) -> None:
        pass


class ByteArray:
    """A replacement for numpy's array in a pickle, so that numpy only ever gets arrays of bytes."""

    def __init__(self, *options: Any) -> None:
        self.values = np.empty(0, np.uint8)

    def __setstate__(self, state: Any) -> None:
        _, shape, kind, by_columns, values = state
        if not isinstance(kind, ByteType) or by_columns:
            raise pickle.UnpicklingError("it has an array of other values than bytes")
        self.values = np.frombuffer(values, np.uint8).reshape(shape)


class BatchUnpickler(pickle.Unpickler):
    """An unpickler that builds what the batches are made of, and nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        replacements = {
            "numpy.core.multiarray._reconstruct": ByteArray,
            "numpy.dtype": ByteType,
            "numpy.ndarray": None,  # Only _reconstruct gets it, and ignores it.
        }
        if f"{module}.{name}" not in replacements:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}")
        return replacements[f"{module}.{name}"]
