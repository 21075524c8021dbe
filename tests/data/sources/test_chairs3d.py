"""3D Chairs: pictures of the true size under the true names, in a folder and a tar, whole and incomplete."""

import hashlib
import io
import itertools
import tarfile

import numpy as np
import pytest
from PIL import Image

from tests.support.configuration import check_line, compose_train
from vaezoo.data.readers.pictures import cache_contents
from vaezoo.data.sources import chairs3d as source
from vaezoo.data.sources.chairs3d import VIEWS, chairs3d, cut_box, find_square, make_masks, sum_parts
from vaezoo.errors import UserError

MODELS = ["0a1b", "3c2d", "f00d"]  # in place of 1,393; the first and the last are the subset
SUBSET = ["0a1b", "f00d"]
DEGREES = [round(11.4 + k * 360 / 31) for k in range(31)]
GRID = list(itertools.product(range(len(MODELS)), range(2), range(31)))


def scene(model: int, elevation: int, azimuth: int) -> np.ndarray:
    """A slab on white that moves to the right with the azimuth and down with the elevation, (600, 600, 3)."""
    picture = np.full((600, 600, 3), 255, np.uint8)
    left, top = 140 + 5 * azimuth, 160 + 60 * elevation
    picture[top : top + 100 + 60 * model, left : left + 120] = (40 * model, 100 * elevation, 8 * azimuth)
    return picture


def png(picture: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, "PNG", compress_level=1)
    return stream.getvalue()


def file_name(model: int, elevation: int, azimuth: int) -> str:
    """The numbers at the front are in another order than the angles."""
    number = (7 * (31 * elevation + azimuth)) % 62 + 1
    angles = f"p{(20, 30)[elevation]:03d}_t{DEGREES[azimuth]:03d}_r096"
    return f"{MODELS[model]}/renders/image_{number:03d}_{angles}.png"


@pytest.fixture(scope="session")
def pictures():
    return {file_name(*view): png(scene(*view)) for view in GRID}


@pytest.fixture
def published(tmp_path, monkeypatch):
    """The few models count as the published ones; gives the empty folder of the data set."""
    monkeypatch.setattr(source, "WORKERS", 1)
    monkeypatch.setattr(source, "MODELS", len(MODELS))
    monkeypatch.setattr(source, "NAMES_SHA256", hashlib.sha256("\n".join(MODELS).encode()).hexdigest())
    monkeypatch.setattr(source, "SUBSET", b"\xa0")
    monkeypatch.setattr(source, "SUBSET_SHA256", hashlib.sha256("\n".join(SUBSET).encode()).hexdigest())
    monkeypatch.setenv("VAEZOO_DATA", str(tmp_path / "data"))
    place = tmp_path / "data" / "chairs3d"
    place.mkdir(parents=True)
    return place


def unpack(place, pictures):
    folder = place / "rendered_chairs"
    for name, content in pictures.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    (folder / "all_chair_names.mat").write_bytes(b"not read")
    return folder


