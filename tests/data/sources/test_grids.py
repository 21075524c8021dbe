"""Shapes3D, Cars3D, SmallNORB and MPI3D: small files in the true formats, whole, damaged and mixed up."""

import gzip
import hashlib
import io
import pickle
import tarfile
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from tests.support.configuration import check_line, compose_train
from vaezoo.data.files.find import DataFile
from vaezoo.data.readers.grids import make_grid, resize_images
from vaezoo.data.readers.npz import NpzArray
from vaezoo.data.sources import cars3d as cars
from vaezoo.data.sources import mpi3d as mpi
from vaezoo.data.sources import shapes3d as shapes
from vaezoo.data.sources import smallnorb as norb
from vaezoo.data.sources.cars3d import cars3d
from vaezoo.data.sources.mpi3d import mpi3d
from vaezoo.data.sources.shapes3d import shapes3d
from vaezoo.data.sources.smallnorb import smallnorb
from vaezoo.errors import UserError
from vaezoo.metrics.groups import Groups


@pytest.fixture(autouse=True)
def data(tmp_path, monkeypatch):
    folder = tmp_path / "data"
    folder.mkdir()
    monkeypatch.setenv("VAEZOO_DATA", str(folder))
    return folder


def md5(file: Path) -> str:
    return hashlib.md5(file.read_bytes()).hexdigest()


def pictures(count: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(256, size=(count, *shape), dtype=np.uint8)


def test_a_grid():
    assert make_grid((2, 3)).tolist() == [[0, 0], [0, 1], [0, 2], [1, 0], [1, 1], [1, 2]]


def test_resizing_is_that_of_pillow_and_averages():
    images = pictures(3, 96, 96)
    expected = np.asarray(Image.fromarray(images[1]).resize((64, 64), Image.Resampling.BILINEAR))
    np.testing.assert_array_equal(resize_images(images, 64)[1, 0], expected)
    colour = resize_images(np.stack([images] * 3, axis=3), 64)
    np.testing.assert_array_equal(colour[1, 2], expected)
    # The triangle filter, which is two pixels of the result wide: no pixel of the original is left out.
    assert resize_images(images, 64).std() < 0.7 * images.std()


# ---- Shapes3D

SHAPES = (2, 1, 3, 2, 2, 4)
SHAPE_VALUES = [np.linspace(-1, 1, size) for size in SHAPES]


def write_shapes(file: Path, **changes) -> Path:
    images = pictures(96, 64, 64, 3)
    labels = np.stack([values[c] for values, c in zip(SHAPE_VALUES, make_grid(SHAPES).T, strict=True)], axis=1)
    with h5py.File(file, "w") as held:
        for name, array in {"images": images, "labels": labels, **changes}.items():
            if array is not None:
                held.create_dataset(name, data=array, compression="gzip", chunks=(7, *array.shape[1:]))
    return file


@pytest.fixture
def shapes_file(data, monkeypatch):
    (data / "shapes3d").mkdir()
    file = write_shapes(data / "shapes3d" / "3dshapes.h5")
    monkeypatch.setattr(shapes, "SHAPES3D", replace(shapes.SHAPES3D, files=(DataFile("3dshapes.h5", md5=md5(file)),)))
    return file


def test_shapes3d(shapes_file, data):
    arrays = shapes3d()
    np.testing.assert_array_equal(arrays.images, pictures(96, 64, 64, 3).transpose(0, 3, 1, 2))
    np.testing.assert_array_equal(arrays.factors, make_grid(SHAPES))
    assert arrays.factor_sizes == SHAPES
    assert arrays.identity == {"origin": "official", "file": "3dshapes.h5", "md5": md5(shapes_file)}
    assert len(list((data / "shapes3d" / "prepared").glob("*.npy"))) == 1
    assert shapes3d(str(shapes_file), verify=False).identity["origin"] == "unverified file"


def test_pieces_of_shapes3d_end_where_compressed_pieces_end(shapes_file):
    assert shapes.read_layout(shapes_file)[1] == 1029  # 7 * 147


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"labels": None}, "is damaged, or another file .*labels"),
        ({"labels": np.zeros((96, 5))}, r"labels \(96, 5\), expected uint8 \(N, 64, 64, 3\)"),
        ({"images": np.zeros((96, 64, 64, 1), np.uint8)}, r"holds images uint8 \(96, 64, 64, 1\)"),
        ({"images": np.zeros((95, 64, 64, 3), np.uint8)}, r"holds images uint8 \(95, 64, 64, 3\)"),
        ({"labels": np.zeros((96, 6))}, "the labels in .* are no full grid in order"),
        ({"labels": make_grid(SHAPES)[::-1].astype(float)}, "the labels in .* are no full grid in order"),
    ],
    ids=["no labels", "few labels", "grey", "fewer", "constant", "backwards"],
)
def test_shapes3d_that_are_something_else(tmp_path, changes, complaint):
    with pytest.raises(UserError, match=complaint):
        shapes3d(str(write_shapes(tmp_path / "3dshapes.h5", **changes)), verify=False)


