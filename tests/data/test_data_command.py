"""python -m vaezoo.data: what it says, what it exits with, and what its contact sheets show."""

import gzip
import hashlib
import inspect
import subprocess
import sys
from copy import deepcopy
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread
from matplotlib.text import Text

from tests.support.datasets import squares
from tests.support.idx_files import payloads
from vaezoo.config.directory import DIRECTORY
from vaezoo.data import __main__
from vaezoo.data.__main__ import compose_dataset, compose_node, list_names, main, read_description
from vaezoo.data.files.find import DataFile
from vaezoo.data.images import ImageArrays
from vaezoo.data.sources import mnist as source
from vaezoo.data.sources.dsprites import ARCHIVE
from vaezoo.figures.contact_sheet import contact_sheet
from vaezoo.figures.data_sheet import make_sheet


@cache
def compose_once(line: tuple[str, ...]) -> dict:
    return compose_node(list(line))


@pytest.fixture(autouse=True)
def composed_once(monkeypatch) -> None:
    """Compose the line of each data set once for all tests, since a list of all takes seconds."""
    monkeypatch.setattr(__main__, "compose_node", lambda line: deepcopy(compose_once(tuple(line))))


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """An empty data folder; mnist consists of four small files."""
    held = payloads()
    files = tuple(DataFile(f"{name}.gz", payload_md5=hashlib.md5(held[name]).hexdigest()) for name in held)
    small = replace(source.MNIST, files=files, mirrors=("http://127.0.0.1:9/",))
    monkeypatch.setattr(source, "MNIST", small)
    monkeypatch.setattr(source.mnist, "files", small)
    monkeypatch.setenv("VAEZOO_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "data"


@pytest.fixture
def filled(folder) -> Path:
    (folder / "mnist").mkdir(parents=True)
    for name, payload in payloads().items():
        (folder / "mnist" / f"{name}.gz").write_bytes(gzip.compress(payload))
    return folder


def run(*arguments: str) -> int:
    try:
        return main(list(arguments))
    except SystemExit as end:  # of argparse
        return int(end.code or 0)


def test_list_names_every_data_set(folder, capsys):
    assert run("list") == 0
    said = capsys.readouterr().out
    for file in Path(DIRECTORY, "dataset").glob("*.yaml"):
        assert f"\n{file.stem}\n    {read_description(file.stem)}\n" in said
    assert f"data folder: {folder}" in said
    assert "1x28x28 · 10 classes · files missing · licence: usually given as CC BY-SA 3.0" in said
    assert "1x64x64 · no classes · no files needed; official files missing · licence: Apache-2.0" in said
    assert "1x8x8 · 10 classes · no files needed · licence: CC BY 4.0" in said


def test_list_says_where_files_are(filled, capsys):
    assert run("list") == 0
    assert f"10 classes · files here: {filled / 'mnist'} ·" in capsys.readouterr().out
    (filled / "mnist" / "t10k-labels-idx1-ubyte.gz").unlink()
    run("list")
    assert f"10 classes · 1 of 4 files missing: {filled / 'mnist'} ·" in capsys.readouterr().out


@pytest.mark.parametrize("name", list_names())
def test_sets_that_can_be_downloaded_say_what(name):
    dataset = compose_dataset(name)
    assert len(dataset.description) > 20
    if "download" in inspect.signature(dataset.source).parameters:
        assert dataset.files is not None, "mark the source with @reads(...)"
        assert dataset.files.licence


def own(path: str | None = None) -> ImageArrays:
    return squares()


def test_a_source_of_the_users_own_files():
    dataset = __main__.Dataset("arrays", "", (), None, own, {"path": None})
    assert __main__.describe_place(dataset) == "your own files: path=..."
    assert __main__.describe_place(dataset._replace(options={"path": "x.npz"})) == "your own files: path=x.npz"


def test_verify(filled, capsys):
    assert run("verify", "mnist", "digits") == 0
    said = capsys.readouterr().out
    expected = hashlib.md5(payloads()["t10k-labels-idx1-ubyte"]).hexdigest()
    assert f"t10k-labels-idx1-ubyte.gz: MD5 of what it holds {expected}, as published" in said
    assert "digits: origin scikit-learn, sha256 " in said


def test_verify_reads_afresh(filled, capsys, monkeypatch):
    """Bytes changed behind the back of size and time are noticed."""
    assert run("fetch", "mnist") == 0
    monkeypatch.setattr("vaezoo.data.files.find.recall_checksums", lambda *_: {"payload_md5": "remembered"})
    assert run("fetch", "mnist") == 1
    assert run("verify", "mnist") == 0


def test_unpacked_files_are_checked_by_reading(filled, monkeypatch, capsys):
    first, *others = source.MNIST.files
    unpacked = replace(source.MNIST, files=(replace(first, name="images.tar", unpacked=("images",)), *others))
    (filled / "mnist" / "images").mkdir()
    monkeypatch.setattr(source.mnist, "files", unpacked)
    for line, read in (["fetch", 0], ["verify", 1]):
        assert run(line, "mnist") == 0
        said = capsys.readouterr().out
        assert f"{filled / 'mnist' / 'images'}: unpacked images.tar, which is checked where it is read" in said
        assert said.count("mnist: origin official, sha256 ") == read


def test_verify_names_the_damaged_file_and_goes_on(filled, capsys):
    (filled / "mnist" / "train-labels-idx1-ubyte.gz").write_bytes(gzip.compress(b"other"))
    assert run("verify", "mnist", "digits") == 1
    said = capsys.readouterr()
    assert "train-labels-idx1-ubyte.gz holds data of the MD5" in said.err
    assert "digits: origin" in said.out


def test_missing_files(folder, capsys):
    for line in (["verify", "mnist"], ["show", "mnist"], ["fetch", "mnist"]):
        assert run(*line) == 1
        assert "dataset=mnist: not found: train-images-idx3-ubyte.gz" in capsys.readouterr().err
    assert run("fetch", "mnist", "digits") == 1
    said = capsys.readouterr()
    assert "http://127.0.0.1:9/train-images-idx3-ubyte.gz: no connection" in said.err
    assert "digits: no files needed, nothing to fetch" in said.out
    assert not list(Path().glob("*.png"))


def test_optional_files(folder, tmp_path, capsys):
    place = tmp_path / "archive"
    place.mkdir()
    (place / ARCHIVE).write_bytes(b"not the archive")
    assert run("verify", "dsprites", f"path={place}") == 1
    assert "has the MD5" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("", "the following arguments are required"),
        ("shw digits", "invalid choice"),
        ("fetch", "the following arguments are required"),
        ("fetch mnits", "mnits: there is no such data set. Did you mean 'mnist'? Known: "),
        ("show size=32", "'size=32': the name of a data set comes first"),
        ("show digits sise=32", "'dataset.sise' is not a key of this configuration. Did you mean 'dataset.size'?"),
        ("show digits size=31", "dataset.size=31: must be one of 8, 16, 32, 64"),
        ("show digits batch_size=8", "batch_size=8: the images do not depend on it. Options of digits: size."),
        ("show digits nothing=", "'dataset.nothing' is not a key"),
        ("show digits dsprites", "digits dsprites: only 1 data set at a time"),
        ("verify digits mnits", "mnits: there is no such data set"),
    ],
)
def test_wrong_usage(folder, capsys, line, said):
    assert run(*line.split()) == 2
    told = capsys.readouterr()
    assert said in told.err
    assert told.out == ""  # nothing is done before the whole line is understood