def pack(place, pictures):
    with tarfile.open(place / "rendered_chairs.tar", "w") as tar:
        for name, content in sorted(pictures.items(), reverse=True):
            member = tarfile.TarInfo(f"rendered_chairs/{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return place / "rendered_chairs.tar"


@pytest.fixture
def folder(published, pictures):
    return unpack(published, pictures)


def unpacked(arrays) -> np.ndarray:
    return np.unpackbits(arrays.images, axis=1).reshape(-1, 64, 64)


def slow_mask(picture: np.ndarray, threshold: float) -> np.ndarray:
    """By enlargement: each pixel as 64 x 64 equal ones makes an image that 64 divides. For one row of the result."""
    chair = (picture != 255).any(-1)
    side = len(chair)
    rows = np.repeat(chair, 64, axis=0).reshape(64, side, side).sum(1)  # 64 rows of parts, in 64ths of a pixel
    covered = np.repeat(rows, 64, axis=1).reshape(64, 64, side).sum(2)
    return (covered > 0) & (covered >= threshold * side**2)


def test_subset_is_the_published_one():
    assert (
        hashlib.sha256(source.SUBSET).hexdigest() == "16d2bacf483b533c7367e9ac8d881c9d7ec5e926be3113c5446724aefbb39305"
    )
    assert len(source.SUBSET) == 175
    assert source.select_models("subset809").shape == source.select_models("all").shape == (1393,)
    assert source.select_models("subset809").sum() == 809
    assert np.unpackbits(np.frombuffer(source.SUBSET, np.uint8)).sum() == 809
    assert source.NAMES_SHA256 == "d4def35bc20187d2ac5acfbf25226fbfa6e08a017127a1b995bc033b4c6a81c9"
    assert source.SUBSET_SHA256 == "ef359e16b244b5dbf1bc2253ab4ef1ec652c8577631b7599282e366174659f75"


def test_masks_of_the_subset(folder):
    arrays = chairs3d()
    assert (arrays.shape, arrays.packed, arrays.scale) == ((1, 64, 64), True, 1)
    assert arrays.images.shape == (2 * VIEWS, 512)
    assert arrays.factor_names == ("model", "elevation", "azimuth")
    assert arrays.factor_sizes == (2, 2, 31)
    np.testing.assert_array_equal(arrays.factors, list(itertools.product(range(2), range(2), range(31))))
    np.testing.assert_array_equal(arrays.groups, np.repeat([0, 1], VIEWS))
    assert arrays.labels is None
    assert arrays.test_images == VIEWS
    found = unpacked(arrays)
    for i in (0, 1, 30, 31, 61, 62, 123):
        model, elevation, azimuth = arrays.factors[i]
        view = scene((0, 2)[model], elevation, azimuth)[100:500, 100:500]
        np.testing.assert_array_equal(found[i], slow_mask(view, 0.5))
    # Columns 40 ... 159 of 400 are 6.4 ... 25.6 of 64; further right with the azimuth, lower with the elevation.
    assert found[0].any(axis=0).sum() == 20
    assert np.flatnonzero(found[30].any(axis=0))[0] - np.flatnonzero(found[0].any(axis=0))[0] == 24
    assert np.flatnonzero(found[31].any(axis=1))[0] > np.flatnonzero(found[0].any(axis=1))[0]


def test_all_models_from_the_archive(published, pictures):
    pack(published, pictures)
    arrays = chairs3d(models="all", mask_threshold=0)
    assert len(arrays) == 3 * VIEWS
    assert arrays.factor_sizes == (3, 2, 31)
    assert arrays.test_images == VIEWS  # the first 80 % of three models are two
    found = unpacked(arrays)
    for i in (0, 70, 185):
        np.testing.assert_array_equal(found[i], slow_mask(scene(*arrays.factors[i])[100:500, 100:500], 0))
    assert found.sum() > unpacked(chairs3d(models="all", mask_threshold=1)).sum()


@pytest.mark.parametrize(
    ("mode", "crop", "edges"), [("rgb", "center300", (150, 450)), ("gray", "center400", (100, 500))]
)
def test_pictures(folder, mode, crop, edges):
    arrays = chairs3d(mode=mode, crop=crop)
    assert arrays.shape == ((3 if mode == "rgb" else 1), 64, 64)
    assert (arrays.packed, arrays.scale) == (False, 255)
    for i in (0, 40, 100):
        model, elevation, azimuth = arrays.factors[i]
        start, stop = edges
        image = Image.fromarray(scene((0, 2)[model], elevation, azimuth)).crop((start, start, stop, stop))
        image = image.convert("L" if mode == "gray" else "RGB").resize((64, 64), Image.Resampling.BILINEAR)
        np.testing.assert_array_equal(arrays.images[i], np.asarray(image).reshape(64, 64, -1).transpose(2, 0, 1))


def test_pieces_and_memory_maps_give_the_same_images(folder, pictures, monkeypatch):
    from vaezoo.data.files import prepare

    arrays = chairs3d(str(folder), crop="per_model")
    options = {"models": "subset809", "mode": "mask", "crop": "per_model", "threshold": 0.5}
    with cache_contents():
        pieces = [source.make_images(folder, start, stop, **options) for start, stop in ((0, 5), (5, 124))]
    np.testing.assert_array_equal(np.concatenate(pieces), arrays.images)
    monkeypatch.setattr(prepare, "MAPPED_SHARE", 0)
    mapped = chairs3d(crop="per_model")
    assert isinstance(mapped.images, np.memmap)
    np.testing.assert_array_equal(mapped.images, arrays.images)


def test_the_square_about_a_model():
    """All views of a model move by 150 to the right and 60 down; a slab of 100 x 120 then needs 160 x 270."""
    views = np.stack([scene(0, elevation, azimuth) for elevation in range(2) for azimuth in range(31)])
    box = find_square(views)
    assert box == (140 - 20, (160 + 320 - 310) // 2, 140 + 270 + 20, (160 + 320 + 310) // 2)
    found = np.unpackbits(make_masks(cut_box(views, box), 0.5), axis=1).reshape(-1, 64, 64)
    assert np.flatnonzero(found.any(axis=(0, 1)))[[0, -1]].tolist() == [4, 59]  # 20 of 310 pixels are 4.1 of 64


def test_a_square_may_reach_beyond_the_picture():
    views = np.full((62, 600, 600, 3), 255, np.uint8)
    views[:, 0:10, 0:500] = 0
    box = find_square(views)
    assert box == (-20, -265, 520, 275)
    beyond = cut_box(views, box)
    assert beyond.shape == (62, 540, 540, 3)
    assert (beyond[:, :265] == 255).all()
    assert (beyond[:, 265:275, 20:520] == 0).all()


@pytest.mark.parametrize("side", [300, 400, 310, 640])
def test_areas_are_exact(side):
    share = sum_parts(np.eye(side, dtype=bool)).T  # how much of each part lies in each pixel
    assert share.sum(axis=0).tolist() == [64] * side
    assert share.sum(axis=1).tolist() == [side] * 64
    views = np.full((1, side, side, 3), 255, np.uint8)
    views[0, :, : side // 2] = 0
    assert np.unpackbits(make_masks(views, 1)).sum() == 64 * 32
    half = np.full((1, 64, 64, 3), 255, np.uint8)
    half[0, :, ::2] = 254
    assert np.unpackbits(make_masks(half, 0.5)).sum() == 64 * 32


def test_half_of_a_pixel_counts():
    views = np.full((1, 128, 128, 3), 255, np.uint8)
    views[0, 0, 0:2] = 254  # half of the first pixel, in the faintest grey
    views[0, 0, 2, 0] = 0  # a quarter of the second, in one channel
    assert np.flatnonzero(np.unpackbits(make_masks(views, 0.5))).tolist() == [0]
    assert np.flatnonzero(np.unpackbits(make_masks(views, 0.25))).tolist() == [0, 1]
    assert np.flatnonzero(np.unpackbits(make_masks(views, 0))).tolist() == [0, 1]
    assert np.flatnonzero(np.unpackbits(make_masks(views, 0.51))).tolist() == []


def test_nothing_there(published):
    with pytest.raises(UserError, match=r"(?s)not found: rendered_chairs.tar.*they come from https://www.di.ens.fr"):
        chairs3d()


def test_incomplete_models_are_named_in_one_message(published, pictures):
    held = dict(pictures)
    first, *_, last = (name for name in held if name.startswith("0a1b"))
    del held[first]
    del held[next(name for name in held if name.startswith("f00d"))]
    held[last.replace("_r096", "_r100")] = held[last]  # the same angles twice
    unpack(published, held)
    message = r"2 models in .* do not have each of 31 azimuths at 2 elevations once: 0a1b \(62\), f00d \(61\) views"
    with pytest.raises(UserError, match=message):
        chairs3d()


def test_many_incomplete_models(published, monkeypatch):
    names = [f"{i:04x}/renders/image_001_p020_t011_r096.png" for i in range(8)]
    monkeypatch.setattr(source, "MODELS", 8)
    monkeypatch.setattr(source, "NAMES_SHA256", None)
    unpack(published, dict.fromkeys(names, b""))
    with pytest.raises(UserError, match=r"8 models in .*: 0000 \(1\), 0001 \(1\), 0002 \(1\) and 5 more views"):
        chairs3d(models="all")


def test_other_models(published, pictures):
    few = {name: content for name, content in pictures.items() if not name.startswith("3c2d")}
    unpack(published, few)
    with pytest.raises(UserError, match=r"has views of 2 models, expected 3. Unpack rendered_chairs.tar again"):
        chairs3d()
    unpack(published, {"3c2e/renders/image_001_p020_t011_r096.png": b""})
    with pytest.raises(UserError, match=r"have other names than the published ones"):
        chairs3d()


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (png(np.zeros((64, 64, 3), np.uint8)), "has 64 x 64 pixels, expected 600 x 600"),
        (png(np.random.default_rng(0).integers(256, size=(600, 600, 3), dtype=np.uint8))[:50_000], "is damaged"),
        (b"", "is damaged"),
    ],
    ids=["another size", "cut short", "empty"],
)
def test_damaged_pictures_are_named(published, pictures, content, complaint):
    bad = file_name(0, 0, 3)
    pack(published, pictures | {bad: content})
    with pytest.raises(UserError, match=rf"rendered_chairs/{bad} in .*rendered_chairs.tar {complaint}"):
        chairs3d()


def test_damaged_archives(published, pictures):
    archive = pack(published, pictures)
    whole = archive.read_bytes()
    archive.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match=r"is damaged|has views of . models"):
        chairs3d()
    archive.write_bytes(b"\x1f\x8b" + whole)
    with pytest.raises(UserError, match=r"is damaged \(.*\). Fetch it again"):
        chairs3d()
    archive.write_bytes(b"<html>not found")
    with pytest.raises(UserError, match="is a web page"):
        chairs3d()


