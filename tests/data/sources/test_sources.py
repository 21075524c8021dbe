"""The sources that need no download: dSprites against facts about the published images, and scikit-learn's digits."""

import hashlib
import itertools
import math
import os
import zipfile
from dataclasses import replace

import numpy as np
import pytest

from vaezoo.data.files.find import DataFile
from vaezoo.data.sources import dsprites as source
from vaezoo.data.sources.digits import digits
from vaezoo.data.sources.dsprites import (
    ARCHIVE,
    DSPRITES,
    SLICE,
    dsprites,
    make_factors,
    read_official,
)
from vaezoo.data.sources.dsprites_render import FACTOR_SIZES, FACTOR_VALUES, fill_polygons, render_block
from vaezoo.errors import UserError

SQUARE, ELLIPSE, HEART = 0, 1, 2
SMALL, LARGE = 0, 5  # scale
SHAPES = {"square": SQUARE, "ellipse": ELLIPSE, "heart": HEART}


@pytest.fixture(scope="session")
def whole():
    arrays = dsprites()
    arrays.images.flags.writeable = False
    return arrays


@pytest.fixture(scope="session")
def ones(whole):
    """The number of ones in each of the 737,280 images."""
    of_two_bytes = np.array([i.bit_count() for i in range(2**16)], dtype=np.uint16)
    slices = np.array_split(whole.images.view(np.uint16), 100)
    return np.concatenate([of_two_bytes[part].sum(axis=1) for part in slices])


def index(shape, scale=LARGE, orientation=0, pos_x=0, pos_y=0):
    """Flat indices; any of the arguments may be a range."""
    return np.ravel_multi_index(tuple(np.broadcast_arrays(shape, scale, orientation, pos_x, pos_y)), FACTOR_SIZES)


def unpacked(images):
    return np.unpackbits(images, axis=-1).reshape(*images.shape[:-1], 64, 64)


def box(image):
    """First and last column, first and last row with a one."""
    columns, rows = np.flatnonzero(image.any(axis=0)), np.flatnonzero(image.any(axis=1))
    return columns[0], columns[-1], rows[0], rows[-1]


# ---- dSprites, rendered: facts about the published images


def test_whole_set_is_described(whole):
    assert whole.name == "dsprites"
    assert whole.images.shape == (737_280, 512)
    assert (whole.shape, whole.scale, whole.packed) == ((1, 64, 64), 1, True)
    assert whole.factor_names == ("shape", "scale", "orientation", "posX", "posY")
    assert whole.factor_sizes == (3, 6, 40, 32, 32)
    assert whole.labels is None
    assert whole.identity["origin"] == "rendered"
    assert whole.identity["sha256"] == hashlib.sha256(whole.images).hexdigest()


def test_factors_are_the_digits_of_the_flat_index(whole):
    assert whole.factors.shape == (737_280, 5)
    assert whole.factors.dtype == np.uint8
    for i in [
        0,
        1,
        31,
        32,
        1_023,
        1_024,
        40_960,
        245_760,
        737_279,
        *np.random.default_rng(0).integers(737_280, size=50),
    ]:
        expected = [i // 245_760, i // 40_960 % 6, i // 1_024 % 40, i // 32 % 32, i % 32]
        assert whole.factors[i].tolist() == expected
    assert (np.ravel_multi_index(tuple(whole.factors.T), FACTOR_SIZES) == np.arange(737_280)).all()


def test_factor_values():
    assert FACTOR_VALUES["shape"].tolist() == [1, 2, 3]
    assert FACTOR_VALUES["scale"].tolist() == [0.5, 0.6, 0.7, 0.8, 0.9, 1.0]
    assert FACTOR_VALUES["orientation"][[0, 39]] == pytest.approx([0, 2 * math.pi])
    for position in ("posX", "posY"):
        assert FACTOR_VALUES[position][[0, 1, 31]] == pytest.approx([0, 1 / 31, 1])


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ("square", [100, 144, 196, 256, 324, 400]),
        ("ellipse", [76, 104, 144, 184, 228, 288]),
        ("heart", [58, 84, 108, 140, 182, 222]),
    ],
)
def test_ones_at_each_scale(ones, shape, expected):
    assert ones[index(SHAPES[shape], range(6))].tolist() == expected


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        (
            "square",
            "400 368 372 368 368 364 368 368 372 368 372 368 368 368 368 368 368 368 372 368 "
            "368 372 368 368 368 368 368 368 368 372 368 372 368 368 364 368 368 372 368 400",
        ),
        (
            "ellipse",
            "288 288 290 292 292 288 286 294 292 286 290 288 286 288 292 294 286 286 288 290 "
            "290 288 286 286 294 292 288 286 288 290 286 292 294 286 288 292 292 290 288 288",
        ),
        (
            "heart",
            "222 225 226 225 224 225 227 224 225 225 225 224 225 225 225 225 226 228 220 226 "
            "226 220 228 226 225 225 225 225 224 225 225 225 224 227 225 224 225 226 225 222",
        ),
    ],
)
def test_ones_at_each_orientation(ones, shape, expected):
    assert ones[index(SHAPES[shape], orientation=range(40))].tolist() == [int(n) for n in expected.split()]