def test_damaged_shapes3d(shapes_file):
    shapes_file.write_bytes(shapes_file.read_bytes()[:5000])
    with pytest.raises(UserError, match=r"has the MD5 .*, expected .*verify=false"):
        shapes3d()
    with pytest.raises(UserError, match="is damaged, or another file"):
        shapes3d(verify=False)
    shapes_file.write_bytes(b"<html>no</html>")
    with pytest.raises(UserError, match="is a web page"):
        shapes3d(verify=False)
    shapes_file.unlink()
    with pytest.raises(UserError, match=r"(?s)not found: 3dshapes.h5 \(MD5 .*dataset.download=true fetches them"):
        shapes3d()


# ---- MPI3D

ROBOTS = (2, 1, 2, 1, 1, 5, 6)


@pytest.fixture
def robots(data, monkeypatch):
    (data / "mpi3d_real").mkdir()
    file = data / "mpi3d_real" / "mpi3d_real.npz"
    np.savez(file, images=pictures(120, 64, 64, 3))
    monkeypatch.setattr(mpi, "SIZES", (ROBOTS, (2, 1, 2, 1, 1, 2, 6)))
    monkeypatch.setitem(mpi.MD5, "real", md5(file))
    return file


def test_mpi3d(robots):
    arrays = mpi3d(variant="real")
    np.testing.assert_array_equal(arrays.images, pictures(120, 64, 64, 3).transpose(0, 3, 1, 2))
    np.testing.assert_array_equal(arrays.factors, make_grid(ROBOTS))
    assert arrays.identity["variant"] == "real"
    with pytest.raises(UserError, match=r"(?s)not found: mpi3d_toy.npz .*Looked in"):
        mpi3d(variant="toy")


def test_the_sizes_of_mpi3d_follow_from_the_number_of_images(robots):
    np.savez_compressed(robots, images=pictures(48, 64, 64, 3))
    assert mpi3d(variant="real", verify=False).factor_sizes == (2, 1, 2, 1, 1, 2, 6)
    np.savez(robots, images=pictures(100, 64, 64, 3))
    with pytest.raises(UserError, match="holds 100 images, expected 120 or 48"):
        mpi3d(variant="real", verify=False)


@pytest.mark.parametrize(
    ("write", "complaint"),
    [
        (lambda file: np.savez(file, images=np.zeros((120, 64, 64), np.uint8)), r"expected uint8 \(any, 64, 64, 3\)"),
        (lambda file: np.savez(file, images=np.array([{"a": 1}], object)), r"is object \(1,\), expected uint8"),
        (lambda file: np.savez(file, pictures=np.zeros(3)), "has no member images, only pictures"),
        (lambda file: file.write_bytes(file.read_bytes()[:-500]), "is damaged"),
        (lambda file: file.write_bytes(b"nothing"), "is damaged"),
    ],
    ids=["grey", "pickle", "other member", "cut short", "no archive"],
)
def test_mpi3d_that_is_something_else(robots, write, complaint):
    write(robots)
    with pytest.raises(UserError, match=complaint):
        mpi3d(variant="real", verify=False)


