"""What can go wrong while a run goes on, done for real: it loses at most the last minutes and says what to do."""

import json
import os
import resource
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest
import torch
from hydra.utils import instantiate

from tests.support.command_line import start_train
from tests.support.configuration import compose_train
from vaezoo.data.batches import TrainingOrder
from vaezoo.errors import NotFinite, UserError
from vaezoo.loggers.csv import CSVFile
from vaezoo.reporting.reading import read_runs
from vaezoo.reporting.settings import list_differing_keys
from vaezoo.runs.files import write_json
from vaezoo.runs.folder import load_config, read_history
from vaezoo.training import run
from vaezoo.training.chunks import ChunkedModel
from vaezoo.training.interrupts import Interrupted

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
    run.train(compose_train(*LINE, *line, f"folder={Path(folder).absolute()}"))


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
    logged, whole = (read_history(Path(folder)) for folder in ("cut", "whole"))
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

    def limit_files() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, 40_000))

    process = start_train("run=cut", "max_batches=30", errors=Path("errors.txt"), before=limit_files)
    process.join(60)
    errors = Path("errors.txt").read_text(encoding="utf-8")
    assert process.exitcode == 2, errors
    assert "There is no space left to write" in errors
    assert "go on with: python -m vaezoo.train run=cut" in errors
    assert "Traceback" not in errors
    assert Path("cut/checkpoints/last.ckpt").read_bytes() == before
    assert not list(Path("cut").rglob("*.partial*"))
    assert "no space left" in Path("cut/error.txt").read_text(encoding="utf-8")
    train("cut", "max_batches=30")
    train("whole", "max_batches=30")
    assert_same_weights("cut", "whole")