def test_ones_of_the_heart_on_its_way_down(ones):
    expected = (
        "222 222 224 226 226 226 226 224 224 224 224 224 224 222 220 220 "
        "220 222 228 226 228 228 232 232 230 230 228 224 224 224 222 222"
    )
    assert ones[index(HEART, pos_y=range(32))].tolist() == [int(n) for n in expected.split()]


@pytest.mark.parametrize(
    ("i", "expected"),
    [
        (index(SQUARE), (6, 25, 6, 25)),
        (index(ELLIPSE), (3, 28, 9, 22)),
        (index(HEART), (6, 25, 7, 23)),
        (index(SQUARE, scale=SMALL, pos_x=31, pos_y=31), (43, 52, 43, 52)),
    ],
)
def test_boxes(whole, i, expected):
    assert box(unpacked(whole.images[i])) == expected


def test_heart_is_upright(whole):
    rows = unpacked(whole.images[index(HEART)])[7:24, 6:26]
    assert rows[0, 9:11].sum() == 0  # the notch, between two lobes
    assert rows[0, :9].any()
    assert rows[0, 11:].any()
    assert np.flatnonzero(rows[-1]).tolist() == [9, 10]  # the tip


def test_sprites_turn_counter_clockwise(whole):
    ellipse = unpacked(whole.images[index(ELLIPSE, orientation=5)])  # by 46 degrees
    left, right, *_ = box(ellipse)
    assert np.flatnonzero(ellipse[:, right]).mean() < np.flatnonzero(ellipse[:, left]).mean() - 5


@pytest.mark.parametrize(
    ("sequence", "expected"),
    [
        (index(SQUARE, scale=range(6)), "d079d81a11f281be4fe1888a66e410581f7fe21f5dd4e3649887e7c57cd9ed85"),
        (index(SQUARE, orientation=range(40)), "99d8a0400205933b40129d77761f2590f3c8e6441824294dedf48352c2d1ef3d"),
        (index(ELLIPSE, scale=range(6)), "59843465bfb596a54ff8676ded1513bb540422f69b5b78c13f6ac2314b54bc1b"),
        (index(ELLIPSE, orientation=range(40)), "8442ecb4d0560b8c2beeab30bf91fe4a7bb87cf3c3a643a28217c89ac7ba3619"),
        (index(HEART, scale=range(6)), "708b19b4869dba5ea59cd5e524207c5872f8386b6f83f7f6c54e49b490a9dec2"),
        (index(HEART, orientation=range(40)), "b2efc9efe8c200437941cc3922fa5ebc781778d85264e1b8c9185a7a37a4f4a7"),
        (index(HEART, pos_y=range(32)), "41e3159bfd8a43064d965c864e002aaabdd4e142c6c19496628612cf13d84dea"),
        (index(HEART, pos_x=range(32), pos_y=31), "d3bc973733ab59176b0cb1d6690c19390c5a74a437a582f023f3471fae545a0e"),
    ],
)
def test_sequences_equal_the_published_images(whole, sequence, expected):
    assert hashlib.sha256(whole.images[sequence].tobytes()).hexdigest() == expected