def test_a_damaged_image_of_mpi3d(robots):
    content = bytearray(robots.read_bytes())
    content[len(content) // 2] ^= 1
    robots.write_bytes(content)
    with pytest.raises(UserError, match=r"is damaged .*CRC"):
        mpi3d(variant="real", verify=False)


def test_rows_of_a_member_in_any_order_and_process(robots):
    member = NpzArray("mpi3d", robots, "images", (None, 64, 64, 3), np.dtype(np.uint8))
    expected = pictures(120, 64, 64, 3)
    for start, stop in ((10, 20), (20, 30), (100, 120), (0, 10), (119, 120)):
        np.testing.assert_array_equal(member.read(start, stop), expected[start:stop])
        np.testing.assert_array_equal(pickle.loads(pickle.dumps(member)).read(start, stop), expected[start:stop])


# ---- Cars3D

CARS = ("car_002_mesh.mat", "car_001_mesh.mat", "car_010_mesh.mat")  # as they come, which need not be in order


def car(number: int) -> np.ndarray:
    """Each view has its own colours; the left half of a picture is black."""
    images = np.zeros((128, 128, 3, 24, 4), np.uint8)
    views = np.indices((3, 24, 4))
    images[:, 64:] = 10 + 40 * number + 2 * views[1] + views[2] + 60 * views[0] // 2
    return images


@pytest.fixture
def car_archive(data, monkeypatch):
    (data / "cars3d").mkdir()
    file = data / "cars3d" / "nips2015-analogy-data.tar.gz"
    with tarfile.open(file, "w:gz", compresslevel=1) as archive:
        for number, name in enumerate(CARS):
            stream = io.BytesIO()
            savemat(stream, {"im": car(number), "mask": np.zeros(3)}, do_compression=True)
            add(archive, f"data/cars/{name}", stream.getvalue())
        add(archive, "data/cars/list.txt", b"car_002_mesh\n")
        add(archive, "data/sprites/car_003_mesh.mat", b"no car")
    monkeypatch.setattr(cars, "MODELS", 3)
    monkeypatch.setattr(cars, "CARS3D", replace(cars.CARS3D, files=(replace(cars.CARS3D.files[0], md5=md5(file)),)))
    return file


def add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    archive.addfile(member, io.BytesIO(content))


def test_cars3d(car_archive, tmp_path):
    arrays = cars3d()
    assert arrays.images.shape == (4 * 24 * 3, 3, 64, 64)
    assert arrays.factor_sizes == (4, 24, 3)
    np.testing.assert_array_equal(arrays.factors, make_grid((4, 24, 3)))
    for row in (0, 1, 2, 3, 100, 287):
        elevation, azimuth, model = arrays.factors[row]
        original = car(CARS.index(sorted(CARS)[model]))[:, :, :, azimuth, elevation]
        expected = np.asarray(Image.fromarray(original).resize((64, 64), Image.Resampling.BILINEAR))
        np.testing.assert_array_equal(arrays.images[row], expected.transpose(2, 0, 1))
    with tarfile.open(car_archive) as archive:
        archive.extractall(tmp_path / "out", filter="data")
    for place in ("out", "out/data", "out/data/cars"):
        again = cars3d(str(tmp_path / place))
        np.testing.assert_array_equal(again.images, arrays.images)
    assert (arrays.identity["origin"], again.identity["origin"]) == ("official", "unpacked files")
    (tmp_path / "out" / "data" / "cars" / CARS[0]).unlink()
    with pytest.raises(UserError, match=r"holds 2 files car_\*_mesh.mat, expected 3"):
        cars3d(str(tmp_path / "out"))
    assert cars3d(str(tmp_path / "out"), verify=False).factor_sizes == (4, 24, 2)


def test_damaged_cars3d(car_archive, tmp_path):
    whole = car_archive.read_bytes()
    car_archive.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match="has the MD5"):
        cars3d()
    with pytest.raises(UserError, match="is damaged"):
        cars3d(verify=False)
    folder = tmp_path / "cars"
    folder.mkdir()
    (folder / CARS[0]).write_bytes(b"MATLAB 5.0 MAT-file, and nothing in it")
    with pytest.raises(UserError, match=r"car_002_mesh.mat in .*cars is damaged"):
        cars3d(str(folder), verify=False)
    savemat(folder / CARS[0], {"im": np.zeros((64, 64, 3, 24, 4), np.uint8)})
    with pytest.raises(UserError, match=r"is uint8 \(64, 64, 3, 24, 4\), expected uint8 \(128"):
        cars3d(str(folder), verify=False)
    with pytest.raises(UserError, match="not found: nips2015"):
        cars3d(str(tmp_path / "data"))