def test_pictures_that_show_nothing(published, pictures):
    white = png(np.full((600, 600, 3), 255, np.uint8))
    unpack(published, dict.fromkeys(pictures, white))
    with pytest.raises(UserError, match=r"the views of 0a1b show nothing but white"):
        chairs3d(crop="per_model")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("dataset.crop=center148", "dataset.crop=center148: must be one of center400, center300, per_model"),
        ("dataset.mode=colour", "dataset.mode=colour: must be one of mask, gray, rgb"),
        ("dataset.models=810", "dataset.models=810: must be one of subset809, all"),
        ("dataset.mask_threshold=1.5", "dataset.mask_threshold=1.5: must be a number from 0 to 1"),
        ("model=cvae", "given the class of each image, but dataset=chairs3d has no labels"),
    ],
)
def test_mistakes_are_refused_before_anything_is_read(line, message):
    with pytest.raises(UserError, match=message):
        check_line(["dataset=chairs3d", *line.split()])


@pytest.mark.parametrize(("split", "train", "test"), [("official", 62, 62), ("random90", 112, 12), ("all", 124, 124)])
def test_splits(folder, monkeypatch, split, train, test):
    from hydra.utils import instantiate

    monkeypatch.setattr(source, "make_images", lambda place, start, stop, **_: np.zeros((stop - start, 512), np.uint8))
    data = instantiate(compose_train("dataset=chairs3d", f"dataset.split={split}", "dataset.val_images=0").dataset)
    data.setup()
    assert (len(data.rows.train), len(data.rows.test)) == (train, test)
    if split == "official":
        assert set(data.source.factors[data.rows.train, 0]) == {0}
        assert set(data.source.factors[data.rows.test, 0]) == {1}