def test_total_of_ones(ones):
    # To 100: another library's last bit in a sine may move a vertex by 1/256 pixel.
    by_shape = ones.reshape(3, -1).sum(axis=1, dtype=np.int64)
    assert np.abs(by_shape - [53_612_886, 42_070_950, 32_645_028]).max() <= 100
    assert abs(by_shape.sum() - 128_328_864) <= 100
    assert by_shape.sum() / (737_280 * 4_096) == pytest.approx(0.042494423521889584, abs=4e-8)  # of the original


def test_sprites_are_neither_cut_nor_empty(whole, ones):
    covered = unpacked(np.bitwise_or.reduce(whole.images, axis=0))
    assert box(covered) == (2, 61, 2, 61)
    assert ones.min() >= 50
    assert ones.max() == 400


def test_last_orientation_is_the_first(whole):
    images = whole.images.reshape(18, 40, 1024, 512)
    assert (images[:, 39] == images[:, 0]).all()
    assert (images[:, 38] != images[:, 0]).any(axis=(1, 2)).all()


def test_next_image_is_lower_and_the_32nd_is_further_right(whole):
    first, lower, right = unpacked(whole.images[[0, 1, 32]])
    assert (lower == np.roll(first, 1, axis=0)).all()
    assert (right == np.roll(first, 1, axis=1)).all()
    # A step is a little more than a pixel: 31 of them make 32.
    assert (unpacked(whole.images[31]) == np.roll(first, 32, axis=0)).all()


def test_blocks_are_slices_of_the_whole(whole):
    for block in [(SQUARE, 0, 0), (HEART, 3, 17), (HEART, 5, 39)]:
        start = index(*block)
        assert (render_block(*block) == whole.images[start : start + 1024]).all()


# ---- dSprites, rendered: the filling, once more and differently


def inside(vertices):
    """Even-odd rule for each pixel by itself, in whole numbers: (64, 64) for vertices in units of 1/256 pixel."""
    centres = 256 * np.arange(64) + 128
    xc, yc = centres[None, :], centres[:, None]
    odd = np.zeros((64, 64), dtype=bool)
    for start, end in zip(vertices, vertices[1:] + vertices[:1], strict=True):
        (x0, y0), (x1, y1) = sorted((start, end), key=lambda vertex: vertex[1])
        # The edge is at or to the left of the centre when the cross product says so; no division.
        odd ^= (y0 < yc) & (yc <= y1) & ((yc - y0) * (x1 - x0) <= (xc - x0) * (y1 - y0))
    return odd


def sprite(shape, scale, orientation, pos_x, pos_y):
    """The snapped vertices, by complex numbers; y points up until the last line."""
    if shape == SQUARE:
        points = [complex(x, y) for x, y in [(-1, -1), (-1, 1), (1, 1), (1, -1)]]
    elif shape == ELLIPSE:
        points = [complex(1.33 * math.cos(t), math.sin(t) / 1.33) for t in (math.tau * j / 100 for j in range(100))]
    else:
        curve = ((13, 1), (-5, 2), (-2, 3), (-1, 4))
        points = [
            complex(math.sin(t) ** 3, sum(a * math.cos(k * t) for a, k in curve) / 14.5 + 0.15)
            for t in (math.tau * j / 150 for j in range(150))
        ]
    turn = complex(math.cos(math.tau * orientation / 39), math.sin(math.tau * orientation / 39))
    points = [point * 9.6 * (0.5 + 0.1 * scale) * turn for point in points]
    cx, cy = 16 + 32 * pos_x / 31, 16 + 32 * pos_y / 31
    return [(round(256 * (cx + point.real)), round(256 * (cy - point.imag))) for point in points]


def test_random_images_agree_with_a_point_in_polygon_test(whole):
    for shape in SHAPES.values():
        drawn = np.random.default_rng(shape).integers(245_760, size=60) + shape * 245_760
        for i in drawn:
            expected = inside(sprite(*map(int, whole.factors[i])))
            assert (unpacked(whole.images[i]) == expected).all(), f"image {i}"


