"""The file of a shared run, which may come from anybody: what is unpacked, and what is refused."""

import os
import stat
import struct
import zipfile
from pathlib import Path

import pytest
import torch
from safetensors.torch import save

from vaezoo.errors import UserError
from vaezoo.runs.limits import HARMLESS_BYTES
from vaezoo.runs.shared_file import MAX_BYTES, is_unpacked, open_folder
from vaezoo.runs.weights import load_weights

CONTENT = {".hydra/config.yaml": b"model: {}\n", "weights.safetensors": save({"a": torch.ones(3)})}


def write_zip(path: Path, *others: tuple[str | zipfile.ZipInfo, bytes], kind: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", kind) as archive:
        for name, content in [*CONTENT.items(), *others]:
            archive.writestr(name, content)
    return path


def make_member(name: str, mode: int) -> zipfile.ZipInfo:
    member = zipfile.ZipInfo(name)
    member.external_attr = mode << 16
    return member


def test_a_file_is_unpacked_once_and_a_folder_is_itself(tmp_path):
    others = [(name, b"x") for name in ("README.md", "figures/", "figures/traversals.png", "figures/tsne, class 1.gif")]
    path = write_zip(tmp_path / "first.zip", *others)
    folder = open_folder(path)
    files = {file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file()}
    assert files == {*CONTENT, "README.md", "figures/traversals.png", "figures/tsne, class 1.gif"}
    assert open_folder(str(path)) == folder
    assert is_unpacked(folder)
    assert folder.name == "first.zip"
    assert stat.S_IMODE(folder.parent.stat().st_mode) == 0o700
    assert torch.equal(load_weights(folder)["a"], torch.ones(3))
    with pytest.raises(UserError, match="no other weights than the last"):
        load_weights(folder, "best")
    assert open_folder(tmp_path) == tmp_path
    assert not is_unpacked(tmp_path)
    os.utime(path, ns=(1, 1))
    assert open_folder(path) != folder


@pytest.mark.parametrize(
    "name",
    [
        *("../escape", "/etc/escape", "figures/../../escape.png", "figures\\..\\..\\x.png", "C:\\x.png", "a.py"),
        *("figures/.hidden.png", "figures/deep/x.png", "figures/a.svg", ".hydra/hydra.yaml", "checkpoints/last.ckpt"),
        *("readme.md", "figures/new\nline.png", "latents.npz ", "weights.safetensors/x"),
    ],
)
def test_a_member_that_is_no_part_of_a_run_is_refused(name, tmp_path):
    path = write_zip(tmp_path / "run.zip", (name, b"x"))
    with pytest.raises(UserError, match="which is not a part of one"):
        open_folder(path)
    assert not (tmp_path / "escape").exists()


def test_links_and_repeated_names_are_refused(tmp_path):
    link = make_member("metrics.json", stat.S_IFLNK | 0o777)
    pipe = make_member("metrics.json", stat.S_IFIFO | 0o644)
    for member in (link, pipe):
        with pytest.raises(UserError, match="is a link or another special file"):
            open_folder(write_zip(tmp_path / "link.zip", (member, b"/etc/passwd")))
    with pytest.raises(UserError, match="two members of the same name"):
        open_folder(write_zip(tmp_path / "twice.zip", ("figures/a.png", b"1"), ("figures/A.png", b"2")))


def test_archives_that_claim_too_much_are_refused(tmp_path, monkeypatch):
    zeros = bytes(HARMLESS_BYTES + 1)
    with pytest.raises(UserError, match="claims"):
        open_folder(write_zip(tmp_path / "member.zip", ("latents.npz", zeros)))
    half = zeros[: HARMLESS_BYTES // 2 + 1]
    with pytest.raises(UserError, match=r"sum\.zip claims"):
        open_folder(write_zip(tmp_path / "sum.zip", ("latents.npz", half), ("metrics.npz", half)))
    with (tmp_path / "large.zip").open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    with pytest.raises(UserError, match="expected at most"):
        open_folder(tmp_path / "large.zip")
    monkeypatch.setattr("vaezoo.runs.shared_file.MAX_BYTES", 1000)
    with pytest.raises(UserError, match="expected at most 1,000"):
        open_folder(write_zip(tmp_path / "whole.zip", ("latents.npz", bytes(1000))))


def test_members_that_share_bytes_are_refused(tmp_path):
    """Many entries of the directory that point into the same bytes would make much of little."""
    path = write_zip(tmp_path / "run.zip", ("latents.npz", os.urandom(5000)), ("metrics.npz", b"x"))
    content = bytearray(path.read_bytes())
    entry = content.rindex(b"latents.npz") - 46
    struct.pack_into("<L", content, entry + 20, len(content))  # the packed size
    path.write_bytes(content)
    with pytest.raises(UserError, match="share their bytes"):
        open_folder(path)


def test_damaged_and_other_files_are_refused(tmp_path):
    path = write_zip(tmp_path / "run.zip", ("latents.npz", os.urandom(2000)))
    whole = path.read_bytes()
    flipped = bytearray(whole)
    flipped[whole.index(b"latents.npz") + 500] ^= 1
    for content in (b"", b"no zip", whole[:-30], bytes(flipped)):
        path.write_bytes(content)
        with pytest.raises(UserError, match="damaged or not the file of a shared run"):
            open_folder(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(".hydra/config.yaml", b"")
    with pytest.raises(UserError, match=r"lacks weights\.safetensors"):
        open_folder(path)
    with pytest.raises(UserError, match="packed in a way that is not read"):
        open_folder(write_zip(path, kind=zipfile.ZIP_LZMA))
    encrypted = bytearray(write_zip(path, ("README.md", b"x")).read_bytes())
    encrypted[encrypted.rindex(b"README.md") - 46 + 8] |= 1
    path.write_bytes(encrypted)
    with pytest.raises(UserError, match="encrypted"):
        open_folder(path)
    os.mkfifo(tmp_path / "pipe.zip")
    assert open_folder(tmp_path / "pipe.zip") == tmp_path / "pipe.zip"  # no folder of a run, as the next step says


def test_damaged_weights_are_answered(tmp_path):
    whole = CONTENT["weights.safetensors"]
    for content in (b"", b"\xff" * 100, whole[:-1], whole.replace(b"[0,12]", b"[0,99]"), whole.replace(b"F32", b"X32")):
        (tmp_path / "weights.safetensors").write_bytes(content)
        with pytest.raises(UserError, match="cannot be read, it is damaged"):
            load_weights(tmp_path)
    (tmp_path / "weights.safetensors").unlink()
    (tmp_path / "weights.safetensors").symlink_to("/etc/passwd")
    with pytest.raises(UserError, match="outside of its folder"):
        load_weights(tmp_path)
