"""A user's own data in every form, and what is wrong with data that are refused."""

import logging
import os

import h5py
import numpy as np
import pytest
from PIL import Image

from tests.support.configuration import check_line, compose_train
from tests.support.own_data import refusal
from vaezoo.config.values import check_config
from vaezoo.data.sources.arrays import arrays, image_classes, image_shape
from vaezoo.errors import UserError

N = 40


def pixels(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(256, size=shape, dtype=np.uint8)


def npz(folder, **held):
    np.savez(folder / "own.npz", **held)
    return str(folder / "own.npz")


# ---- layouts and values


@pytest.mark.parametrize(
    ("shape", "order", "expected"),
    [
        ((N, 8, 12), None, (1, 8, 12)),
        ((N, 8, 12, 3), (0, 3, 1, 2), (3, 8, 12)),
        ((N, 3, 8, 12), (0, 1, 2, 3), (3, 8, 12)),
        ((N, 8, 12, 1), (0, 3, 1, 2), (1, 8, 12)),
        ((N, 1, 8, 12), (0, 1, 2, 3), (1, 8, 12)),
    ],
)
@pytest.mark.parametrize("form", ["npz", "compressed", "npy", "h5"])
def test_layouts(tmp_path, shape, order, expected, form):
    images = pixels(*shape)
    file = str(tmp_path / {"npz": "own.npz", "compressed": "own.npz", "npy": "own.npy", "h5": "own.hdf5"}[form])
    if form == "h5":
        with h5py.File(file, "w") as held:
            held["images"] = images
    else:
        {"npz": np.savez, "compressed": np.savez_compressed, "npy": np.save}[form](
            file, **({"arr": images} if form == "npy" else {"images": images})
        )
    found = arrays(file)
    assert found.shape == expected == tuple(image_shape(file, None))
    np.testing.assert_array_equal(found.images, images[:, None] if order is None else images.transpose(order))
    assert found.scale == 255
    assert found.identity["origin"] == "own data"
    assert image_classes(file) is found.labels is found.factors is None


def test_arrays_that_need_no_change_are_mapped(tmp_path, monkeypatch):
    monkeypatch.setenv("VAEZOO_DATA", str(tmp_path / "data"))
    np.save(tmp_path / "own.npy", pixels(N, 8, 8))
    assert isinstance(arrays(str(tmp_path / "own.npy")).images, np.memmap)
    assert not (tmp_path / "data" / "arrays").exists()
    arrays(str(tmp_path / "own.npy"), size=4)
    assert (tmp_path / "data" / "arrays").is_dir()


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_numbers_become_bytes_and_that_is_told(tmp_path, dtype, caplog):
    caplog.set_level(logging.INFO)
    images = (pixels(N, 8, 8) / 255).astype(dtype)
    found = arrays(npz(tmp_path, images=images))
    np.testing.assert_array_equal(found.images[:, 0], np.rint(images.astype(float) * 255))
    assert f"the images are {np.dtype(dtype)} in [0, 1]; they are kept as bytes, 255 x rounded" in caplog.text


@pytest.mark.parametrize("value", [np.nan, np.inf, -0.01, 1.01, 255.0])
def test_other_numbers_are_refused(tmp_path, value):
    images = np.zeros((N, 8, 8), np.float32)
    images[33, 2, 5] = value
    message = refusal(npz(tmp_path, images=images))
    assert f"image 33 in {tmp_path / 'own.npz'} has a pixel of {np.float32(value)}" in message
    assert "expected numbers in [0, 1], or uint8" in message


@pytest.mark.parametrize("images", [pixels(N, 8, 8) % 2, pixels(N, 8, 8) % 2 == 1])
@pytest.mark.parametrize("size", [None, 4])
def test_black_and_white(tmp_path, images, size):
    found = arrays(npz(tmp_path, images=images), size=size).images
    if size is None:
        np.testing.assert_array_equal(found[:, 0], images.astype(np.uint8) * 255)
    assert found.max() > 100


def test_dark_images_are_told(tmp_path, caplog):
    found = arrays(npz(tmp_path, images=pixels(N, 8, 8) % 17))
    assert found.images.max() == 16
    assert "the brightest pixel is 16 of 255" in caplog.text
    late = np.zeros((2000, 2, 2), np.uint8)
    late[1999] = 200
    caplog.clear()
    assert arrays(npz(tmp_path, images=late)).images.max() == 200
    assert not [record for record in caplog.records if record.levelname == "WARNING"]


def test_resizing_makes_squares(tmp_path):
    images = pixels(N, 3, 12, 18)
    file = npz(tmp_path, images=images)
    expected = Image.fromarray(images[7].transpose(1, 2, 0)).resize((8, 8), Image.Resampling.BILINEAR)
    found = arrays(file, size=8)
    assert found.shape == (3, 8, 8) == tuple(image_shape(file, 8))
    np.testing.assert_array_equal(found.images[7], np.asarray(expected).transpose(2, 0, 1))


@pytest.mark.parametrize(
    ("held", "complaint"),
    [
        ({"images": pixels(N, 3, 8, 3)}, "the second or the last axis may be the channels"),
        ({"images": pixels(N, 8, 8, 4)}, "expected (N, H, W), (N, C, H, W) or (N, H, W, C) with C = 1 or 3"),
        ({"images": pixels(N, 64)}, "images in {} are uint8 (40, 64); expected (N, H, W)"),
        ({"images": pixels(N, 8, 8).astype(int)}, "are int64 (40, 8, 8); they must be uint8, or floating-point"),
        ({"images": np.array([{}], object)}, "are object (1,); they must be uint8"),
        ({"images": pixels(9, 8, 8)}, "holds 9 images; at least 10 are needed"),
        ({"pictures": pixels(N, 8, 8)}, "{} has no member images, only pictures"),
        ({"images": np.asfortranarray(pixels(N, 8, 8))}, "{} cannot be read (images is stored column by column)"),
        ({"images": pixels(N, 8, 8), "labels": np.arange(N - 1)}, "labels in {} are (39,), expected (40,)"),
        ({"images": pixels(N, 8, 8), "labels": np.arange(N)}, "labels in {} take 40 values in 40 images: no classes"),
        ({"images": pixels(N, 8, 8), "labels": np.array([None] * N)}, "{} cannot be read (Object arrays"),
        ({"images": pixels(N, 8, 8), "factors": np.zeros((N - 1, 2))}, "holds 40 images, but 39 rows of factors"),
        ({"images": pixels(N, 8, 8), "factors": np.zeros((N, 2, 2))}, "factors in {} are (40, 2, 2), expected (N, K)"),
        (
            {"images": pixels(N, 8, 8), "factors": np.zeros((N, 2)), "factor_names": np.array(["a"])},
            "2 factors in {}, but factor_names are ['a']",
        ),
        (
            {"images": pixels(N, 8, 8), "factors": np.full((N, 1), np.nan)},
            "factor 'factor0' in {} holds float64 values that are no classes",
        ),
    ],
)
def test_files_that_are_refused(tmp_path, held, complaint):
    file = npz(tmp_path, **held)
    assert complaint.format(file) in refusal(file)


def test_damaged_files(tmp_path):
    file = npz(tmp_path, images=pixels(N, 64, 64))
    content = bytearray((tmp_path / "own.npz").read_bytes())
    (tmp_path / "short.npz").write_bytes(content[:9000])
    content[5000] ^= 1
    (tmp_path / "own.npz").write_bytes(content)
    (tmp_path / "own.npy").write_bytes(b"no array")
    (tmp_path / "own.h5").write_bytes(b"no array")
    (tmp_path / "own.txt").write_text("1 2 3")
    np.save(tmp_path / "pickle.npy", np.array([{}], object))
    assert "cannot be read (Bad CRC-32" in refusal(file)
    assert "cannot be read" in refusal(str(tmp_path / "short.npz"))
    assert "is no array of numbers, or damaged" in refusal(str(tmp_path / "own.npy"))
    assert "is no array of numbers, or damaged" in refusal(str(tmp_path / "pickle.npy"))
    assert "is damaged, or another file" in refusal(str(tmp_path / "own.h5"))
    assert "expected a folder of pictures, or a file .npz, .npy, .h5, .hdf5" in refusal(str(tmp_path / "own.txt"))
    assert "must be a file or folder that exists" in refusal(str(tmp_path / "nothing.npz"))


# ---- labels and factors


def test_labels_and_factors(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    scale = np.repeat([0.5, 0.75, 1.0, 0.25], 10)
    factors = np.stack([scale, np.arange(N) % 5 * 2], axis=1)
    labels = np.arange(N) % 3 + 7
    held = {"images": pixels(N, 8, 8), "labels": labels, "factors": factors, "factor_names": np.array(["scale", "x"])}
    with h5py.File(tmp_path / "own.h5", "w") as file:
        for name, array in held.items():
            file[name] = array.tolist() if array.dtype.kind == "U" else array
    for place in (npz(tmp_path, **held), str(tmp_path / "own.h5")):
        caplog.clear()
        found = arrays(place)
        assert found.factor_names == ("scale", "x")
        assert found.factor_sizes == (4, 5)
        np.testing.assert_array_equal(found.factors[:, 0], np.repeat([1, 2, 3, 0], 10))
        np.testing.assert_array_equal(found.factors[:, 1], np.arange(N) % 5)
        np.testing.assert_array_equal(found.labels, np.arange(N) % 3)
        assert found.label_names == ("7", "8", "9")
        assert image_classes(place) == 3
        assert "factor 'scale': 0.25, 0.5, 0.75, 1 became the classes 0 … 3" in caplog.text
        assert "factor 'x': 0, 2, …, 8 became the classes 0 … 4" in caplog.text


def test_factors_of_many_values(tmp_path):
    images, values = np.zeros((300, 2, 2), np.uint8), np.linspace(0, 1, 300)
    assert "takes 300 distinct values. Scores need classes" in refusal(npz(tmp_path, images=images, factors=values))
    assert arrays(npz(tmp_path, images=images, factors=np.arange(300))).factor_sizes == (300,)


def test_one_class_is_none(tmp_path):
    found = arrays(npz(tmp_path, images=pixels(N, 8, 8), labels=np.full(N, 4)))
    assert found.labels is None


# ---- folders


@pytest.fixture
def folder(tmp_path):
    """Two classes of twelve colour pictures, some of them JPEG."""
    for name in ("cats", "dogs"):
        (tmp_path / "own" / name).mkdir(parents=True)
        for i in range(12):
            suffix = "jpg" if i % 4 == 0 else "PNG"
            Image.fromarray(pixels(64, 64, 3, seed=i)).save(tmp_path / "own" / name / f"{i:02d}.{suffix}")
    (tmp_path / "own" / "cats" / "readme.txt").write_text("no picture")
    (tmp_path / "own" / "cats" / "._01.PNG").write_bytes(b"what other systems leave")
    return tmp_path / "own"


def test_a_folder_of_classes(folder):
    found = arrays(str(folder))
    assert found.shape == (3, 64, 64)
    assert found.label_names == ("cats", "dogs")
    np.testing.assert_array_equal(found.labels, np.repeat([0, 1], 12))
    np.testing.assert_array_equal(found.images[13], pixels(64, 64, 3, seed=1).transpose(2, 0, 1))
    assert found.factors is None
    before = found.identity
    Image.fromarray(pixels(64, 64, 3, seed=99)).save(folder / "dogs" / "01.PNG")
    again = arrays(str(folder))
    np.testing.assert_array_equal(again.images[13], pixels(64, 64, 3, seed=99).transpose(2, 0, 1))
    assert again.identity != before


def test_grey_pictures_of_many_sizes(tmp_path):
    for i in range(12):
        Image.fromarray(pixels(20 + i, 30)).save(tmp_path / f"{i:02d}.png")
    assert "01.png has 30 x 21 pixels, but 00.png has 30 x 20. dataset.size=64" in refusal(str(tmp_path))
    found = arrays(str(tmp_path), size=16)
    assert found.shape == (1, 16, 16)
    assert found.labels is None
    Image.fromarray(pixels(20, 30, 3)).save(tmp_path / "11.png")
    assert "11.png is in colour, unlike 00.png" in refusal(str(tmp_path), size=16)


def test_tables_beside_the_pictures(folder):
    names = sorted(f"{file.parent.name}/{file.name}" for file in folder.rglob("[0-9]*.*"))
    rows = [f"{name},{i % 3 / 2},{'left' if i % 2 else 'right'}" for i, name in enumerate(names)]
    (folder / "factors.csv").write_text("\n".join(["file,scale,side", *reversed(rows)]), encoding="utf-8-sig")
    (folder / "labels.csv").write_text("\n".join(["breed,file", *(f"{i % 4},{name}" for i, name in enumerate(names))]))
    found = arrays(str(folder))
    assert found.factor_names == ("scale", "side")
    np.testing.assert_array_equal(found.factors[:, 0], np.arange(24) % 3)
    np.testing.assert_array_equal(found.factors[:, 1], (np.arange(24) + 1) % 2)
    np.testing.assert_array_equal(found.labels, np.arange(24) % 4)
    assert image_classes(str(folder)) == 4


@pytest.mark.parametrize(
    ("table", "content", "complaint"),
    [
        ("factors.csv", "name,scale\na,1\n", "needs a header with 'file' and a column more, and rows"),
        ("factors.csv", "file\ncats/00.jpg\n", "needs a header with 'file' and a column more, and rows"),
        ("factors.csv", "", "needs a header with 'file' and a column more, and rows"),
        ("factors.csv", "file,scale\ncats/00.jpg,1\n", "has no row for 23 of 24 pictures, such as cats/01.PNG"),
        ("labels.csv", "file,a\ncats/00.jpg,1,2\n", "has rows that are longer or shorter than its header"),
    ],
)
def test_tables_that_are_refused(folder, table, content, complaint):
    (folder / table).write_text(content)
    assert complaint in refusal(str(folder))


def test_folders_that_are_refused(folder, tmp_path):
    (tmp_path / "empty").mkdir()
    assert "no pictures (.png, .jpg, .jpeg) in" in refusal(str(tmp_path / "empty"))
    (folder / "dogs" / "05.PNG").write_bytes((folder / "dogs" / "05.PNG").read_bytes()[:3000])
    assert "05.PNG is damaged" in refusal(str(folder))
    (folder / "dogs" / "05.PNG").write_bytes(b"no picture")
    assert "05.PNG is damaged, or no picture" in refusal(str(folder))
    Image.fromarray(pixels(64, 64, 3)).save(folder / "alone.png")
    assert "has pictures in subfolders, which are classes, and beside: alone.png" in refusal(str(folder))
    Image.fromarray(np.zeros((8, 8), np.uint16)).save(tmp_path / "empty" / "deep.png")
    assert "deep.png has pixels of the kind I;16; expected 8 bits" in refusal(str(tmp_path / "empty"))


# ---- configuration and training


def test_the_configuration_asks_the_data(tmp_path):
    file = npz(tmp_path, images=pixels(N, 3, 16, 16), labels=np.arange(N) % 4)
    config = compose_train("dataset=arrays", f"dataset.path={file}", "model=cvae")
    check_config(config)
    assert list(config.model.image_shape) == [3, 16, 16]
    assert config.model.classes == 4
    config = compose_train("dataset=arrays", f"dataset.path={file}", "dataset.size=32", "network=convh")
    check_config(config)
    assert list(config.model.image_shape) == [3, 32, 32]


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ([], "dataset.path=null: must be a file or folder that exists"),
        (["dataset.path=/no/such/file"], "must be a file or folder that exists"),
        (["dataset.path={}", "network=convh"], "image sides divisible by 16, but dataset=arrays has 8x8"),
        (["dataset.path={}", "model=cvae"], "dataset=arrays has no labels"),
        (["dataset.path={}", "dataset.size=0"], "must be a whole number of at least 1, or null"),
        (["dataset.path=bad.npz"], "has no member images, only pictures"),
    ],
)
def test_mistakes_are_refused_before_anything_is_written(in_tmp, line, complaint):
    file = npz(in_tmp, images=pixels(N, 8, 8))
    np.savez("bad.npz", pictures=np.zeros(3))
    with pytest.raises(UserError, match=complaint):
        check_line(["dataset=arrays", *(one.format(file) for one in line)])
    assert sorted(os.listdir()) == ["bad.npz", "own.npz"]