# ---- SmallNORB


def matrix(array: np.ndarray) -> bytes:
    magic = {"u1": 0x1E3D4C55, "i4": 0x1E3D4C54}[array.dtype.str[1:]]
    sizes = [*array.shape, 1, 1][: max(3, array.ndim)]
    return np.array([magic, array.ndim, *sizes], "<i4").tobytes() + array.tobytes()


def norb_part(instances: list[int], seed: int) -> dict[str, np.ndarray]:
    """Of each toy two elevations, three azimuths and one lighting, in random order."""
    table = np.array([(c, i, e, 2 * a, 4) for c in range(5) for i in instances for e in (0, 8) for a in (0, 9, 17)])
    table = table[np.random.default_rng(seed).permutation(len(table))].astype("<i4")
    images = np.random.default_rng(seed).integers(256, size=(len(table), 2, 96, 96), dtype=np.uint8)
    return {"dat": images, "cat": table[:, 0], "info": table[:, 1:]}


@pytest.fixture
def toys(data, monkeypatch):
    folder = data / "small_norb"
    folder.mkdir()
    parts = {norb.TRAIN: norb_part([4, 6, 7, 8, 9], 1), norb.TEST: norb_part([0, 1, 2, 3, 5], 2)}
    held = {f"{part}{name}.mat.gz": matrix(parts[part][name]) for part in parts for name in ("dat", "cat", "info")}
    for name, payload in held.items():
        (folder / name).write_bytes(gzip.compress(payload, 1))
    files = tuple(DataFile(name, payload_md5=hashlib.md5(payload).hexdigest()) for name, payload in held.items())
    monkeypatch.setattr(norb, "SMALLNORB", replace(norb.SMALLNORB, files=files))
    return folder


def test_the_published_categories_are_in_this_format():
    """Both parts go through the categories in turn, so the file can be made from its description."""
    assert (
        hashlib.md5(matrix(np.tile(np.arange(5, dtype="<i4"), 4860))).hexdigest()
        == norb.CHECKSUMS[f"{norb.TRAIN}cat"][1]
    )


def test_smallnorb(toys):
    arrays = smallnorb(instances="keep")
    train, test = norb_part([4, 6, 7, 8, 9], 1), norb_part([0, 1, 2, 3, 5], 2)
    assert (len(arrays), arrays.test_images) == (300, 150)
    np.testing.assert_array_equal(arrays.images[:150], resize_images(train["dat"][:, 0], 64))
    np.testing.assert_array_equal(arrays.images[150:], resize_images(test["dat"][:, 0], 64))
    assert arrays.factor_names == ("category", "instance", "elevation", "azimuth", "lighting")
    np.testing.assert_array_equal(arrays.factors[150:, 1:] * [1, 1, 2, 1], test["info"])
    np.testing.assert_array_equal(arrays.labels[:150], train["cat"])
    assert Groups(arrays.factors).full_product
    dropped = smallnorb()
    assert dropped.factor_names == ("category", "elevation", "azimuth", "lighting")
    assert dropped.factor_sizes == (5, 9, 18, 6)
    np.testing.assert_array_equal(dropped.factors, arrays.factors[:, [0, 2, 3, 4]])
    assert Groups(dropped.factors).full_product  # each combination ten times
    assert arrays.identity["origin"] == "official"


