"""Turned drawings: exact quarter turns, the direction, factors and labels, and copies kept on one side of a split."""

import json
import logging
from pathlib import Path

import numpy as np
import pytest
import torch

import vaezoo.train
from tests.support.command_line import run
from tests.support.configuration import check_line, compose_train
from tests.support.datasets import data_module
from vaezoo.data.images import ImageArrays
from vaezoo.data.sources.digits import digits
from vaezoo.data.sources.dsprites_render import rotate_vertices
from vaezoo.data.sources.rotated import rotate_drawings, rotateddigits, turn_images
from vaezoo.data.splits import split_rows
from vaezoo.errors import UserError
from vaezoo.metrics.groups import Groups
from vaezoo.seeds import derive


def noise(n: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(n).integers(0, 256, (n, *shape), dtype=np.uint8)


def drawings(n: int, *shape: int, classes: int = 3) -> ImageArrays:
    images = noise(n, *shape)
    return ImageArrays("noise", images, images.shape[1:], {"origin": "noise"}, labels=np.arange(n) % classes)


# ---- turning


@pytest.mark.parametrize("side", [7, 8, 28])
@pytest.mark.parametrize("quarters", range(-2, 5))
def test_quarter_turns_are_exact(side, quarters):
    images = noise(5, 3, side, side)
    found = turn_images(images, 90 * quarters)
    expected = np.rot90(images, quarters, axes=(2, 3))
    assert np.array_equal(np.rint(found), expected)
    assert np.abs(found - expected).max() < 1e-9, "no more than the last bit of a sine"


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 5, 12)])
def test_nothing_changes_at_zero_degrees(shape):
    images = noise(4, *shape)
    assert np.array_equal(turn_images(images, 0), images)
    assert np.array_equal(np.rint(turn_images(images, 180)), images[:, :, ::-1, ::-1])


def test_the_direction_is_counter_clockwise_as_displayed():
    images = np.zeros((1, 1, 21, 21), np.uint8)
    images[0, 0, 9:12, 18] = 255  # right of the centre
    rows = [np.average(np.arange(21), weights=turn_images(images, angle)[0, 0].sum(1)) for angle in (0, 20, 40, 60)]
    assert np.all(np.diff(rows) < -1), "it rises"
    # As the sprites of dSprites turn.
    point = rotate_vertices(np.array([[8.0, 0.0]]), np.deg2rad(40))[0]
    columns = np.average(np.arange(21), weights=turn_images(images, 40)[0, 0].sum(0))
    assert [columns - 10, rows[2] - 10] == pytest.approx(point, abs=0.1)


def by_hand(image: np.ndarray, degrees: float, enlarge: int) -> np.ndarray:
    """Bilinear, pixel by pixel: complex numbers, y upwards, the overlap of two triangles as weight."""
    height, width = image.shape
    result = np.zeros((height * enlarge, width * enlarge))
    for r, c in np.ndindex(result.shape):
        place = complex((c + 0.5) / enlarge - width / 2, height / 2 - (r + 0.5) / enlarge)
        place *= np.exp(-1j * np.deg2rad(degrees))
        for i, j in np.ndindex(image.shape):
            away = place - complex(j + 0.5 - width / 2, height / 2 - i - 0.5)
            result[r, c] += max(0, 1 - abs(away.real)) * max(0, 1 - abs(away.imag)) * image[i, j]
    return result


@pytest.mark.parametrize(("degrees", "enlarge"), [(10, 1), (45, 1), (200, 1), (0, 2), (30, 2), (80, 3)])
@pytest.mark.parametrize("shape", [(6, 6), (5, 8)])
def test_pixel_by_pixel(shape, degrees, enlarge):
    image = noise(1, *shape)[0]
    found = turn_images(image[None, None], degrees, enlarge)[0, 0]
    assert found == pytest.approx(by_hand(image.astype(float), degrees, enlarge), abs=1e-3)


def test_no_value_leaves_the_stored_range():
    white = np.full((1, 1, 9, 9), 255, np.uint8)
    found = np.stack([turn_images(white, angle) for angle in range(0, 360, 7)])
    assert found.min() >= 0
    assert np.rint(found).max() == 255
    assert np.rint(found[:, 0, 0, 4, 4]).tolist() == [255] * len(found)


