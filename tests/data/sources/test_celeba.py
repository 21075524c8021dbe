"""CelebA: pictures in the true size and packing, lists in both forms, whole, damaged, incomplete and interrupted."""

import hashlib
import io
import zipfile
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from PIL import Image

from tests.support.configuration import check_line, compose_train
from vaezoo.data.sources import celeba as source
from vaezoo.data.sources.celeba import ATTRIBUTES, CROPS, celeba
from vaezoo.errors import UserError

PARTS = (24, 6, 10)  # in place of 202,599
COUNT = sum(PARTS)
NAMES = [f"{i + 1:06d}.jpg" for i in range(COUNT)]
HAS = np.random.default_rng(0).random((COUNT, 40)) < 0.3


def photograph(i: int) -> bytes:
    """A JPEG that gets redder to the right, greener downwards, and is as blue as its number."""
    y, x = np.mgrid[:218, :178]
    stream = io.BytesIO()
    Image.fromarray(np.stack([x, y, np.full_like(x, 5 * i)], axis=2).astype(np.uint8)).save(stream, "JPEG", quality=95)
    return stream.getvalue()


PHOTOGRAPHS = [photograph(i) for i in range(COUNT)]


def attribute_list(csv: bool = False) -> str:
    signs = [[str(sign) for sign in row] for row in np.where(HAS, 1, -1)]
    if csv:
        rows = [["image_id", *ATTRIBUTES], *([name, *row] for name, row in zip(NAMES, signs, strict=True))]
        return "\n".join(",".join(row) for row in rows)
    lines = [f"{name} {' '.join(sign.rjust(2) for sign in row)}" for name, row in zip(NAMES, signs, strict=True)]
    return "\n".join([str(COUNT), " ".join(ATTRIBUTES) + " ", *lines]) + "\n"


def partition(csv: bool = False) -> str:
    parts = np.repeat([0, 1, 2], PARTS)
    rows = [f"{name}{',' if csv else ' '}{part}" for name, part in zip(NAMES, parts, strict=True)]
    end = "\n" if csv else "\r\n"  # by the size of the published file
    return end.join((["image_id,partition"] if csv else []) + rows) + end


def packed(folder: str = "img_align_celeba/", names=NAMES, photographs=PHOTOGRAPHS) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr(f"__MACOSX/{folder}._000001.jpg", b"not a picture")
        for name, content in zip(names, photographs, strict=False):
            archive.writestr(f"{folder}{name}", content)
    return stream.getvalue()


@pytest.fixture
def place(tmp_path, monkeypatch):
    """The folder of the data set with the three files, which count as the published ones."""
    folder = tmp_path / "data" / "celeba"
    folder.mkdir(parents=True)
    monkeypatch.setenv("VAEZOO_DATA", str(tmp_path / "data"))
    monkeypatch.setattr(source, "PARTS", PARTS)
    monkeypatch.setattr(source, "WORKERS", 1)
    contents = {
        "PICTURES": packed(),
        "ATTRIBUTE_LIST": attribute_list().encode(),
        "PARTITION": partition().encode(),
    }
    for which, content in contents.items():
        file = getattr(source, which)
        (folder / file.name).write_bytes(content)
        known = replace(file, size=len(content), md5=None, sha256=hashlib.sha256(content).hexdigest())
        monkeypatch.setattr(source, which, known)
    files = (source.PICTURES, source.ATTRIBUTE_LIST, source.PARTITION)
    monkeypatch.setattr(source, "CELEBA", replace(source.CELEBA, files=files))
    return folder


@pytest.fixture
def unpacked(place):
    """As `place`, with a folder of pictures in place of the archive."""
    (place / "img_align_celeba.zip").unlink()
    (place / "img_align_celeba").mkdir()
    for name, content in zip(NAMES, PHOTOGRAPHS, strict=True):
        (place / "img_align_celeba" / name).write_bytes(content)
    return place


def expected(i: int, box, size: int = 64, resample=Image.Resampling.BILINEAR) -> np.ndarray:
    """By Pillow alone."""
    image = Image.open(io.BytesIO(PHOTOGRAPHS[i])).crop(box).resize((size, size), resample)
    return np.asarray(image).transpose(2, 0, 1)