def test_ties_count_on_the_lower_and_the_left_side():
    low, high = 256 * 10 + 128, 256 * 13 + 128  # both exactly on a centre line
    corners = [(low, low), (high, low), (high, high), (low, high)]
    x, y = np.array(corners).T
    image = unpacked(fill_polygons(x[None], y[None]).astype(">u8").view(np.uint8).reshape(512))
    assert box(image) == (10, 12, 11, 13)
    assert image.sum() == 9
    assert (image == inside(corners)).all()


def test_random_star_shapes_with_many_ties():
    """Vertices on the half-pixel grid, where nearly every row and vertex is a tie."""
    rng = np.random.default_rng(0)
    for _ in range(50):
        angles = np.sort(rng.uniform(0, 2 * np.pi, size=12))
        radii = rng.uniform(3, 25, size=12)
        x = np.rint(64 + 2 * radii * np.cos(angles)).astype(np.int64) * 128
        y = np.rint(64 + 2 * radii * np.sin(angles)).astype(np.int64) * 128
        image = unpacked(fill_polygons(x[None], y[None]).astype(">u8").view(np.uint8).reshape(512))
        assert (image == inside(list(zip(x.tolist(), y.tolist(), strict=True)))).all()


# ---- dSprites, the official archive. The archives here are genuine npz files of the first images only.

COUNT = 2 * SLICE + 100


class Payload:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder):
        self.folder = str(folder)

    def __reduce__(self):
        return os.mkdir, (self.folder,)


@pytest.fixture(scope="session")
def members(whole):
    classes = np.concatenate([np.zeros((COUNT, 1), np.int64), whole.factors[:COUNT].astype(np.int64)], axis=1)
    return {
        "imgs": unpacked(whole.images[:COUNT]),
        "latents_values": classes.astype(np.float64),
        "latents_classes": classes,
        "metadata": np.array({"title": "dSprites"}, dtype=object),
    }


@pytest.fixture(scope="session")
def archive(members, tmp_path_factory):
    file = tmp_path_factory.mktemp("dsprites") / ARCHIVE
    np.savez_compressed(file, **members)
    return file


def read(file, verify=False, count=COUNT):
    return read_official(file, verify, make_factors()[:count])


def refusal(file, verify=False):
    """The message with which the archive is refused."""
    with pytest.raises(UserError) as caught:
        read(file, verify)
    message = str(caught.value)
    assert str(file) in message
    return message


def md5_of(file):
    return hashlib.md5(file.read_bytes()).hexdigest()


def test_archive_equals_the_rendered_images(whole, archive):
    arrays = read(archive)
    assert (arrays.images == whole.images[:COUNT]).all()
    assert (arrays.factors == whole.factors[:COUNT]).all()
    assert (arrays.shape, arrays.scale, arrays.packed) == ((1, 64, 64), 1, True)
    assert arrays.identity == {"origin": "unverified file", "file": ARCHIVE, "md5": md5_of(archive)}


@pytest.fixture
def accepted(archive, monkeypatch):
    """As if the archive of the tests were the official one, and the images in it all there are."""
    official = replace(DSPRITES, files=(DataFile(ARCHIVE, md5=md5_of(archive)),))
    monkeypatch.setattr(source, "DSPRITES", official)
    monkeypatch.setattr(source, "make_factors", lambda: make_factors()[:COUNT])


def test_archive_is_found_where_it_is_said_to_be(accepted, archive):
    for path in (archive, archive.parent):
        arrays = dsprites(str(path))
        assert (len(arrays), arrays.identity["origin"]) == (COUNT, "official")


def test_archive_is_found_where_other_software_keeps_it(accepted, archive, tmp_path, monkeypatch):
    monkeypatch.setenv("VAEZOO_DATA", str(tmp_path / "none"))
    monkeypatch.setenv("DISENTANGLEMENT_LIB_DATA", str(tmp_path))
    (tmp_path / "dsprites").symlink_to(archive.parent)
    assert len(dsprites(download=True)) == COUNT
    monkeypatch.setattr(source, "render_all", lambda: "rendered")
    assert dsprites() == "rendered"  # as long as nobody asks for the archive


