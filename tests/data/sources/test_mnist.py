"""MNIST and its kin: files in the true format, whole, damaged and mixed up, and the real set where there is one."""

import gzip
import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.support.configuration import compose_train
from tests.support.idx_files import TEST, TRAIN, idx, payloads
from vaezoo.data.files.find import DataFile
from vaezoo.data.sources import mnist as source
from vaezoo.data.sources.mnist import add_frame, fashionmnist, mnist, rotatedmnist, select_training_part
from vaezoo.data.sources.rotated import rotate_drawings
from vaezoo.data.splits import split_rows
from vaezoo.errors import UserError

DEBIAN = Path("/usr/share/datasets/fashion-mnist")


@pytest.fixture
def files(tmp_path, monkeypatch):
    """The four files, compressed, in a folder of their own, with the checksums that the reader expects."""
    held = payloads()
    folder = tmp_path / "data" / "mnist"
    folder.mkdir(parents=True)
    for name, payload in held.items():
        (folder / f"{name}.gz").write_bytes(gzip.compress(payload))
    files = tuple(DataFile(f"{name}.gz", payload_md5=hashlib.md5(held[name]).hexdigest()) for name in held)
    monkeypatch.setattr(source, "MNIST", replace(source.MNIST, files=files))
    monkeypatch.setenv("VAEZOO_DATA", str(tmp_path / "data"))
    return folder


def test_whole_files(files):
    arrays = mnist()
    held = payloads()
    assert arrays.shape == (1, 28, 28)
    assert (len(arrays), arrays.test_images) == (TRAIN + TEST, TEST)
    expected = np.frombuffer(held["t10k-images-idx3-ubyte"], np.uint8)[16:].reshape(TEST, 28, 28)
    np.testing.assert_array_equal(arrays.images[-TEST:, 0], expected)
    np.testing.assert_array_equal(arrays.labels, [*(np.arange(TRAIN) % 10), *range(TEST)])
    assert arrays.identity["origin"] == "official"
    assert mnist(str(files)).identity == arrays.identity
    assert mnist(verify=False).identity["origin"] == "unverified files"


def test_decompressed_files_are_the_same_set(files):
    compressed = mnist()
    for file in files.iterdir():
        (files / file.stem).write_bytes(gzip.decompress(file.read_bytes()))
        file.unlink()
    again = mnist()
    assert again.identity == compressed.identity
    np.testing.assert_array_equal(again.images, compressed.images)


def test_the_layout_that_torchvision_leaves(files):
    place = files.parent / "MNIST" / "raw"
    place.parent.mkdir()
    files.rename(place)
    assert len(mnist()) == TRAIN + TEST


def change(folder: Path, name: str, new: bytes | None, *, compress: bool = True) -> None:
    (folder / f"{name}.gz").unlink()
    if new is not None:
        (folder / f"{name}.gz").write_bytes(gzip.compress(new) if compress else new)


HTML = b"<!DOCTYPE html><html>not found</html>"


@pytest.mark.parametrize(
    ("new", "compress", "complaint"),
    [
        (
            None,
            True,
            r"(?s)not found: train-labels-idx1-ubyte.gz.\nLooked in: .*Put the files into .*they come from http",
        ),
        (HTML, False, "is a web page or a pointer, not data"),
        (gzip.compress(b"a" * 10_000)[:30], False, "is damaged"),
        (b"not gzip", False, "is damaged"),
        (payloads(1)["train-images-idx3-ubyte"], True, "holds data of the MD5 .*, expected"),
    ],
    ids=["missing", "a web page", "cut short", "not compressed", "another file"],
)
def test_files_that_are_not_what_they_should_be(files, new, compress, complaint):
    change(files, "train-labels-idx1-ubyte", new, compress=compress)
    with pytest.raises(UserError, match=complaint):
        mnist()