def test_help_says_the_exit_status(capsys):
    for line in (["--help"], ["fetch", "--help"]):
        assert run(*line) == 0
        assert "0 all is well, 1 something is missing" in " ".join(capsys.readouterr().out.split())


def test_the_module_can_be_run():
    """In a process of its own, without torch, which takes seconds to import."""
    code = "import sys; from vaezoo.data.__main__ import main; main(['list']); sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)
    done = subprocess.run([sys.executable, "-m", "vaezoo.data", "fetch", "mnits"], capture_output=True, text=True)
    assert (done.returncode, done.stderr[:13]) == (2, "vaezoo: mnits")


def test_show(folder, capsys):
    assert run("show", "digits", "size=16", "--out", "sheets/some.png") == 0
    assert "digits: 1,797 images of 1x16x16" in capsys.readouterr().out
    assert imread("sheets/some.png").shape[0] > 400
    assert run("show", "rotateddigits", "count=5") == 0
    assert Path("rotateddigits.png").is_file()


# ---- contact sheets


def written(figure) -> list[str]:
    return [text.get_text() for text in figure.findobj(Text) if text.get_text()]


def test_one_factor_varies_along_each_row():
    sheet = make_sheet(arrays := squares())
    assert [strip.name for strip in sheet.strips] == ["size", "y", "x"]
    assert [list(strip.captions) for strip in sheet.strips] == [["0", "1", "2"], [*"01234567"], [*"01234567"]]
    sizes = np.ravel_multi_index((np.arange(3), 4, 4), (3, 8, 8))
    np.testing.assert_array_equal(sheet.strips[0].images, arrays.pixels(sizes))
    columns = np.ravel_multi_index((1, 4, np.arange(8)), (3, 8, 8))
    np.testing.assert_array_equal(sheet.strips[2].images, arrays.pixels(columns))
    assert "the others stay at size 1, y 4, x 4" in sheet.caption
    shown = written(contact_sheet(*sheet))
    assert shown.count("2") == 3
    assert {"size", "y", "x"} <= set(shown)


