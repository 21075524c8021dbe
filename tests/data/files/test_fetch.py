"""Fetching: a real server on this machine that serves, breaks off, lies and stays silent."""

import gzip
import hashlib
import json
import logging
import os
import subprocess
import sys
import threading
import time
from collections import deque
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.support.fetching import DATA, FILE, toy
from tests.support.paths import ROOT
from vaezoo.data.files import fetch as module
from vaezoo.data.files import find
from vaezoo.data.files import lock as folders
from vaezoo.data.files.find import DataFile, DataFiles, get_checksum, verify_file
from vaezoo.errors import UserError

HTML = b"<!DOCTYPE html><html>log in, please</html>"


class Handler(BaseHTTPRequestHandler):
    """Answers as the next behaviour in line says; the last one stays."""

    def do_GET(self) -> None:
        server = self.server
        server.asked.append((self.path, self.headers.get("Range")))
        how = server.behaviours.popleft() if len(server.behaviours) > 1 else server.behaviours[0]
        begin = int((self.headers.get("Range") or "bytes=0-")[6:-1])
        body = {"wrong": DATA[::-1], "short": DATA[:-1], "html": HTML}.get(how, DATA)
        if how == "silent":
            server.closing.wait()
            return
        if how == "late":
            server.closing.wait()
        if isinstance(how, int):
            self.send_error(how)
            return
        if begin >= len(body):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(body)}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        if begin and how != "no ranges":
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {begin}-{len(body) - 1}/{len(body)}")
            body = body[begin:]
        else:
            self.send_response(200)
        if how != "no length":
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if how == "cut" else body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch):
    """`behaviours` to come, the requests it was `asked`, and its `address`."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.behaviours, server.asked, server.closing = deque(["serve"]), [], threading.Event()
    server.address = f"http://127.0.0.1:{server.server_port}/"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.closing.set()
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("VAEZOO_DATA", str(tmp_path))
    return tmp_path / "toy"


def refusal(wanted: DataFiles) -> str:
    with pytest.raises(UserError) as caught:
        wanted.locate(download=True)
    return str(caught.value)


def test_files_that_are_nowhere_are_fetched_once(server, folder, caplog):
    caplog.set_level(logging.INFO)
    found = toy(server.address).locate(download=True)
    assert found == {"toy.bin": folder / "toy.bin"}
    assert found["toy.bin"].read_bytes() == DATA
    assert toy(server.address).locate(download=True) == found
    assert server.asked == [("/toy.bin", None)]
    assert not list(folder.glob("*.part"))
    assert f"Fetching {server.address}toy.bin" in caplog.text  # where no bar is shown, such as in a cluster's log


def test_nothing_is_fetched_unasked(server, folder):
    with pytest.raises(UserError, match=r"(?s)not found: toy.bin .*Looked in: .*dataset.download=true fetches them"):
        toy(server.address).locate()
    assert not server.asked


def test_a_given_folder_is_filled(server, folder, tmp_path):
    place = tmp_path / "mine"
    assert toy(server.address).locate(str(place), download=True) == {"toy.bin": place / "toy.bin"}


def test_files_that_are_there_stay(server, folder):
    folder.mkdir()
    (folder / "other.bin").write_bytes(b"mine")
    toy(server.address, files=(DataFile("other.bin", 5), FILE)).locate(download=True)
    assert (folder / "other.bin").read_bytes() == b"mine"
    assert [path for path, _ in server.asked] == ["/toy.bin"]


def test_a_broken_connection_is_resumed(server, folder):
    server.behaviours = deque(["cut", "serve"])
    toy(server.address).locate(download=True)
    assert server.asked == [("/toy.bin", None), ("/toy.bin", "bytes=131072-")]
    assert (folder / "toy.bin").read_bytes() == DATA


def test_what_has_arrived_stays_for_the_next_command(server, folder):
    server.behaviours = deque(["cut"])
    assert "the connection broke after 196,608 bytes" in refusal(toy(server.address))
    assert (folder / "toy.bin.part").read_bytes() == DATA[:196_608]
    server.behaviours = deque(["serve"])
    toy(server.address).locate(download=True)
    assert server.asked[-1] == ("/toy.bin", "bytes=196608-")
    assert (folder / "toy.bin").read_bytes() == DATA


@pytest.mark.parametrize("how", ["no ranges", "no length", "serve"])
def test_a_part_is_completed(server, folder, how):
    folder.mkdir()
    (folder / "toy.bin.part").write_bytes(DATA[:1000])
    server.behaviours = deque([how])
    toy(server.address).locate(download=True)
    assert server.asked == [("/toy.bin", "bytes=1000-")]
    assert (folder / "toy.bin").read_bytes() == DATA


@pytest.mark.parametrize("size", [None, FILE.size])
def test_a_complete_part_needs_a_name_only(server, folder, size):
    folder.mkdir()
    (folder / "toy.bin.part").write_bytes(DATA)
    toy(server.address, files=(replace(FILE, size=size),)).locate(download=True)
    assert (folder / "toy.bin").read_bytes() == DATA
    assert not (folder / "toy.bin.part").exists()


@pytest.mark.parametrize("part", [DATA[::-1], DATA + b"more", b"other" * 100], ids=["as long", "longer", "shorter"])
def test_a_part_of_another_file_is_dropped(server, folder, part):
    folder.mkdir()
    (folder / "toy.bin.part").write_bytes(part)
    toy(server.address).locate(download=True)
    assert (folder / "toy.bin").read_bytes() == DATA


@pytest.mark.parametrize(
    ("how", "why", "attempts"),
    [
        ("wrong", f"has the SHA256 .*, expected {FILE.sha256}", 2),
        ("short", "has a file of 262,143 bytes, not 262,144", 1),
        ("html", "has a file of 42 bytes, not 262,144", 1),
        (404, "HTTP 404 Not Found", 1),
        (503, "HTTP 503 Service Unavailable", 2),
        ("silent", "no answer within 0.3 s", 2),
    ],
)
def test_servers_that_do_not_help(server, folder, monkeypatch, how, why, attempts):
    monkeypatch.setattr(module, "TIMEOUT", 0.3)
    server.behaviours = deque([how])
    with pytest.raises(UserError, match=f"Could not fetch toy.bin: {server.address}toy.bin: {why}"):
        toy(server.address).locate(download=True)
    assert len(server.asked) == attempts
    assert [path.name for path in folder.iterdir()] == [".lock"]


@pytest.mark.parametrize(
    ("expected", "how", "why"),
    [
        (DataFile("toy.bin"), "html", "sent a web page"),
        (DataFile("toy.bin", md5=FILE.md5), "wrong", "has the MD5"),
        (DataFile("toy.bin", payload_md5=FILE.md5), "wrong", "holds data of the MD5"),
        (DataFile("toy.bin", size=3), "no length", "has 262,144 bytes, expected 3"),
    ],
    ids=["a page", "MD5", "payload", "size"],
)
def test_what_little_is_known_is_checked(server, folder, expected, how, why):
    server.behaviours = deque([how])
    assert why in refusal(toy(server.address, files=(expected,)))


def test_the_next_mirror_is_asked(server, folder):
    server.behaviours = deque([404, "cut", "cut", "serve"])
    toy(*(server.address + mirror for mirror in ("a/", "b/", "c/"))).locate(download=True)
    assert server.asked == [
        ("/a/toy.bin", None),
        ("/b/toy.bin", None),
        ("/b/toy.bin", "bytes=131072-"),
        ("/c/toy.bin", "bytes=196608-"),
    ]
    assert (folder / "toy.bin").read_bytes() == DATA


def test_the_mirror_that_helped_is_asked_first_for_the_next_file(server, folder):
    server.behaviours = deque([404, "serve"])
    second = replace(FILE, name="second.bin")
    toy(server.address + "a/", server.address + "b/", files=(FILE, second)).locate(download=True)
    assert [path for path, _ in server.asked] == ["/a/toy.bin", "/b/toy.bin", "/b/second.bin"]


def test_one_message_says_everything(server, folder):
    server.behaviours = deque([404, 503])
    message = refusal(toy(server.address + "a/", server.address + "b/", files=(FILE, DataFile("second.bin", 7, "abc"))))
    assert (
        f"dataset=toy: not found: toy.bin (262,144 bytes, MD5 {FILE.md5}),\n  second.bin (7 bytes, MD5 abc).\n"
        in message
    )
    assert f"{server.address}a/toy.bin: HTTP 404 Not Found;\n  {server.address}b/toy.bin: HTTP 503" in message
    assert f"Put the files into {folder}; they come from https://toy.example/." in message
    assert "Without a network: dataset=dsprites (rendered) and dataset=digits need no files" in message
    assert len(server.asked) == 3  # the second file is not asked for


def test_no_network(folder):
    assert "http://127.0.0.1:9/toy.bin: no connection" in refusal(toy("http://127.0.0.1:9/"))


def test_sets_that_people_fetch_by_hand(folder):
    message = refusal(toy())
    assert "No address is known from which a program may fetch them.\nPut the files into" in message
    assert "they come from https://toy.example/" in message


def test_no_room(server, folder, monkeypatch):
    monkeypatch.setattr(folders.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 1000}))
    assert "needs 262,144 bytes in" in (message := refusal(toy(server.address)))
    assert "$VAEZOO_DATA" in message


SCRIPT = """
import logging, sys
logging.basicConfig(level=logging.INFO, stream=sys.stdout, format="%(message)s")
from tests.support.fetching import toy
if __name__ == "__main__":
    toy(sys.argv[1]).locate(download=True)