def test_uncompressed_archive(members, tmp_path):
    np.savez(tmp_path / "plain.npz", **members)
    assert (unpacked(read(tmp_path / "plain.npz").images) == members["imgs"]).all()


@pytest.mark.slow
def test_archive_of_the_full_size(whole, tmp_path):
    file = tmp_path / ARCHIVE
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        with archive.open("imgs.npy", "w", force_zip64=True) as stream:
            header = {"descr": "|u1", "fortran_order": False, "shape": (737_280, 64, 64)}
            np.lib.format.write_array_header_1_0(stream, header)
            for part in np.array_split(whole.images, 100):
                stream.write(np.unpackbits(part).data)
        with archive.open("latents_classes.npy", "w") as stream:
            np.save(stream, np.pad(whole.factors.astype(np.int64), ((0, 0), (1, 0))))
    arrays = dsprites(str(file), verify=False)
    assert (arrays.images == whole.images).all()


def test_pickles_in_the_archive_are_never_loaded(members, tmp_path):
    made, file = tmp_path / "made", tmp_path / "evil.npz"
    np.savez(file, **members | {"metadata": np.array(Payload(made), dtype=object)})
    assert len(read(file)) == COUNT
    assert not made.exists()
    with np.load(file, allow_pickle=True) as loaded:
        loaded["metadata"]
    assert made.exists()  # so the payload does work where pickles are loaded


@pytest.mark.parametrize("name", ["imgs", "latents_classes"])
def test_pickles_in_place_of_arrays_are_refused(members, tmp_path, name):
    made, file = tmp_path / "made", tmp_path / "evil.npz"
    np.savez(file, **members | {name: np.array([Payload(made)], dtype=object)})
    assert f"{name} in {file} is object (1,)" in refusal(file)
    assert not made.exists()


def test_missing_archive(tmp_path):
    with pytest.raises(UserError) as caught:
        dsprites(str(tmp_path))
    message = str(caught.value)
    assert f"dataset=dsprites: not found: {ARCHIVE} (MD5 {DSPRITES.files[0].md5}).\nLooked in: {tmp_path}." in message
    assert "github.com/google-deepmind/dsprites-dataset" in message
    assert "dataset=dsprites (rendered)" in message


def test_wrong_checksum(archive):
    with pytest.raises(UserError) as caught:
        dsprites(str(archive))
    assert f"{archive} has the MD5 {md5_of(archive)}, expected {DSPRITES.files[0].md5}" in str(caught.value)


def test_archive_with_too_few_images(archive):
    with pytest.raises(UserError, match=r"is int64 \(4196, 6\), expected int64 \(737280, 6\)"):
        dsprites(str(archive), verify=False)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n", "is a web page or a pointer"),
        (b"\n<!DOCTYPE html>\n<html><body>Not found</body></html>", "is a web page or a pointer"),
        (b"\xef\xbb\xbf<HTML>", "is a web page or a pointer"),
        (b"\x89HDF\r\n\x1a\n", "is damaged (File is not a zip file)"),
        (b"", "is damaged (File is not a zip file)"),
        (b"PK\x03\x04" + bytes(96), "is damaged (File is not a zip file)"),
    ],
)
def test_other_things_under_the_archive_name(tmp_path, content, expected):
    file = tmp_path / ARCHIVE
    file.write_bytes(content)
    assert expected in refusal(file)


