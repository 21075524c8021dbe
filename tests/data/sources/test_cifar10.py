"""CIFAR-10 in all forms that it is published in: binary and pickled, packed and unpacked, whole, damaged, malicious."""

import gzip
import hashlib
import io
import os
import pickle
import struct
import tarfile
from dataclasses import replace

import numpy as np
import pytest

from tests.support.configuration import compose_train
from vaezoo.data.files.find import DataFile
from vaezoo.data.sources import cifar10 as source
from vaezoo.data.sources.cifar10 import CLASSES, cifar10
from vaezoo.errors import UserError

BATCH = 20  # images in a file, in place of 10,000
RNG = np.random.default_rng(0)
VALUES = RNG.integers(256, size=(6 * BATCH, 3072), dtype=np.uint8)
LABELS = np.arange(6 * BATCH) % 10
BINARY, PYTHON = "cifar-10-batches-bin", "cifar-10-batches-py"
ARCHIVE = "cifar-10-binary.tar.gz"


def records() -> dict[str, bytes]:
    whole = np.concatenate([LABELS[:, None].astype(np.uint8), VALUES], axis=1)
    return {file.name: part.tobytes() for file, part in zip(source.RECORDS, np.split(whole, 6), strict=True)}


def text(value: bytes) -> bytes:
    """A str of Python 2 in a pickle."""
    return (b"U" + bytes([len(value)]) if len(value) < 256 else b"T" + struct.pack("<i", len(value))) + value


def integer(value: int) -> bytes:
    return b"M" + struct.pack("<H", value)


def python2_batch(values: np.ndarray, labels: np.ndarray, *, title: bytes = text(b"batch 1 of 5")) -> bytes:
    """Protocol 2 as Python 2 and its numpy wrote the published files; `title` is the pickled batch_label."""
    rows, columns = values.shape
    array = (
        b"cnumpy.core.multiarray\n_reconstruct\n" + b"cnumpy\nndarray\n" + b"K\x00\x85" + text(b"b") + b"\x87R"
        b"(K\x01" + integer(rows) + integer(columns) + b"\x86"
        b"cnumpy\ndtype\n" + text(b"u1") + b"K\x00K\x01\x87R"
        b"(K\x03"
        + text(b"|")
        + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
        + b"\x89"
        + text(values.tobytes())
        + b"tb"
    )
    listed = b"](" + b"".join(integer(int(label)) for label in labels) + b"e"
    names = b"](" + b"".join(text(b"photo_%d.png" % i) for i in range(rows)) + b"e"
    entries = [(b"batch_label", title), (b"labels", listed), (b"data", array), (b"filenames", names)]
    return b"\x80\x02}(" + b"".join(text(key) + value for key, value in entries) + b"u."


def pickles() -> dict[str, bytes]:
    parts = zip(source.PICKLES, np.split(VALUES, 6), np.split(LABELS, 6), strict=True)
    return {file.name: python2_batch(values, labels) for file, values, labels in parts}


