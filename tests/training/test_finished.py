"""A run is finished when its training has used its whole budget, and in no other case."""

import json
from pathlib import Path

import pytest

from tests.support.command_line import BARE, QUICK, same_weights, state, train_in
from tests.support.configuration import compose_train
from tests.support.reports import write_run
from vaezoo.config.identity import hash_evaluation, hash_training
from vaezoo.errors import UserError
from vaezoo.reporting.reading import read_run
from vaezoo.runs.folder import DONE, is_done, read_reason, read_state

LINE = ["model=betavae", *QUICK, *BARE]


def test_a_limit_of_time_stops_a_run_that_then_goes_on(in_tmp):
    with pytest.raises(UserError, match=r"interrupted by trainer.max_time=00:00:00:01 after \d+ of 1000000 batches"):
        train_in("a", *LINE, "max_batches=1000000", "+trainer.max_time='00:00:00:01'", "val_every=1000")
    folder = Path("a")
    assert read_state(folder) == "stopped"
    assert "go on with: python -m vaezoo.train run=a trainer.max_time=null" in str(read_reason(folder))
    assert not (folder / DONE).exists()
    reached = int(state(folder)["state_dict"]["batches"])
    line = [*LINE, f"max_batches={reached + 5}", "val_every=1000"]
    train_in("a", *line, "+trainer.max_time=null")
    assert read_state(folder) == "finished"
    assert same_weights(folder, train_in("whole", *line))


def test_a_finished_training_stays_finished_while_other_scores_are_made(in_tmp, monkeypatch):
    line, more = [*LINE, "max_batches=5"], ["metric=fast", "metric.rows=100"]
    folder = train_in("a", *line)
    with monkeypatch.context() as patched:
        patched.setattr("vaezoo.training.run.score_and_draw", raise_error)
        with pytest.raises(ValueError, match="made up"):
            train_in("a", *line, *more)
    assert read_state(folder) == "finished"
    ids = [hash_training(compose_train(*line)), hash_evaluation(compose_train(*line, *more))]
    assert not is_done(folder, *ids)
    train_in("a", *line, *more)
    assert is_done(folder, *ids)


def raise_error(*_) -> None:
    raise ValueError("made up")


@pytest.mark.parametrize("budget", ["max_epochs=2", "max_batches=2"])
def test_a_batch_that_the_data_cannot_fill_is_refused(budget, in_tmp):
    with pytest.raises(UserError, match=r"dataset.batch_size=2048 is larger than the 1490 training images"):
        train_in("a", *LINE, budget, "dataset.batch_size=2048")
    assert read_state(Path("a")) == "failed"


def test_fewer_epochs_than_a_run_has_seen_are_refused(in_tmp):
    train_in("a", *LINE, "max_epochs=2", "dataset.batch_size=500")
    with pytest.raises(UserError, match=r"max_epochs=1: that is 2 batches, and this run has seen 4 already"):
        train_in("a", *LINE, "max_epochs=1", "dataset.batch_size=500")


def test_a_monitored_term_that_no_validation_logs_is_an_error(in_tmp):
    with pytest.raises(UserError, match=r"monitor=val_loss: no validation logs it. Did you mean 'loss'\? .*val/rec"):
        train_in("a", *LINE, "max_batches=20", "callbacks.checkpoints.monitor=val_loss")


def test_the_best_value_of_another_term_is_forgotten(in_tmp):
    train_in("a", *LINE, "max_batches=10", "callbacks.checkpoints.monitor=val/kl")
    best = Path("a/checkpoints/best.ckpt").stat().st_mtime_ns
    train_in("a", *LINE, "max_batches=20", "callbacks.checkpoints.monitor=val/loss")
    assert Path("a/checkpoints/best.ckpt").stat().st_mtime_ns > best


@pytest.mark.parametrize(
    ("batches", "budget", "expected"),
    [(9, {"max_batches": 10}, "stopped"), (10, {"max_batches": 10}, "finished"), (10, {"max_epochs": 2}, "stopped")],
)
def test_scores_of_a_killed_run_do_not_finish_it(batches, budget, expected, tmp_path):
    folder = write_run(tmp_path / "a", scores={"elbo": -1.0}, about={"batches": batches}, **budget)
    (folder / DONE).unlink()
    (folder / "checkpoints").mkdir()
    (folder / "checkpoints" / "last.ckpt").touch()
    assert json.loads((folder / "metrics.json").read_text())["about"]["batches"] == batches
    assert read_run(folder).state == expected