def test_published_counts(tmp_path, monkeypatch):
    """647 of 809 models train: 40,114 images."""
    monkeypatch.setenv("VAEZOO_DATA", str(tmp_path))
    (tmp_path / "rendered_chairs").mkdir()
    monkeypatch.setattr(
        source, "prepare_images", lambda dataset, recipe, count, shape, make, **_: np.zeros((count, *shape), np.uint8)
    )
    arrays = chairs3d()
    assert (len(arrays), arrays.test_images) == (50_158, 10_044)
    assert arrays.factors[-1].tolist() == [808, 1, 30]
    assert len(chairs3d(models="all")) == 86_366


@pytest.mark.parametrize("line", ["model=dipvae", "model=vaegan dataset.mode=rgb likelihood=gaussian"])
def test_training_reads_the_files(folder, in_tmp, line):
    from vaezoo.training.run import train

    small = ["dataset=chairs3d", "max_batches=2", "dataset.batch_size=4", "dataset.val_images=4", "trainer=cpu"]
    config = compose_train(
        *line.split(), *small, "logger=csv", "figure=none", f"folder={in_tmp}", "callbacks.progress=false"
    )
    scores = train(config)
    assert scores["eval/recon_mse"] > 0
    assert 0 <= scores["eval/factor_vae"] <= 1