def test_whole_set(place):
    arrays = celeba()
    assert arrays.images.shape == (COUNT, 3, 64, 64)
    assert (arrays.shape, arrays.scale, arrays.test_images) == ((3, 64, 64), 255, PARTS[2])
    for i in (0, 7, COUNT - 1):
        np.testing.assert_array_equal(arrays.images[i], expected(i, (15, 35, 163, 183)))
    np.testing.assert_array_equal(arrays.factors, HAS)
    assert arrays.factor_names == ATTRIBUTES
    assert arrays.factor_sizes == (2,) * 40
    assert arrays.labels is None
    assert arrays.identity["origin"] == "official"
    assert arrays.identity["sha256"] == source.PICTURES.sha256


def test_names_of_attributes():
    assert len(set(ATTRIBUTES)) == 40
    assert [ATTRIBUTES[i] for i in (0, 20, 31, 39)] == ["5_o_Clock_Shadow", "Male", "Smiling", "Young"]


@pytest.mark.parametrize(
    ("crop", "left", "top", "width", "height"),
    [
        ("center148", 15, 35, 148, 148),
        ("schik118", 30, 50, 118, 118),
        ("center128", 25, 45, 128, 128),
        ("center108", 35, 55, 108, 108),
        ("none", 0, 0, 178, 218),
    ],
)
def test_crops(place, crop, left, top, width, height):
    """The red of a pixel says from which column it comes, the green from which row."""
    images = celeba(crop=crop).images
    nearest = crop == "schik118"
    resample = Image.Resampling.NEAREST if nearest else Image.Resampling.BILINEAR
    np.testing.assert_array_equal(images[3], expected(3, (left, top, left + width, top + height), 64, resample))
    middles = (np.arange(64) + 0.5) / 64
    red, green, blue = images[3][:, 2:-2, 2:-2].astype(float)
    assert red.mean(0) == pytest.approx((left + middles * width - 0.5)[2:-2], abs=1.5)
    assert green.mean(1) == pytest.approx((top + middles * height - 0.5)[2:-2], abs=1.5)
    assert blue.mean() == pytest.approx(15, abs=1.5)


@pytest.mark.parametrize(("size", "resample"), [(32, "nearest"), (64, "nearest"), (128, "bilinear")])
def test_sizes_and_resampling(place, size, resample):
    arrays = celeba(size=size, resample=resample)
    assert arrays.shape == (3, size, size)
    wanted = expected(5, CROPS["center148"], size, Image.Resampling[resample.upper()])
    np.testing.assert_array_equal(arrays.images[5], wanted)


def test_each_choice_is_prepared_once(place, monkeypatch):
    def prepared():
        return sorted(file.name for file in (place / "prepared").glob("*.npy"))

    first = celeba()
    assert len(prepared()) == 1
    celeba(crop="center108")
    celeba(size=32)
    celeba(resample="nearest")
    assert len(prepared()) == 4
    celeba(class_attribute="Male")
    assert len(prepared()) == 4
    monkeypatch.setattr(source, "crop_pictures", lambda *_, **__: pytest.fail("prepared again"))
    np.testing.assert_array_equal(celeba().images, first.images)


@pytest.mark.parametrize("folder", ["img_align_celeba/", "img_align_celeba/img_align_celeba/", ""])
def test_folders_in_the_archive(place, folder):
    (place / "img_align_celeba.zip").unlink()
    (place / "celeba.zip").write_bytes(packed(folder))
    arrays = celeba(verify=False)
    np.testing.assert_array_equal(arrays.images[9], expected(9, CROPS["center148"]))
    assert arrays.identity["origin"] == "unverified files"


@pytest.mark.parametrize("doubled", [False, True])
def test_unpacked_pictures(unpacked, doubled):
    if doubled:
        inner = unpacked / "img_align_celeba" / "img_align_celeba"
        (unpacked / "img_align_celeba").rename(unpacked / "inner")
        inner.parent.mkdir()
        (unpacked / "inner").rename(inner)
    for arrays in (celeba(), celeba(str(unpacked))):
        np.testing.assert_array_equal(arrays.images[-1], expected(COUNT - 1, CROPS["center148"]))
        assert arrays.identity["origin"] == "unverified files"


def test_lists_as_csv(place):
    official = celeba()
    for name, content in (("list_attr_celeba", attribute_list(csv=True)), ("list_eval_partition", partition(csv=True))):
        (place / f"{name}.txt").unlink()
        (place / f"{name}.csv").write_text(content)
    arrays = celeba()
    np.testing.assert_array_equal(arrays.factors, official.factors)
    assert arrays.test_images == PARTS[2]