# ---- the data set


def test_every_drawing_at_every_angle_in_order():
    source = drawings(6, 3, 8, 8)
    copies = rotate_drawings(source)
    assert (len(copies), copies.shape, copies.scale, copies.name) == (54, (3, 8, 8), 255, "rotatednoise")
    for i in range(len(copies)):
        expected = np.rint(turn_images(source.images[i // 9, None], 10 * (i % 9)))[0]
        assert np.array_equal(copies.images[i], expected)
        assert copies.factors[i].tolist() == [i // 9, i % 9]
    assert copies.factor_names == ("source", "angle")
    assert copies.factor_sizes == (6, 9)
    assert Groups(copies.factors).full_product
    assert np.array_equal(copies.labels, copies.factors[:, 1])
    assert np.array_equal(copies.groups, copies.factors[:, 0])
    assert copies.label_names == ("0°", "10°", "20°", "30°", "40°", "50°", "60°", "70°", "80°")
    assert np.array_equal(copies.images[::9], source.images)
    assert copies.identity == {"origin": "noise", "drawings": 6, "angles": 9, "class_id": "all"}


def test_class_count_and_angles(caplog):
    source = drawings(20, 1, 8, 8)
    chosen = rotate_drawings(source, class_id=1, count=4, angles=10)
    assert np.array_equal(chosen.images[::10], source.images[[1, 4, 7, 10]])
    assert np.array_equal(chosen.images[9::10], np.rot90(source.images[[1, 4, 7, 10]], axes=(2, 3)))
    assert chosen.label_names[-1] == "90°"
    assert (chosen.identity["class_id"], chosen.identity["drawings"]) == (1, 4)
    assert not caplog.records
    with caplog.at_level(logging.WARNING):
        assert len(rotate_drawings(source, class_id=1, count=50)) == 7 * 9
    assert "there are 7 drawings to turn, fewer than count=50" in caplog.text


def test_impossible_choices_are_refused():
    with pytest.raises(UserError, match="no image of class_id=3"):
        rotate_drawings(drawings(6, 1, 8, 8), class_id=3)
    with pytest.raises(UserError, match="angles=37 is not possible; a turn has 36 steps of 10°"):
        rotate_drawings(drawings(6, 1, 8, 8), angles=37)
    with pytest.raises(UserError, match="size=10 is not possible; choose one of 8, 16, 32, 64"):
        rotateddigits(10)


@pytest.mark.parametrize("size", [8, 16, 32])
def test_digits_at_nine_angles(size):
    data, upright = rotateddigits(size), digits()
    assert data.images.shape == (1797 * 9, 1, size, size)
    assert (data.name, data.scale, data.images.max()) == ("rotateddigits", 16, 16)
    assert data.identity["sha256"] == upright.identity["sha256"]
    assert np.bincount(data.labels).tolist() == [1797] * 9
    mass = data.images.reshape(1797, 9, -1).mean((0, 2), dtype=float)
    assert mass == pytest.approx([upright.images.mean()] * 9, rel=0.05), "little is lost in the corners"
    if size == 8:
        assert np.array_equal(data.images[::9], upright.images)


def test_sharpness_does_not_tell_the_angle():
    """It would if pixels were repeated: they stay sharp at 0 degrees and blur at 10."""

    def contrast(images: np.ndarray) -> np.ndarray:
        steps = np.diff(images.reshape(1797, -1, *images.shape[1:]).astype(float), axis=-1)
        return np.square(steps).mean((0, 2, 3))

    smooth = contrast(rotateddigits(32).images[:, 0])
    repeated = contrast(rotate_drawings(digits(32)).images[:, 0])
    assert smooth[0] / smooth[1] == pytest.approx(1, abs=0.1)
    assert repeated[0] / repeated[1] > 1.3


# ---- splits


@pytest.mark.parametrize("val_images", [0, 1, 128])
def test_without_groups_the_split_is_what_it_always_was(val_images):
    order = np.random.default_rng(derive(3, "split")).permutation(16_173)
    test, val, train = np.split(order, [1617, 1617 + val_images])
    for groups in (None, np.arange(16_173), 7 * np.random.default_rng(0).permutation(16_173)):
        rows = split_rows(16_173, "random90", val_images, 3, groups)
        assert np.array_equal(rows.train, np.sort(train))
        assert np.array_equal(rows.val, val)
        assert np.array_equal(rows.test, np.sort(test))


@pytest.mark.parametrize("sizes", [[9] * 200, np.random.default_rng(0).integers(1, 30, 120)])
def test_groups_stay_together(sizes):
    groups = np.repeat(np.arange(len(sizes)), sizes)[np.random.default_rng(1).permutation(sum(sizes))]
    count, largest = len(groups), max(sizes)
    rows = split_rows(count, "random90", 100, 0, groups)
    assert np.array_equal(np.sort(np.concatenate(rows)), np.arange(count))
    assert sum(len(np.unique(groups[part])) for part in rows) == len(sizes), "no group in two parts"
    assert count // 10 - largest < len(rows.test) <= count // 10
    assert 100 - largest < len(rows.val) < 100 + largest
    assert np.ptp(rows.val) > count / 2
    other = split_rows(count, "random90", 100, 1, groups)
    assert not np.array_equal(rows.test, other.test)


def load(**changes):
    options = {"name": "rotateddigits", "shape": (1, 8, 8), "size": 8, "val_images": 128}
    return data_module(rotateddigits, **{**options, **changes})


def test_split_by_source_keeps_the_copies_of_a_drawing_together():
    drawing = load().source.groups
    together, apart = load(split_by="source").rows, load(split_by="image").rows
    assert [len(np.unique(drawing[part])) * 9 for part in together] == [len(part) for part in together]
    assert len(together.test) == 1797 // 10 * 9
    assert len(np.intersect1d(drawing[apart.train], drawing[apart.test])) > 1000
    assert np.array_equal(apart.test, load().rows.test)
    # Neighbours in the validation part are not copies of one drawing.
    assert (np.diff(drawing[together.val]) == 0).mean() < 0.2
    assert len(load(split="all", split_by="source").rows.test) == 1797 * 9


def test_split_by_source_needs_sources():
    with pytest.raises(UserError, match="dataset=squares does not say which images have one source"):
        data_module(split_by="source")
    with pytest.raises(UserError, match="a tenth of dataset=rotateddigits is less than one source"):
        load(split_by="source", count=9, val_images=9)
    with pytest.raises(ValueError, match="2 images, but 3 rows"):
        ImageArrays("x", np.zeros((2, 1, 4, 4), np.uint8), (1, 4, 4), {}, groups=np.zeros(3))


# ---- configuration


def test_configuration():
    dataset = compose_train("dataset=rotateddigits", "dataset.angles=5").dataset
    assert dataset.classes == 5
    assert (dataset.split, dataset.split_by, dataset.class_id) == ("random90", "image", None)
    assert list(compose_train("dataset=rotateddigits").dataset.shape) == [1, 16, 16]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("dataset.split_by=drawing", "dataset.split_by=drawing: must be one of image, source"),
        ("dataset.class_id=three", "must be a whole number of at least 0, or null"),
        ("dataset.count=0", "must be a whole number of at least 1, or null"),
        ("dataset.angles=1", "must be a whole number of at least 2"),
        ("dataset.size=28", "must be one of 8, 16, 32, 64"),
    ],
)
def test_mistakes_are_refused(line, message):
    with pytest.raises(UserError, match=message):
        check_line(["dataset=rotateddigits", line])


def test_a_run(in_tmp, monkeypatch):
    options = "dataset.class_id=3 dataset.split_by=source metric=fast metric.rows=300 metric.test_rows=50"
    line = (
        f"model=vae dataset=rotateddigits max_batches=3 callbacks.progress=false logger=csv hydra.run.dir=run {options}"
    )
    assert run(vaezoo.train.main, monkeypatch, *line.split()) == 0
    written = json.loads(Path("run/metrics.json").read_text(encoding="utf-8"))
    assert {"eval/elbo", "eval/mig_hist"} <= set(written["scores"])
    assert "left out: source (1 row of a level, 8 needed)" in written["skipped"]["factor_vae"]  # 300 rows of 1,647
    assert written["about"]["data"]["class_id"] == 3
    assert Path("run/figures/traversals.png").is_file()
    weights = torch.load("run/checkpoints/last.ckpt", weights_only=True)["state_dict"]
    assert weights["batches"] == 3