def test_half_an_archive(archive, tmp_path):
    content = archive.read_bytes()
    (tmp_path / ARCHIVE).write_bytes(content[: len(content) // 2])
    assert "is damaged" in refusal(tmp_path / ARCHIVE)


def test_damaged_pixel(members, tmp_path):
    file = tmp_path / "damaged.npz"
    np.savez(file, **members)
    content = bytearray(file.read_bytes())
    pixels = content.index(bytes(members["imgs"][100]))
    content[pixels] ^= 1
    file.write_bytes(content)
    assert "is damaged (Bad CRC-32" in refusal(file)


def test_damaged_compression(archive, tmp_path):
    content = bytearray(archive.read_bytes())
    start = content.index(b"imgs.npy") + 2000
    content[start : start + 200] = b"\xff" * 200
    (tmp_path / ARCHIVE).write_bytes(content)
    assert "is damaged" in refusal(tmp_path / ARCHIVE)


@pytest.mark.parametrize(
    ("content_of", "expected"),
    [
        (lambda whole_member: whole_member[:-1], "imgs ends early"),
        (lambda whole_member: whole_member + b"\0", "imgs is longer than its header says"),
        (lambda _: b"no array", "imgs is no array"),
        (lambda _: b"", "imgs is no array"),
    ],
)
def test_member_that_contradicts_its_header(members, tmp_path, content_of, expected):
    file = tmp_path / "odd.npz"
    np.savez(file, **{name: member for name, member in members.items() if name != "imgs"})
    np.save(tmp_path / "imgs.npy", members["imgs"])
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr("imgs.npy", content_of((tmp_path / "imgs.npy").read_bytes()))
    assert f"is damaged ({expected}" in refusal(file)


@pytest.mark.parametrize(
    ("name", "change", "expected"),
    [
        ("imgs", lambda imgs: imgs[:, ::2, ::2], "imgs in {} is uint8 (4196, 32, 32), expected uint8 (4196, 64, 64)"),
        ("imgs", lambda imgs: imgs[:-1], "imgs in {} is uint8 (4195, 64, 64), expected uint8 (4196, 64, 64)"),
        ("imgs", lambda imgs: imgs.astype(bool), "imgs in {} is bool (4196, 64, 64), expected uint8"),
        ("imgs", lambda imgs: imgs * 255, "imgs in {} hold values up to 255, expected 0 and 1"),
        ("imgs", np.asfortranarray, "imgs is stored column by column"),
        ("latents_classes", lambda classes: classes[:, 1:], "is int64 (4196, 5), expected int64 (4196, 6)"),
        (
            "latents_classes",
            lambda classes: np.concatenate([classes[:3000], classes[:2999:-1]]),
            "image 3000 is [0, 0, 0, 4, 3, 3], expected [0, 0, 0, 2, 29, 24]",
        ),
        (
            "latents_classes",
            lambda classes: classes + np.eye(6, dtype=np.int64)[0],
            "image 0 is [1, 0, 0, 0, 0, 0], expected",
        ),
    ],
)
def test_members_that_are_not_those_of_dsprites(members, tmp_path, name, change, expected):
    file = tmp_path / "other.npz"
    np.savez(file, **members | {name: change(members[name])})
    assert expected.format(file) in refusal(file)


def test_archive_without_images(members, tmp_path):
    file = tmp_path / "other.npz"
    np.savez(file, latents_classes=members["latents_classes"], pictures=np.zeros(3))
    assert "has no member imgs, only latents_classes, pictures" in refusal(file)


# ---- digits


def test_digits():
    arrays = digits()
    assert arrays.images.shape == (1797, 1, 8, 8)
    assert (arrays.images.min(), arrays.images.max(), arrays.scale) == (0, 16, 16)
    assert np.bincount(arrays.labels).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    assert arrays.label_names == tuple("0123456789")
    assert arrays.factors is None
    assert arrays.images[0, 0, 0].tolist() == [0, 0, 5, 13, 9, 1, 0, 0]  # the top of a zero
    assert arrays.identity["sha256"] == hashlib.sha256(arrays.images.tobytes()).hexdigest()


@pytest.mark.parametrize("size", [16, 32, 64])
def test_digits_are_enlarged_by_repetition(size):
    small, large = digits(), digits(size)
    assert large.shape == (1, size, size)
    assert large.images.dtype == np.uint8
    repeats = size // 8
    for down, right in itertools.product(range(repeats), repeat=2):
        assert (large.images[:, :, down::repeats, right::repeats] == small.images).all()
    assert large.identity == small.identity


@pytest.mark.parametrize("size", [0, -8, 12, 24, 28, 128])
def test_digits_of_another_size(size):
    with pytest.raises(UserError, match=f"size={size} is not possible; choose one of 8, 16, 32, 64"):
        digits(size)