def test_checkpoints_need_no_folder_of_temporary_files(in_tmp, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", "/proc/nowhere")
    train("run", "max_batches=5")
    assert int(state("run")["state_dict"]["batches"]) == 5


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
    order = TrainingOrder(data.rows.train, 64, data.seed)
    np.testing.assert_array_equal(kept["rows"], order.batches(caught.value.batch, 1)[0])


def test_data_that_changed_are_not_trained_on(in_tmp):
    train("cut", "max_batches=10")
    where = Path("cut/environment.json")
    environment = json.loads(where.read_text(encoding="utf-8"))
    environment["data"]["sha256"] = "0" * 64
    write_json(where, environment)
    with pytest.raises(UserError, match=r"not those that this run began with: sha256 was 000.* and is \w{64}"):
        train("cut", "max_batches=20")
    assert int(state("cut")["state_dict"]["batches"]) == 10
    where.unlink()
    train("cut", "max_batches=20")
    assert int(state("cut")["state_dict"]["batches"]) == 20


# ---- killed while writing ----------------------------------------------------------------------------------------

KILLED = 9


def killed(*line: str, by: Callable[[], None]) -> int:
    """The status of a process that trains after `by` has prepared its end."""
    process = os.fork()
    if process == 0:
        try:
            by()
            train(*line)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def at(name: str, *, written: float) -> Callable[[], None]:
    """Dies with that share of the file written; 1: whole, and in its place."""

    def prepare() -> None:
        replace = Path.replace

        def last_act(beside: Path, target: Path) -> None:
            if Path(target).name == name and written < 1:
                os.truncate(beside, int(written * beside.stat().st_size))
                os._exit(KILLED)
            replace(beside, target)
            if Path(target).name == name:
                os._exit(KILLED)

        Path.replace = last_act

    return prepare


def in_a_row() -> None:
    """Dies with half a row of metrics.csv written."""

    def last_act(logger: CSVFile, metrics: dict, step: int) -> NoReturn:
        with logger.path.open("a") as file:
            file.write(f"{step},0.1")
        os._exit(KILLED)

    CSVFile.log_metrics = last_act


# In the order of a run, each of which goes on where the one before was killed.
MOMENTS = {
    "configuration": at("config.yaml", written=0.5),
    "environment": at("environment.json", written=0.5),
    "table before the first checkpoint": at("metrics.csv", written=0.5),
    "table of half the terms": at("metrics.csv", written=1),
    "row before the first checkpoint": in_a_row,
    "best checkpoint": at("best.ckpt", written=0.5),
    "first checkpoint": at("last.ckpt", written=0.5),
    "after the first checkpoint": at("last.ckpt", written=1),
    "between two checkpoints": at("previous.ckpt", written=1),
    "empty checkpoint": at("last.ckpt", written=0),
    "codes": at("latents.npz", written=0.5),
    "scores": at("metrics.json", written=0.5),
    "after the scores": at("metrics.json", written=1),
    "picture": at("samples.png", written=0.5),
    "numbers of a picture": at("samples.npz", written=0.5),
}


def test_a_run_killed_at_each_of_its_writes_ends_as_one_that_was_not(in_tmp):
    line = ["max_batches=25", "metric.rows=100", "metric.test_rows=20", "+metric/score=elbo", "figure=[samples,curves]"]
    for moment, prepare in MOMENTS.items():
        assert killed("cut", *line, by=prepare) == KILLED, moment
    train("cut", *line)
    train("whole", *line)
    one, two = state("cut"), state("whole")
    assert_same_weights("cut", "whole")
    a, b = (kept["optimizer_states"][0]["state"] for kept in (one, two))
    assert all(torch.equal(a[index][key], b[index][key]) for index in a for key in a[index])
    assert rows("cut") == rows("whole")
    scores, known = (
        json.loads(Path(folder, "metrics.json").read_text(encoding="utf-8"))["scores"] for folder in ("cut", "whole")
    )
    assert scores == known
    assert len(scores) > 1
    files, expected = ({path.relative_to(root) for path in Path(root).rglob("*")} for root in ("cut", "whole"))
    assert files == expected, "nothing half written stays"
    for picture in Path("whole").rglob("*.png"):
        assert picture.read_bytes() == Path("cut", picture.relative_to("whole")).read_bytes(), picture


def rows(folder: str) -> list[dict[str, str]]:
    """metrics.csv, without what depends on the clock."""
    return [{k: v for k, v in row.items() if not k.startswith("perf/")} for row in CSVFile(folder).rows]


@pytest.mark.parametrize(
    "left", ["", "seed: 0\nfolder: ${hydra:runtime.output_dir}\n", "seed: [0", "seed: !!python/x 0"]
)
def test_a_run_that_was_killed_before_it_began_is_told_so_and_does_not_hide_others(left, in_tmp):
    train("runs/good", "max_batches=5")
    Path("runs/cut/.hydra").mkdir(parents=True)
    Path("runs/cut/.hydra/config.yaml").write_text(left, encoding="utf-8")
    with pytest.raises(
        UserError, match=r"stopped before it had begun. Give its whole|config.yaml cannot be read"
    ) as told:
        load_config(Path("runs/cut"))
    bad, good = read_runs([Path("runs")])
    assert bad.error == str(told.value)
    assert good.error == ""
    assert list_differing_keys([bad, good]) == []
    assert not Path("trapped").exists()


def test_a_second_signal_stops_at_once_and_saves_no_half_step(in_tmp, monkeypatch):
    """As if it came inside the optimiser, where weights are partly those of the next step."""
    train("cut", "max_batches=12")
    before = state("cut")["state_dict"]

    def twice(module: ChunkedModel, *_) -> None:
        next(module.parameters()).data.add_(1)
        module.clock.interrupts.received = 15
        module.clock.interrupts.receive(15, None)

    with monkeypatch.context() as patched:
        patched.setattr(ChunkedModel, "on_train_batch_end", twice)
        with pytest.raises(SystemExit) as end:
            train("cut", "max_batches=20")
    assert end.value.code == 128 + 15
    assert all(torch.equal(before[name], weight) for name, weight in state("cut")["state_dict"].items())


def test_a_signal_during_the_last_batch_stops_before_the_scores(in_tmp, monkeypatch):
    monkeypatch.setattr(ChunkedModel, "on_train_end", lambda module: module.clock.interrupts.receive(15, None))
    with pytest.raises(SystemExit) as end:
        train("cut", "max_batches=10", "figure=default")
    assert end.value.code == 128 + 15
    assert int(state("cut")["state_dict"]["batches"]) == 10
    assert not Path("cut/latents.npz").exists()
    assert not issubclass(Interrupted, Exception), "what goes on after failures would swallow it"