def test_an_attribute_as_label(place):
    arrays = celeba(class_attribute="Smiling")
    np.testing.assert_array_equal(arrays.labels, HAS[:, 31])
    assert arrays.labels.dtype == np.int64
    assert arrays.label_names == ("not Smiling", "Smiling")
    assert arrays.factors.shape == (COUNT, 40)
    with pytest.raises(UserError, match=r"class_attribute=smiling: there is no such attribute. Did you mean 'Smiling'"):
        celeba(class_attribute="smiling")


def test_workers_and_memory_maps_give_the_same_images(place, monkeypatch):
    from vaezoo.data.files import prepare

    single = celeba()
    (file,) = (place / "prepared").glob("*.npy")
    monkeypatch.setattr(prepare, "MAPPED_SHARE", 0)
    mapped = celeba()
    assert isinstance(mapped.images, np.memmap)
    np.testing.assert_array_equal(mapped.images, single.images)
    file.unlink()
    monkeypatch.setattr(source, "WORKERS", 2)
    np.testing.assert_array_equal(celeba().images, single.images)


def test_an_interrupted_preparation_goes_on(place, monkeypatch):
    crop_pictures, asked = source.crop_pictures, []
    monkeypatch.setattr(source, "prepare_images", partial(source.prepare_images, chunk=8))

    def killed(place, count, start, stop, **options):
        asked.append(start)
        if len(asked) == 3:
            raise KeyboardInterrupt
        return crop_pictures(place, count, start, stop, **options)

    monkeypatch.setattr(source, "crop_pictures", killed)
    with pytest.raises(KeyboardInterrupt):
        celeba()
    arrays = celeba()
    assert asked == [0, 8, 16, 16, 24, 32]
    for i in range(COUNT):
        np.testing.assert_array_equal(arrays.images[i], expected(i, CROPS["center148"]))


def test_missing_files_are_named(place):
    (place / "list_eval_partition.txt").unlink()
    with pytest.raises(
        UserError, match=r"(?s)not found: list_eval_partition.txt .*they come from .*CelebFaces Attributes"
    ):
        celeba()
    (place / "img_align_celeba").mkdir()
    with pytest.raises(UserError, match=r"not found: list_eval_partition.txt"):
        celeba()


def test_missing_pictures_are_named(unpacked):
    folder = unpacked / "img_align_celeba"
    for i in (1, 4, 9, 25, 36):
        (folder / NAMES[i]).unlink()
    wanted = "lacks 5 of 40 pictures: 000002.jpg, 000005.jpg, 000010.jpg and 2 more. They come from"
    with pytest.raises(UserError, match=wanted):
        celeba()
    for i in (1, 4, 9, 25, 36):
        (folder / NAMES[i]).write_bytes(PHOTOGRAPHS[i])
    np.testing.assert_array_equal(celeba().images[36], expected(36, CROPS["center148"]))


def picture_of(size: tuple[int, int]) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", size).save(stream, "JPEG")
    return stream.getvalue()


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (PHOTOGRAPHS[0][:1500], r"img_align_celeba/000012.jpg in .* is damaged \(image file is truncated"),
        (b"no picture", r"img_align_celeba/000012.jpg in .* is damaged \(cannot identify"),
        (b"", "is damaged"),
        (picture_of((64, 64)), "has 64 x 64 pixels, expected 178 x 218"),
    ],
    ids=["cut short", "no picture", "empty", "another size"],
)
@pytest.mark.parametrize("workers", [1, 2])
def test_damaged_pictures_are_named(place, monkeypatch, content, complaint, workers):
    monkeypatch.setattr(source, "WORKERS", workers)
    photographs = [*PHOTOGRAPHS[:11], content, *PHOTOGRAPHS[12:]]
    (place / "img_align_celeba.zip").write_bytes(packed(photographs=photographs))
    with pytest.raises(UserError, match=complaint):
        celeba(verify=False)