@pytest.mark.parametrize(
    ("new", "complaint"),
    [
        (payloads()["train-images-idx3-ubyte"], "is no IDX file of labels"),
        (payloads()["train-labels-idx1-ubyte"][:-3], "should hold 30 values, but holds 27"),
        (idx(np.zeros(29)), "30 images but 29 labels in the train files"),
        (b"", "is no IDX file of labels"),
    ],
    ids=["images", "cut short", "fewer", "empty"],
)
def test_unverified_files_must_still_fit_together(files, new, complaint):
    change(files, "train-labels-idx1-ubyte", new)
    with pytest.raises(UserError, match=complaint):
        mnist(verify=False)


def test_a_given_folder_is_the_only_one(files, tmp_path):
    with pytest.raises(UserError, match="not found"):
        mnist(str(tmp_path))


def test_a_frame_for_networks_of_32_pixels(files):
    plain, wide = mnist(), mnist(size=32)
    assert wide.shape == (1, 32, 32)
    np.testing.assert_array_equal(wide.images[:, :, 2:-2, 2:-2], plain.images)
    assert int(wide.images.sum()) == int(plain.images.sum())
    for size in (27, 31):
        with pytest.raises(UserError, match="is not possible"):
            add_frame(plain, size)


def test_rotated_sets_turn_training_images_of_one_class(files):
    plain, turned = mnist(), rotatedmnist(count=2)
    chosen = plain.images[:TRAIN][plain.labels[:TRAIN] == 3][:2]
    assert len(turned) == 18
    np.testing.assert_array_equal(turned.images[::9], chosen)
    np.testing.assert_array_equal(turned.labels, [*range(9)] * 2)
    np.testing.assert_array_equal(turned.factors[:, 0], np.repeat([0, 1], 9))
    assert turned.name == "rotatedmnist"
    np.testing.assert_array_equal(rotatedmnist(count=2, size=32).images[:, :, 2:-2, 2:-2], turned.images)
    everything = rotate_drawings(select_training_part(plain))
    assert len(everything) == TRAIN * 9


def test_sizes_are_refused_before_anything_is_read():
    from tests.support.configuration import check_line

    with pytest.raises(UserError, match=r"dataset.size=64: must be one of 28, 32"):
        check_line(["dataset=fashionmnist", "dataset.size=64"])


def test_official_split():
    split = split_rows(50, "official", 8, seed=0, test_images=10)
    np.testing.assert_array_equal(split.test, np.arange(40, 50))
    assert len(split.val) == 8
    assert sorted([*split.train, *split.val]) == list(range(40))
    other = split_rows(50, "official", 8, seed=1, test_images=10)
    assert set(other.val) != set(split.val)


def test_sets_without_a_test_part_refuse_the_official_split():
    from hydra.utils import instantiate

    data = instantiate(compose_train("dataset=digits", "dataset.split=official").dataset)
    with pytest.raises(UserError, match="digits has no published test part"):
        data.setup()


def test_training_reads_the_files(files, in_tmp):
    from vaezoo.training.run import train

    line = ["model=cvae", "dataset=mnist", "max_batches=2", "dataset.batch_size=8", "dataset.val_images=4"]
    config = compose_train(*line, "logger=csv", "figure=none", f"folder={in_tmp}", "callbacks.progress=false")
    scores = train(config)
    assert scores["eval/recon_mse"] > 0


@pytest.mark.skipif(not DEBIAN.is_dir(), reason="Debian's package dataset-fashion-mnist is not installed")
def test_the_real_fashion_mnist():
    """Facts published with the set."""
    arrays = fashionmnist(str(DEBIAN))
    assert (len(arrays), arrays.test_images) == (70_000, 10_000)
    np.testing.assert_array_equal(arrays.labels[:10], [9, 0, 0, 3, 0, 2, 7, 2, 5, 5])
    assert int(arrays.images[0].sum()) == 76_247
    np.testing.assert_array_equal(np.bincount(arrays.labels[:60_000]), [6000] * 10)
    assert arrays.images[:60_000].mean(dtype=np.float64) / 255 == pytest.approx(0.28604, abs=5e-6)
    assert arrays.images[:60_000].std(dtype=np.float64) / 255 == pytest.approx(0.35302, abs=5e-6)
    with pytest.raises(UserError, match="holds data of the MD5"):
        mnist(str(DEBIAN))
