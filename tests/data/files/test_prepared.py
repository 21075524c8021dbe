"""Prepared arrays: made once, whatever happens meanwhile, and the same however they were made."""

import json
import logging
import os
import signal
import subprocess
import sys
import time
from functools import partial
from math import prod
from pathlib import Path

import numpy as np
import pytest

from tests.support.paths import ROOT
from tests.support.preparing import COUNT, HELD, RECIPE, SHAPE, images, logged, make
from vaezoo.data.files import lock as folders
from vaezoo.data.files import prepare as module
from vaezoo.data.files.prepare import prepare_images
from vaezoo.errors import UserError


def never(start: int, stop: int) -> np.ndarray:
    raise AssertionError("made again")


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("VAEZOO_DATA", str(tmp_path))
    return tmp_path / "toy" / "prepared"


def only(folder: Path, pattern: str) -> Path:
    (found,) = folder.glob(pattern)
    return found


@pytest.mark.parametrize("options", [{}, {"chunk": 1000}, {"workers": 2}], ids=["chunks", "one chunk", "two workers"])
def test_the_array_is_what_make_gives_in_one_go(folder, options):
    array = make(**options)
    assert array.dtype == np.uint8
    np.testing.assert_array_equal(array, images(0, COUNT))
    np.testing.assert_array_equal(make(never), array)
    assert {path.suffix for path in folder.iterdir()} == {".npy", ".json", ""}  # the last is the lock


def test_the_recipe_is_told_and_names_the_file(folder):
    make()
    file = only(folder, "toy-*.npy")
    assert json.loads(file.with_suffix(".json").read_text()) == {
        "dataset": "toy",
        "recipe": RECIPE,
        "shape": [COUNT, *SHAPE],
    }
    prepare_images("toy", RECIPE | {"crop": "center128"}, COUNT, SHAPE, images)
    assert len(list(folder.glob("*.npy"))) == 2


def test_large_arrays_stay_on_the_disk(folder, monkeypatch):
    in_memory = make()
    assert type(in_memory) is np.ndarray
    monkeypatch.setattr(module, "count_memory", lambda: 4 * in_memory.nbytes - 1)
    mapped = make(never)
    assert isinstance(mapped, np.memmap)
    assert not mapped.flags.writeable
    np.testing.assert_array_equal(mapped, in_memory)


@pytest.mark.parametrize(
    "damage",
    [
        lambda whole: whole[:-1],
        lambda whole: whole + b"\0",
        lambda whole: b"",
        lambda whole: whole[:60],
        lambda whole: b"PK\x03\x04" + whole[4:],
        lambda whole: whole[:10] + b"(" * 60 + whole[70:],
        lambda whole: whole[:10] + b"\xff" * 60 + whole[70:],
        lambda whole: whole.replace(b"(50, 3, 4, 4)", b"(50, 3, 2, 8)"),
        lambda whole: whole.replace(b"|u1", b"|i1"),
    ],
    ids=["cut short", "too long", "empty", "half", "a zip", "brackets", "bytes", "shape", "type"],
)
def test_damaged_files_are_made_again(folder, damage, caplog):
    make()
    file = only(folder, "*.npy")
    whole = file.read_bytes()
    file.write_bytes(damage(whole))
    np.testing.assert_array_equal(make(), images(0, COUNT))
    assert file.read_bytes() == whole
    assert "is damaged and will be made again" in caplog.text


SCRIPT = """
import sys
from functools import partial
from math import prod
from pathlib import Path
import logging
logging.basicConfig(level=logging.INFO, stream=sys.stdout, format="%(message)s")
from tests.support.preparing import held
from tests.support.preparing import make
if __name__ == "__main__":
    make(partial(held, Path(sys.argv[1])), workers=int(sys.argv[2]))
    print("made", flush=True)
"""


def start(tmp_path: Path, log: Path, workers: int = 1) -> subprocess.Popen:
    """A process of its own that prepares the toy set."""
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    return subprocess.Popen(
        [sys.executable, str(script), str(log), str(workers)],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    )


def wait_for(condition, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def lines(log: Path) -> list[int]:
    return [int(line) for line in log.read_text(encoding="utf-8").split()] if log.is_file() else []


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="utf-8").split()]