def packed(folder: str, held: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for name, payload in {**held, "readme.html": b"<html>"}.items():
            member = tarfile.TarInfo(f"{folder}/{name}")
            member.size = len(payload)
            tar.addfile(member, io.BytesIO(payload))
    return gzip.compress(stream.getvalue(), mtime=0)


def expect(monkeypatch, held: dict[str, bytes]) -> None:
    """These pickles are the published ones."""
    files = tuple(DataFile(name, md5=hashlib.md5(payload).hexdigest()) for name, payload in held.items())
    monkeypatch.setattr(source, "PICKLES", files)


def known(monkeypatch, form: str, content: bytes) -> None:
    """This archive is the published one."""
    files = getattr(source, form)
    file = replace(files.files[0], size=len(content), md5=None, sha256=hashlib.sha256(content).hexdigest())
    monkeypatch.setattr(source, form, replace(files, files=(file,)))


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder of the data set with the binary archive; small files count as the published ones."""
    archive = packed(BINARY, records())
    monkeypatch.setattr(source, "BATCH", BATCH)
    known(monkeypatch, "BINARY", archive)
    known(monkeypatch, "PICKLED", packed(PYTHON, pickles()))
    expect(monkeypatch, pickles())
    monkeypatch.setenv("VAEZOO_DATA", str(tmp_path / "data"))
    folder = tmp_path / "data" / "cifar10"
    folder.mkdir(parents=True)
    (folder / ARCHIVE).write_bytes(archive)
    return folder


@pytest.fixture
def bare(place):
    """As `place`, without the archive."""
    (place / ARCHIVE).unlink()
    return place


def unpack(folder, held):
    folder.mkdir(parents=True)
    for name, payload in held.items():
        (folder / name).write_bytes(payload)


def check_whole(arrays):
    assert arrays.shape == (3, 32, 32)
    assert (len(arrays), arrays.test_images, arrays.scale) == (6 * BATCH, BATCH, 255)
    np.testing.assert_array_equal(arrays.images[:, 0, 0], VALUES[:, :32])  # the top row, red
    np.testing.assert_array_equal(arrays.images[:, 2, 31], VALUES[:, -32:])  # the bottom row, blue
    np.testing.assert_array_equal(arrays.images.reshape(-1, 3072), VALUES)
    np.testing.assert_array_equal(arrays.labels, LABELS)
    assert arrays.labels.dtype == np.int64
    assert arrays.label_names == CLASSES


def test_binary_archive(place):
    arrays = cifar10()
    check_whole(arrays)
    assert arrays.identity["origin"] == "official"
    assert cifar10(str(place)).identity == arrays.identity
    assert cifar10(str(place / ARCHIVE)).identity == arrays.identity
    assert cifar10(verify=False).identity["origin"] == "unverified files"


def test_unpacked_records_have_no_published_checksums(bare):
    unpack(bare / BINARY, records())
    check_whole(cifar10())
    assert cifar10(str(bare / BINARY)).identity["origin"] == "unverified files"


def test_pickles_packed_and_unpacked(place, bare):
    (bare / "cifar-10-python.tar.gz").write_bytes(packed(PYTHON, pickles()))
    check_whole(cifar10())
    unpack(bare / PYTHON, pickles())
    check_whole(cifar10())
    arrays = cifar10(str(bare / PYTHON))
    assert (arrays.identity["origin"], arrays.identity["file"]) == ("official", PYTHON)


def test_both_forms_have_one_checksum(place):
    unpack(place / PYTHON, pickles())
    forms = [cifar10(str(place / name)).identity for name in (ARCHIVE, PYTHON)]
    assert forms[0]["sha256"] == forms[1]["sha256"]
    assert cifar10().identity["file"] == ARCHIVE  # the one without pickles comes first


def test_the_layout_that_torchvision_leaves(bare):
    unpack(bare.parent / PYTHON, pickles())
    (bare.parent / "cifar-10-python.tar.gz").write_bytes(packed(PYTHON, pickles()))
    check_whole(cifar10())


def test_nothing_there(bare):
    with pytest.raises(
        UserError, match=r"(?s)not found: cifar-10-binary.tar.gz .*they come from https://www.cs.toronto"
    ):
        cifar10()
    with pytest.raises(UserError, match="not found: cifar-10-binary"):
        cifar10(str(bare))


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda archive: archive[:-100], "has the SHA256 .*, expected"),
        (lambda archive: b"<html>not found", "is a web page or a pointer"),
    ],
    ids=["cut short", "a web page"],
)
def test_archives_that_are_not_the_published_one(place, change, complaint):
    archive = place / ARCHIVE
    archive.write_bytes(change(archive.read_bytes()))
    with pytest.raises(UserError, match=complaint):
        cifar10()


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (packed(BINARY, records())[:-3000], "is damaged"),
        (b"not gzip", "is damaged"),
        (packed(BINARY, {}), "lacks data_batch_1.bin, data_batch_2.bin, .*Fetch it again"),
        (
            packed(BINARY, records() | {"data_batch_2.bin": b"short"}),
            "data_batch_2.bin in .* has 5 bytes, but 20 images are 61,460",
        ),
        (
            packed(BINARY, records() | {"test_batch.bin": b"\x0a" * 3073 * BATCH}),
            r"has labels 0 ... 10, expected 0 ... 9",
        ),
    ],
    ids=["cut short", "no archive", "empty", "a short file", "labels"],
)
def test_unverified_archives_must_still_hold_the_set(place, content, complaint):
    (place / ARCHIVE).write_bytes(content)
    with pytest.raises(UserError, match=complaint):
        cifar10(verify=False)


def test_an_incomplete_folder(bare):
    held = pickles()
    del held["data_batch_3"]
    unpack(bare / PYTHON, held)
    with pytest.raises(UserError, match=r"lacks data_batch_3. Fetch it again"):
        cifar10()


@pytest.mark.parametrize("verify", [True, False])
@pytest.mark.parametrize("form", [PYTHON, "cifar-10-python.tar.gz"])
def test_pickles_of_another_checksum_are_never_opened(bare, tmp_path, monkeypatch, verify, form):
    held = pickles() | {"data_batch_2": evil(tmp_path / "made")}
    if form == PYTHON:
        unpack(bare / PYTHON, held)
    else:
        (bare / form).write_bytes(packed(PYTHON, held))
        known(monkeypatch, "PICKLED", packed(PYTHON, held))
    monkeypatch.setattr(source, "BatchUnpickler", None)
    with pytest.raises(UserError, match=r"data_batch_2 in .* has the MD5 .*, expected .*is not opened"):
        cifar10(verify=verify)


class MakesFolder:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder):
        self.folder = str(folder)

    def __reduce__(self):
        return os.mkdir, (self.folder,)


def evil(folder) -> bytes:
    return pickle.dumps({"data": MakesFolder(folder)}, protocol=2)


def test_pickles_build_nothing_but_arrays_of_bytes(bare, tmp_path, monkeypatch):
    """Even of those whose checksum fits."""
    made = tmp_path / "made"
    good = python2_batch(VALUES[:BATCH], LABELS[:BATCH])
    objects = np.array([[None]], dtype=object)
    listed = {
        evil(made): "asks for .*mkdir",
        python2_batch(VALUES[:BATCH], LABELS[:BATCH], title=b"cbuiltins\neval\n"): "asks for builtins.eval",
        python2_batch(VALUES[:BATCH], LABELS[:BATCH], title=b"cnumpy\nload\n"): "asks for numpy.load",
        pickle.dumps({b"data": objects, b"labels": []}, protocol=2): "is no batch of images: it (asks|has)",
        good.replace(b"U\x02u1", b"U\x02O8"): "it has an array of b'O8'",
        good.replace(text(b"data"), text(b"dada")): "is no batch of images",
        good[:-40]: "is no batch of images",
        b"": "is no batch of images",
        python2_batch(VALUES[: BATCH - 1], LABELS[:BATCH]): r"has \(19, 3072\) values and \(20,\) labels, expected",
        python2_batch(VALUES[:BATCH], LABELS[: BATCH - 1]): r"has \(20, 3072\) values and \(19,\) labels, expected",
    }
    unpack(bare / PYTHON, pickles())
    for payload, complaint in listed.items():
        (bare / PYTHON / "data_batch_1").write_bytes(payload)
        expect(monkeypatch, pickles() | {"data_batch_1": payload})
        with pytest.raises(UserError, match=complaint):
            cifar10()
    assert not made.exists()
    pickle.loads(evil(made))
    assert made.exists()  # so the payload does work where pickles are loaded


def test_the_generated_pickles_are_what_python_reads():
    """As the set's own page says to read them."""
    batch = pickle.loads(pickles()["test_batch"], encoding="bytes")
    np.testing.assert_array_equal(batch[b"data"], VALUES[-BATCH:])
    assert batch[b"labels"] == LABELS[-BATCH:].tolist()


@pytest.mark.parametrize(
    "line",
    [
        "model=dipvae",
        "model=cvae",
        pytest.param("model=vaegan network=vaegan32", marks=pytest.mark.slow),
        pytest.param("model=asvae network=ali32", marks=pytest.mark.slow),
    ],
)
def test_training_reads_the_files(place, in_tmp, line):
    from vaezoo.training.run import train

    small = ["dataset=cifar10", "max_batches=2", "dataset.batch_size=8", "dataset.val_images=8", "trainer=cpu"]
    config = compose_train(
        *line.split(), *small, "logger=csv", "figure=none", f"folder={in_tmp}", "callbacks.progress=false"
    )
    assert train(config)["eval/recon_mse"] > 0