def run(in_tmp, *line: str) -> dict[str, float]:
    from vaezoo.training.run import train

    quick = ["max_batches=2", "dataset.batch_size=8", "dataset.val_images=4", "logger=csv", "figure=none"]
    check_line(list(line))
    return train(compose_train(*line, *quick, f"folder={in_tmp / 'run'}", "callbacks.progress=false"))


@pytest.mark.parametrize("model", ["dipvae", "cvae"])
def test_training_on_digits_of_ones_own(in_tmp, model):
    from sklearn.datasets import load_digits

    digits = load_digits()
    file = npz(in_tmp, images=(digits.images / 16)[:300], labels=digits.target[:300])
    assert run(in_tmp, f"model={model}", "dataset=arrays", f"dataset.path={file}")["eval/recon_mse"] > 0


def test_training_on_a_folder_of_pictures(folder, in_tmp):
    scores = run(in_tmp, "model=dipvae", "dataset=arrays", f"dataset.path={folder}", "network=convh")
    assert scores["eval/recon_mse"] > 0


def test_training_on_an_incomplete_grid(in_tmp):
    """Scores that hold a factor fixed draw from the rows that are there, and say so."""
    import json

    factors = np.stack(np.unravel_index(np.arange(120), (4, 5, 6)), axis=1)[np.arange(120) % 7 > 0]
    file = npz(in_tmp, images=pixels(len(factors), 8, 8), factors=factors)
    scores = run(in_tmp, "model=betatcvae", "dataset=arrays", f"dataset.path={file}", "dataset.where='factor0 < 3'")
    assert {"eval/factor_vae", "eval/higgins_logistic", "eval/mig_hist"} <= set(scores)
    protocols = json.loads((in_tmp / "run" / "metrics.json").read_text())["protocols"]
    assert protocols["factor_vae"]["interventional"] is protocols["higgins_logistic"]["interventional"] is False
