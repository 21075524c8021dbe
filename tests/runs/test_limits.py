"""Files that are none, that lie elsewhere, or that claim far more than they hold."""

import copy
import io
import os
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from PIL import Image

from vaezoo.data.sources.arrays import arrays, image_shape
from vaezoo.errors import UserError
from vaezoo.evaluation import codes_file
from vaezoo.reporting.matched_traversals import rewrite_png
from vaezoo.runs.limits import HARMLESS_BYTES, check_archive, check_claim, read_arrays, read_bytes, require_file
from vaezoo.runs.weights import check_optimizers, load_checkpoint

HUGE = 3 * HARMLESS_BYTES


def make_npy(shape: tuple[int, ...], values: bytes = b"") -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": "|u1", "fortran_order": False, "shape": shape})
    return stream.getvalue() + values


def write_zip(path: Path, name: str, content: bytes, kind: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", kind) as archive:
        archive.writestr(name, content)
    return path


def test_what_a_file_claims_is_compared_with_what_it_stores(tmp_path):
    check_claim("x", HARMLESS_BYTES, 0)
    check_claim("x", HUGE, HUGE // 200)
    with pytest.raises(UserError, match="claims"):
        check_claim("x", HUGE, HUGE // 300)
    deflated = write_zip(tmp_path / "a.npz", "codes.npy", make_npy((HUGE,), bytes(HUGE)), zipfile.ZIP_DEFLATED)
    for read in (check_archive, read_arrays, codes_file.read, lambda path: image_shape(str(path), None)):
        with pytest.raises(UserError, match="claims"):
            read(deflated)
    beyond = write_zip(tmp_path / "b.npz", "codes.npy", make_npy((10**12, 3), b"123"))
    with pytest.raises(ValueError, match="shorter than its header says"):
        read_arrays(beyond)
    np.savez_compressed(tmp_path / "c.npz", codes=np.zeros((1000, 100)))
    assert read_arrays(tmp_path / "c.npz")["codes"].shape == (1000, 100)


def test_pipes_folders_and_sparse_files_are_not_read(tmp_path):
    os.mkfifo(tmp_path / "pipe.npz")
    for path in (tmp_path / "pipe.npz", tmp_path, Path(os.devnull)):
        with pytest.raises(UserError, match="no regular file"):
            require_file(path)
    with pytest.raises(UserError, match="must be a file or folder that exists"):
        image_shape(str(tmp_path / "pipe.npz"), None)
    with pytest.raises(UserError, match="no regular file"):
        codes_file.read(tmp_path / "pipe.npz")
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(UserError, match="no regular file"):
        image_shape(str(tmp_path), None)
    with (tmp_path / "sparse.npy").open("wb") as file:
        file.write(make_npy((10**9, 32, 32)))
        file.truncate(10**12 + file.tell())
    with pytest.raises(UserError, match="claims"):
        arrays(str(tmp_path / "sparse.npy"))


def test_links_of_a_run_are_followed_within_its_folder_alone(tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    (tmp_path / "key").write_text("secret")
    (run / "a").write_text("mine")
    (run / "inside").symlink_to("a")
    (run / "outside").symlink_to("../key")
    (run / "gone").symlink_to("nowhere")
    assert read_bytes(run, "inside") == b"mine"
    assert read_bytes(run, "missing") is None
    with pytest.raises(UserError, match="outside of its folder"):
        read_bytes(run, "outside")
    with pytest.raises(UserError, match="cannot be read"):
        read_bytes(run, "gone")


def test_hdf5_files_hold_their_values_themselves(tmp_path):
    values = np.random.default_rng(0).integers(0, 255, (20, 8, 8), np.uint8)
    layout = h5py.VirtualLayout(values.shape, "u1")
    layout[:] = h5py.VirtualSource(str(tmp_path / "other.h5"), "images", values.shape)
    (tmp_path / "raw").write_bytes(values.tobytes())
    makers = {
        "is a link": lambda file: file.__setitem__("images", h5py.ExternalLink(str(tmp_path / "other.h5"), "images")),
        "is a link,": lambda file: file.__setitem__("images", h5py.SoftLink("/elsewhere/images")),
        "in another file": lambda file: file.create_dataset(
            "images", values.shape, "u1", external=[(str(tmp_path / "raw"), 0, values.size)]
        ),
        "in another file, ": lambda file: file.create_virtual_dataset("images", layout),
        "is a group": lambda file: file.create_group("images"),
        "claims": lambda file: file.create_dataset("images", (10**9, 32, 32), "u1", chunks=(1000, 32, 32)),
    }
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["images"] = values
    assert image_shape(str(tmp_path / "other.h5"), None) == [1, 8, 8]
    for number, (message, make) in enumerate(makers.items()):
        with h5py.File(tmp_path / f"{number}.h5", "w") as file:
            make(file)
        with pytest.raises(UserError, match=message):
            image_shape(str(tmp_path / f"{number}.h5"), None)


def test_a_picture_is_decoded_and_written_anew(tmp_path):
    path = Path("figures/samples.png")
    stream = io.BytesIO()
    Image.new("RGB", (4, 3), "red").save(stream, "png")
    content = stream.getvalue()
    again = rewrite_png(content + b"<script>", path)
    assert b"<script>" not in again
    assert Image.open(io.BytesIO(again)).getpixel((3, 2)) == (255, 0, 0)
    for other in (b"", b"-----BEGIN PRIVATE KEY-----", content[:40], b"GIF89a" + content):
        with pytest.raises(UserError, match="is no picture, or damaged"):
            rewrite_png(other, path)
    claim = content[:16] + (9000).to_bytes(4, "big") * 2 + content[24:]
    with pytest.raises(UserError, match=r"claims|is no picture"):
        rewrite_png(claim, path)


def test_a_checkpoint_is_read_within_bounds(tmp_path):
    (tmp_path / "checkpoints").mkdir()
    path = tmp_path / "checkpoints" / "last.ckpt"
    for state in ({}, [], 3, {"state_dict": {}}):
        torch.save(state, path)
        with pytest.raises(UserError, match=r"last\.ckpt"):
            load_checkpoint(tmp_path)
    torch.save({"state_dict": {"a": torch.zeros(HUGE // 4)}}, tmp_path / "plain")
    with zipfile.ZipFile(tmp_path / "plain") as plain, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as deflated:
        for name in plain.namelist():
            deflated.writestr(name, plain.read(name))
    with pytest.raises(UserError, match="claims"):
        load_checkpoint(tmp_path)


def test_states_of_optimisers_have_the_shapes_of_their_parameters(tmp_path):
    """A fused step with a state of another shape would read and write beyond its memory."""
    layer = torch.nn.Linear(3, 2)
    optimizer = torch.optim.Adam(layer.parameters())
    layer(torch.ones(1, 3)).sum().backward()
    optimizer.step()

    def check(change) -> None:
        state = copy.deepcopy(optimizer.state_dict())
        states = [state]
        change(state, states)
        check_optimizers([optimizer], {"optimizer_states": states}, tmp_path)

    check(lambda state, states: None)
    for change in (
        lambda state, states: states.clear(),
        lambda state, states: states.append(state),
        lambda state, states: state.clear(),
        lambda state, states: state["param_groups"].clear(),
        lambda state, states: state["param_groups"][0]["params"].pop(),
        lambda state, states: state["param_groups"][0].update(lr="x"),
        lambda state, states: state["param_groups"][0].update(eps=-1.0),
        lambda state, states: state["state"].update({0: "x"}),
        lambda state, states: state["state"][0].update(exp_avg=torch.zeros(3)),
        lambda state, states: state["state"][0].update(exp_avg=torch.zeros(1).expand(2, 3)),
        lambda state, states: state["state"][1].update(exp_avg_sq=torch.zeros(2, dtype=torch.int64)),
        lambda state, states: state["state"][1].update(step=torch.zeros(7)),
    ):
        with pytest.raises(UserError, match="states of the optimisers"):
            check(change)