"""


def test_two_processes_at_once_fetch_once(server, folder, tmp_path):
    server.behaviours = deque(["late"])
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, str(script), server.address]
    first = subprocess.Popen(command, env=environment)
    while not server.asked:
        assert first.poll() is None
        time.sleep(0.01)
    second = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    assert "another process is at it" in second.stdout.readline()
    server.closing.set()
    assert [process.wait(timeout=60) for process in (first, second)] == [0, 0]
    second.stdout.close()
    assert len(server.asked) == 1
    assert (folder / "toy.bin").read_bytes() == DATA


# ---- checksums of files that are there


@pytest.fixture
def stored(folder, monkeypatch):
    """The file, and how often it was read to the end."""
    folder.mkdir()
    (folder / "toy.bin").write_bytes(DATA)
    read: list[str] = []
    compute = find.compute_checksum
    monkeypatch.setattr(
        find, "compute_checksum", lambda file, algorithm: read.append(algorithm) or compute(file, algorithm)
    )
    return folder / "toy.bin", read


def test_checksums_are_remembered_while_the_file_stays(stored):
    file, read = stored
    assert [get_checksum(file, "sha256") for _ in range(3)] == [FILE.sha256] * 3
    assert [get_checksum(file, "md5") for _ in range(3)] == [FILE.md5] * 3
    assert read == ["sha256", "md5"]
    assert get_checksum(file, "md5", fresh=True) == FILE.md5
    assert read == ["sha256", "md5", "md5"]
    file.write_bytes(DATA[::-1])  # of the same size
    assert get_checksum(file, "sha256") == hashlib.sha256(DATA[::-1]).hexdigest()


@pytest.mark.parametrize("memory", ["", "[]", "null", "{", json.dumps({"sha256": "0"})])
def test_a_damaged_memory_is_no_memory(stored, folder, memory):
    file, read = stored
    get_checksum(file, "sha256")
    (remembered,) = (folder.parent / ".checksums").iterdir()
    remembered.write_text(memory)
    assert get_checksum(file, "sha256") == FILE.sha256
    assert len(read) == 2


def test_a_memory_that_cannot_be_written(stored, folder):
    file, read = stored
    (folder.parent / ".checksums").write_text("in the way")
    assert [get_checksum(file, "sha256") for _ in range(2)] == [FILE.sha256] * 2
    assert len(read) == 2


def test_verified_copies(stored, folder):
    file, _ = stored
    assert verify_file("toy", file, FILE) == {"sha256": FILE.sha256}
    assert verify_file("toy", file, DataFile("toy.bin")) == {"md5": FILE.md5}
    payload = DataFile("toy.bin.gz", size=1, sha256="other", payload_md5=FILE.md5)
    compressed = folder / "toy.bin.gz"
    compressed.write_bytes(gzip.compress(DATA))
    for copy in (file, compressed):
        assert verify_file("toy", copy, payload) == {"payload_md5": FILE.md5}


@pytest.mark.parametrize(
    ("content", "expected", "complaint"),
    [
        (DATA[:-1], FILE, r"has the SHA256 .*, expected .* \(262,143 bytes, expected 262,144\)"),
        (DATA[:-1], DataFile("toy.bin", 262_144), "has 262,143 bytes, expected 262,144"),
        (HTML, FILE, "is a web page or a pointer"),
        (gzip.compress(DATA)[:-9], DataFile("toy.bin", payload_md5="0"), "is damaged"),
    ],
    ids=["checksum", "size", "page", "cut short"],
)
def test_files_that_are_refused(stored, content, expected, complaint):
    file, _ = stored
    file.write_bytes(content)
    with pytest.raises(UserError, match=f"dataset=toy: .*{complaint}"):
        verify_file("toy", file, expected)


def test_folders_of_other_software(folder, tmp_path, monkeypatch):
    wanted = replace(toy(), folders=("$TOYLIB/toys", str(tmp_path / "elsewhere")))
    monkeypatch.delenv("TOYLIB", raising=False)
    assert wanted.list_places(None) == [folder, tmp_path / "elsewhere"]
    monkeypatch.setenv("TOYLIB", str(tmp_path / "lib"))
    place = tmp_path / "lib" / "toys"
    place.mkdir(parents=True)
    (place / "toy.bin").write_bytes(DATA)
    assert wanted.locate() == {"toy.bin": place / "toy.bin"}
    assert toy().locate(str(place / "toy.bin")) == {"toy.bin": place / "toy.bin"}


def test_an_unpacked_folder_stands_in_for_its_archive(folder):
    packed = replace(FILE, unpacked=("toys-batches", "deep/toys"))
    wanted = toy(files=(packed, DataFile("list.txt")))
    (folder / "deep" / "toys").mkdir(parents=True)
    (folder / "list.txt").touch()
    assert wanted.locate() == {"toy.bin": folder / "deep" / "toys", "list.txt": folder / "list.txt"}
    assert toy(files=(packed,)).locate(str(folder / "deep" / "toys")) == {"toy.bin": folder / "deep" / "toys"}
    (folder / "toy.bin").write_bytes(DATA)
    assert wanted.locate()["toy.bin"] == folder / "toy.bin"
    with pytest.raises(UserError, match="not found"):
        toy(files=(packed,)).locate(str(folder / "deep"))


def test_waiting_is_said(folder, caplog):
    caplog.set_level(logging.INFO)
    with folders.lock_data_folder(folder, "toy"):
        inner = threading.Thread(target=lambda: folders.lock_data_folder(folder, "toy").__enter__(), daemon=True)
        inner.start()
        while "waiting" not in caplog.text:
            inner.join(0.01)
    inner.join(10)


def test_a_user_without_a_home_folder_has_a_data_folder(monkeypatch, tmp_path):
    def fail() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("VAEZOO_DATA", raising=False)
    monkeypatch.setattr(folders.Path, "home", fail)
    monkeypatch.setattr(folders.tempfile, "gettempdir", lambda: str(tmp_path))
    assert folders.find_data_folder().parent == tmp_path
