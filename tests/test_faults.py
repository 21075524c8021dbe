"""What can go wrong while a run goes on, done for real: it loses at most the last minutes and says what to do."""

import json
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hydra.utils import instantiate

import vaezoo.train
from tests.conftest import compose_train
from vaezoo import runs
from vaezoo.data.module import TrainingStream
from vaezoo.errors import NotFinite, UserError

LINE = [
    "dataset=digits",
    "model=betavae",
    "log_every=5",
    "val_every=10",
    "metric=none",
    "figure=none",
    "logger=csv",
    "callbacks.progress=false",
    "callbacks.checkpoints.batches=10",
]


def train(folder: str, *line: str) -> None:
    vaezoo.train.train(compose_train(*LINE, *line, f"folder={Path(folder).absolute()}"))


def state(folder: str, name: str = "last") -> dict:
    return torch.load(Path(folder, "checkpoints", f"{name}.ckpt"), weights_only=True)


def assert_same_weights(folder: str, other: str) -> None:
    one, two = state(folder)["state_dict"], state(other)["state_dict"]
    assert all(torch.equal(one[name], two[name]) for name in one)


@pytest.mark.parametrize("damage", ["cut short", "empty", "noise", "gone"])
def test_a_damaged_checkpoint_costs_what_came_after_the_one_before(damage, in_tmp, caplog):
    train("cut", "max_batches=25")
    assert [int(state("cut", name)["state_dict"]["batches"]) for name in ("last", "previous")] == [25, 20]
    last = Path("cut/checkpoints/last.ckpt")
    whole = last.read_bytes()
    left = {"cut short": whole[: len(whole) // 2], "empty": b"", "noise": np.random.default_rng(0).bytes(len(whole))}
    last.unlink() if damage == "gone" else last.write_bytes(left[damage])
    train("cut", "max_batches=35")
    assert ("last.ckpt cannot be read" in caplog.text) == (damage != "gone")
    train("whole", "max_batches=35")
    assert_same_weights("cut", "whole")
    logged, whole = (runs.history(Path(folder)) for folder in ("cut", "whole"))
    assert {name: batches.tolist() for name, (batches, _) in logged.items()} == {
        name: batches.tolist() for name, (batches, _) in whole.items()
    }


def test_when_no_checkpoint_can_be_read_the_run_is_not_begun_again(in_tmp):
    train("cut", "max_batches=25")
    for path in Path("cut/checkpoints").glob("*.ckpt"):
        path.write_bytes(b"")
    with pytest.raises(UserError, match=r"previous\.ckpt cannot be read"):
        train("cut", "max_batches=35")


def test_a_full_disk_leaves_the_last_checkpoint(in_tmp):
    """No file may grow beyond 40 kB, which a checkpoint does: the system refuses to write more, as on a full disk."""
    train("cut", "max_batches=10")
    before = Path("cut/checkpoints/last.ckpt").read_bytes()
    assert len(before) > 100_000
    limited = subprocess.run(
        [sys.executable, "-m", "vaezoo.train", "run=cut", "max_batches=30"],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, 40_000)),
        capture_output=True,
        text=True,
    )
    assert limited.returncode == 2, limited.stderr
    assert "There is no space left to write" in limited.stderr
    assert "go on with: python -m vaezoo.train run=cut" in limited.stderr
    assert "Traceback" not in limited.stderr
    assert Path("cut/checkpoints/last.ckpt").read_bytes() == before
    assert not list(Path("cut").rglob("*.partial*"))
    assert "no space left" in Path("cut/error.txt").read_text()
    train("cut", "max_batches=30")
    train("whole", "max_batches=30")
    assert_same_weights("cut", "whole")


def test_the_batch_of_a_term_that_is_not_finite_is_kept(in_tmp):
    with pytest.raises(NotFinite, match=r"bad_batch.npz holds the images") as caught:
        train("bad", "optimizer.lr=1e30", "max_batches=20")
    kept = np.load("bad/bad_batch.npz")
    data = instantiate(compose_train(*LINE).dataset)
    data.setup()
    assert kept["images"].shape == (64, 1, 8, 8)
    assert np.isin(kept["rows"], data.rows.train).all()
    np.testing.assert_allclose(kept["images"] * 16, data.source.images[kept["rows"]], atol=1e-5)
    np.testing.assert_array_equal(kept["labels"], data.source.labels[kept["rows"]])
    data.place(torch.device("cpu"))
    stream = TrainingStream(data.batch, data.rows.train, 64, data.seed, start=lambda: 0)
    seen = [batch.rows for batch, _ in zip(stream, range(20), strict=False)]
    np.testing.assert_array_equal(kept["rows"], seen[caught.value.batch])


def test_data_that_changed_are_not_trained_on(in_tmp):
    train("cut", "max_batches=10")
    where = Path("cut/environment.json")
    environment = json.loads(where.read_text())
    environment["data"]["sha256"] = "0" * 64
    runs.write_json(where, environment)
    with pytest.raises(UserError, match=r"not those that this run began with: sha256 was 000.* and is \w{64}"):
        train("cut", "max_batches=20")
    assert int(state("cut")["state_dict"]["batches"]) == 10
    where.unlink()
    train("cut", "max_batches=20")
    assert int(state("cut")["state_dict"]["batches"]) == 20