def test_large_factors_show_ten_values():
    arrays = replace(squares(), factors=np.arange(192)[:, None], factor_names=("image",), factor_sizes=(192,))
    (strip,) = make_sheet(arrays).strips
    assert list(strip.captions) == ["0", "21", "42", "64", "85", "106", "127", "149", "170", "191"]


def test_incomplete_grids_show_the_nearest_images():
    whole = squares()
    kept = np.flatnonzero(whole.factors.sum(axis=1) % 2 == 1)
    sheet = make_sheet(replace(whole, images=whole.images[kept], factors=whole.factors[kept]))
    assert [len(strip.images) for strip in sheet.strips] == [3, 8, 8]
    assert "or as near to it as there are images" in sheet.caption


def test_factors_that_are_the_labels_are_named():
    whole = squares()
    names = ("small", "middle", "large")
    sheet = make_sheet(replace(whole, labels=whole.factors[:, 0].astype(np.int64), label_names=names))
    assert tuple(sheet.strips[0].captions) == names
    assert "stay at size middle, y 4" in sheet.caption


@pytest.mark.parametrize(("classes", "columns"), [(2, 10), (3, 9), (10, 10), (15, 10)])
def test_labels_stand_below_their_images(classes, columns):
    labels = np.arange(192) % classes
    arrays = replace(squares(), factors=None, labels=labels, label_names=tuple(f"class {i}" for i in range(classes)))
    sheet = make_sheet(arrays)
    captions = [caption for strip in sheet.strips for caption in strip.captions]
    assert len(sheet.strips[0].captions) == columns
    assert len(captions) == 4 * columns
    assert captions[: classes + 1] == [*arrays.label_names, "class 0"]
    images = np.concatenate([strip.images for strip in sheet.strips])
    np.testing.assert_array_equal(images, arrays.pixels(np.arange(4 * columns)))
    assert written(contact_sheet(*sheet)).count("class 1") == captions.count("class 1")


def test_rare_classes_end_early():
    labels = np.zeros(192, np.int64)
    labels[5] = 1
    captions = [c for s in make_sheet(replace(squares(), factors=None, labels=labels)).strips for c in s.captions]
    assert captions.count("1") == 1


def test_images_without_anything_are_numbered():
    sheet = make_sheet(replace(squares(), factors=None))
    assert sheet.strips[0].captions[0] == "0"
    assert sheet.strips[-1].captions[-1] == "191"


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 64, 64), (3, 40, 20)])
def test_captions_do_not_overlap(shape):
    rng = np.random.default_rng(0)
    arrays = ImageArrays(
        name="noise",
        images=rng.integers(256, size=(50, *shape), dtype=np.uint8),
        shape=shape,
        identity={},
        labels=np.arange(50) % 5,
        label_names=("a", "a rather long name", "Ankle boot", "T-shirt/top", "e"),
    )
    figure = contact_sheet(*make_sheet(arrays))
    boxes = [t.get_window_extent() for t in figure.findobj(Text) if t.get_text() in arrays.label_names]
    for i, box in enumerate(boxes):
        assert not any(box.overlaps(other) for other in boxes[i + 1 :])
        assert box.x0 >= 0
        assert box.x1 <= figure.bbox.width