@pytest.mark.parametrize("workers", [1, 2])
def test_a_killed_preparation_goes_on(folder, tmp_path, caplog, workers):
    process = start(tmp_path, tmp_path / "log", workers)
    written = HELD * prod(SHAPE)
    wait_for(lambda: any(part.stat().st_size > written for part in folder.glob("*.part")))  # besides a header
    spawned = children(process.pid) if Path("/proc").is_dir() else []
    process.send_signal(signal.SIGKILL)
    process.communicate()
    wait_for(lambda: not any(map(alive, spawned)))  # no worker stays behind
    assert not list(folder.glob("*.npy"))
    with only(folder, "*.part").open("ab") as stream:
        stream.write(b"half an image")
    caplog.set_level(logging.INFO)
    rest = tmp_path / "rest"
    np.testing.assert_array_equal(make(partial(logged, rest)), images(0, COUNT))
    assert lines(rest) == list(range(HELD, COUNT))
    assert f"{HELD} of {COUNT} are there already" in caplog.text


def test_two_processes_at_once_prepare_once(folder, tmp_path):
    log = tmp_path / "log"
    first = start(tmp_path, log)
    wait_for(lambda: lines(log))
    second = start(tmp_path, log)
    assert second.stdout is not None
    assert "another process is at it, waiting" in second.stdout.readline()
    (tmp_path / "go").touch()
    said = [process.communicate(timeout=60)[0] for process in (first, second)]
    assert [process.returncode for process in (first, second)] == [0, 0]
    assert lines(log) == list(range(COUNT))
    assert "waiting" not in said[0]


def test_an_exception_leaves_what_was_done(folder, tmp_path):
    def fails(start: int, stop: int) -> np.ndarray:
        if start >= 21:
            raise UserError("image 21 is damaged")
        return images(start, stop)

    with pytest.raises(UserError, match="image 21"):
        make(fails)
    log = tmp_path / "log"
    make(partial(logged, log))
    assert lines(log) == list(range(21, COUNT))


def dies(start: int, stop: int) -> np.ndarray:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


def test_a_killed_worker_is_a_message(folder):
    with pytest.raises(UserError, match="was killed, perhaps for lack of memory"):
        make(dies, workers=2)


def test_a_part_of_something_else_is_not_continued(folder):
    make()
    file = only(folder, "*.npy")
    file.replace(file.with_suffix(".part"))
    file.with_suffix(".part").write_bytes(b"\0" * 500)
    np.testing.assert_array_equal(make(), images(0, COUNT))


def test_make_must_keep_its_promise(folder):
    for wrong in (lambda start, stop: images(start, stop)[1:], lambda start, stop: images(start, stop) / 255):
        with pytest.raises(ValueError, match="gave"):
            make(wrong)


def test_no_room(folder, monkeypatch):
    usage = type("Usage", (), {"free": 2399})
    monkeypatch.setattr(folders.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(UserError, match=r"needs 2,400 bytes in .*prepared, which has room for 2,399.*VAEZOO_DATA"):
        make(never)


def test_a_full_disk(folder, monkeypatch):
    class Full:
        def __init__(self, stream):
            self.stream = stream

        def __getattr__(self, name):
            return getattr(self.stream, name)

        def __enter__(self):
            return self

        def __exit__(self, *_):
            self.stream.close()

        def write(self, data):
            raise OSError(28, "No space left on device")

    original = Path.open
    monkeypatch.setattr(Path, "open", lambda self, mode="r", *rest: _full(original(self, mode, *rest), mode, Full))
    with pytest.raises(UserError, match=r"toy.*needs 2,400 bytes in .*No space left on device.*VAEZOO_DATA"):
        make()


def _full(stream, mode, wrapper):
    return wrapper(stream) if mode == "ab" else stream


def test_a_data_folder_that_is_a_file(tmp_path, monkeypatch):
    (tmp_path / "data").write_text("")
    monkeypatch.setenv("VAEZOO_DATA", str(tmp_path / "data"))
    with pytest.raises(UserError, match=r"cannot be written to.*VAEZOO_DATA"):
        make()