def test_pieces_of_smallnorb_may_span_both_parts(toys):
    parts = [norb.Matrix(toys / f"{part}dat.mat.gz", (2, 96, 96), np.dtype("u1")) for part in (norb.TRAIN, norb.TEST)]
    whole = norb.read_first_of_pairs(parts, 0, 300)
    np.testing.assert_array_equal(norb.read_first_of_pairs(parts, 140, 170), whole[140:170])
    np.testing.assert_array_equal(norb.read_first_of_pairs(pickle.loads(pickle.dumps(parts)), 290, 300), whole[290:])


def test_decompressed_smallnorb_is_the_same_set(toys):
    compressed = smallnorb()
    for file in list(toys.iterdir()):
        (toys / file.stem).write_bytes(gzip.decompress(file.read_bytes()))
        file.unlink()
    again = smallnorb()
    np.testing.assert_array_equal(again.images, compressed.images)
    assert again.identity == compressed.identity


@pytest.mark.parametrize(
    ("name", "change", "complaint"),
    [
        ("cat", lambda held: held[:-4], "is damaged .*ends early"),
        ("cat", lambda held: held + b"\0", "is damaged .*is longer than its header says"),
        ("dat", lambda held: held[:-1], "is damaged .*ends early"),
        ("info", lambda held: b"\0" * 100, "is no file of SmallNORB"),
        ("info", lambda held: b"", "is no file of SmallNORB"),
        ("info", lambda held: matrix(np.zeros(150, "<i4")), r"holds int32 \(\) for each image, expected int32 \(4,\)"),
        ("cat", lambda held: matrix(np.zeros(149, "<i4")), "hold 150 images, 149 categories and 150 descriptions"),
        ("cat", lambda held: matrix(np.full(150, 5, "<i4")), "hold classes beyond those of"),
    ],
    ids=["short", "long", "short images", "zeros", "empty", "a column", "fewer", "a sixth category"],
)
def test_smallnorb_that_is_something_else(toys, name, change, complaint):
    file = toys / f"{norb.TRAIN}{name}.mat.gz"
    file.write_bytes(gzip.compress(change(gzip.decompress(file.read_bytes()))))
    with pytest.raises(UserError, match="holds data of the MD5"):
        smallnorb()
    with pytest.raises(UserError, match=complaint):
        smallnorb(verify=False)


def test_smallnorb_cut_short_while_compressed(toys):
    file = toys / f"{norb.TEST}dat.mat.gz"
    file.write_bytes(file.read_bytes()[:-3000])
    for verify in (True, False):
        with pytest.raises(UserError, match="is damaged"):
            smallnorb(verify=verify)


# ---- configuration and training


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("dataset=mpi3d dataset.variant=reel", r"must be one of toy, realistic, real. Did you mean 'real'\?"),
        ("dataset=smallnorb dataset.instances=no", "must be one of keep, drop"),
        ("dataset=shapes3d model=cvae", "dataset=shapes3d has no labels"),
    ],
)
def test_mistakes_are_refused(line, complaint):
    with pytest.raises(UserError, match=complaint):
        check_line(line.split())


@pytest.mark.parametrize(
    ("fixture", "line"),
    [
        ("shapes_file", ["dataset=shapes3d", "dataset.where='scale != 1'", "model=dipvae"]),
        ("robots", ["dataset=mpi3d", "dataset.variant=real", "model=dipvae"]),
        ("car_archive", ["dataset=cars3d", "model=dipvae"]),
        ("toys", ["dataset=smallnorb", "model=cvae"]),
    ],
)
def test_training_reads_the_files(fixture, line, request, in_tmp):
    from vaezoo.training.run import train

    request.getfixturevalue(fixture)
    quick = ["max_batches=2", "dataset.batch_size=8", "dataset.val_images=4", "metric.rows=50", "metric.test_rows=8"]
    rest = ["logger=csv", "figure=none", f"folder={in_tmp}", "callbacks.progress=false"]
    check_line(line)
    scores = train(compose_train(*line, *quick, *rest))
    assert scores["eval/recon_mse"] > 0
    assert "eval/mig_hist" in scores


def test_unneeded_libraries_are_not_imported():
    import subprocess
    import sys

    program = "import sys; import vaezoo.data.sources.shapes3d, vaezoo.data.sources.cars3d; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert not {"h5py", "scipy", "torch"} & set(loaded)