def test_damaged_archives(place):
    archive = place / "img_align_celeba.zip"
    whole = archive.read_bytes()
    archive.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match=r"has the SHA256 .*, expected"):
        celeba()
    with pytest.raises(UserError, match=r"is damaged \(File is not a zip file\). Fetch it again"):
        celeba(verify=False)
    start = whole.index(PHOTOGRAPHS[2]) + 500
    archive.write_bytes(whole[:start] + bytes(20) + whole[start + 20 :])
    with pytest.raises(UserError, match=r"000003.jpg in .* is damaged \(Bad CRC-32"):
        celeba(verify=False)
    archive.write_bytes(packed(names=NAMES[:-1]))
    with pytest.raises(UserError, match=r"lacks 1 of 40 pictures: img_align_celeba/000040.jpg"):
        celeba(verify=False)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda text: text.replace("Bald", "Bold"), "has not the names of the 40 attributes above its columns"),
        (lambda text: text.partition("\n")[2].partition("\n")[2], "has not the names of the 40 attributes"),
        (lambda text: "", "does not list 000001.jpg"),
        (lambda text: text.rpartition("\n000")[0], "lists 39 pictures, expected 40"),
        (lambda text: text[:-20], "is damaged"),
        (lambda text: text.replace("000007.jpg", "000070.jpg"), r"lists 000070.jpg where 000007.jpg is expected"),
        (lambda text: text.replace(" -1", " x1", 1), "is damaged"),
        (lambda text: text.replace(" -1", "  3", 1), "has other values than -1, 1"),
        (lambda text: "<html>" + text, "is a web page or a pointer"),
    ],
)
def test_attribute_lists_that_are_not_the_published_one(place, change, complaint):
    file = place / "list_attr_celeba.txt"
    file.write_text(change(attribute_list()))
    with pytest.raises(UserError, match=rf"{file} {complaint}"):
        celeba(verify=False)
    with pytest.raises(UserError, match=r"has the SHA256 .*, expected|is a web page"):
        celeba()


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda text: text.replace("000003.jpg 0", "000003.jpg 2"), r"puts 000003.jpg into part 2, unlike"),
        (lambda text: text.replace("000030.jpg 1", "000030.jpg 2"), r"puts 000030.jpg into part 2, unlike"),
        (lambda text: text.replace("000030.jpg 1", "000030.jpg 5"), "has other values than 0, 1, 2"),
        (lambda text: text.replace("000001.jpg 0\r\n", ""), "does not list 000001.jpg"),
    ],
)
def test_partitions_that_are_not_the_published_one(place, change, complaint):
    (place / "list_eval_partition.txt").write_bytes(change(partition()).encode())
    with pytest.raises(UserError, match=complaint):
        celeba(verify=False)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("dataset.size=50", "dataset.size=50: must be one of 32, 64, 128"),
        (
            "dataset.crop=center400",
            "dataset.crop=center400: must be one of center148, schik118, center128, center108, none",
        ),
        ("dataset.resample=bicubic", "dataset.resample=bicubic: must be one of bilinear, nearest"),
        ("model=cvae", "given the class of each image, but dataset=celeba has no labels"),
    ],
)
def test_mistakes_are_refused_before_anything_is_read(line, message):
    with pytest.raises(UserError, match=message):
        check_line(["dataset=celeba", *line.split()])


@pytest.mark.parametrize("line", ["model=vaegan network=vaegan64", "model=asvae network=ali64", "network=conv001"])
def test_published_networks_fit(line):
    check_line(["dataset=celeba", *line.split()])


@pytest.mark.parametrize(
    ("split", "counts"), [("official", (27, 3, 10)), ("random90", (33, 3, 4)), ("all", (40, 3, 40))]
)
def test_splits(place, split, counts):
    from hydra.utils import instantiate

    data = instantiate(compose_train("dataset=celeba", f"dataset.split={split}", "dataset.val_images=3").dataset)
    data.setup()
    assert tuple(map(len, data.rows)) == counts
    if split == "official":
        np.testing.assert_array_equal(data.rows.test, np.arange(30, 40))


@pytest.mark.parametrize(
    "line",
    [
        "model=dipvae",
        pytest.param("model=vaegan network=vaegan64 dataset.size=32", marks=pytest.mark.slow),
        "model=cvae dataset.class_attribute=Male dataset.size=32",
    ],
)
def test_training_reads_the_files(place, in_tmp, line):
    from vaezoo.training.run import train

    small = ["dataset=celeba", "max_batches=2", "dataset.batch_size=4", "dataset.val_images=4", "trainer=cpu"]
    config = compose_train(
        *line.split(), *small, "logger=csv", "figure=none", f"folder={in_tmp}", "callbacks.progress=false"
    )
    scores = train(config)
    assert scores["eval/recon_mse"] > 0
    assert 0 <= scores["eval/factor_vae"] <= 1
    assert 0 <= scores["eval/mig_hist"] <= 1
