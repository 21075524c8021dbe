"""Nothing in a run folder is touched before its lock is held and the job is known to be the one that trained there."""

import errno
import json
import shlex
from pathlib import Path

import pytest

import vaezoo.train
from tests.support.command_line import BARE, QUICK, run, same_weights, train, train_in
from tests.support.configuration import compose_train
from vaezoo.config.identity import hash_training, list_conflicts
from vaezoo.config.names import make_new_folder
from vaezoo.errors import UserError
from vaezoo.reporting.reading import read_runs
from vaezoo.runs.files import write_json
from vaezoo.runs.folder import CONFIG, DONE, LOCK, load_config, lock_folder, mark_finished, read_config, read_state
from vaezoo.studies.study import Job
from vaezoo.training.begin import begin, check_folder

LINE = ["model=betavae", "max_batches=4", *QUICK, *BARE]


def content(folder: str) -> dict[str, bytes]:
    """Return all files of a folder except the lock."""
    return {
        str(path): path.read_bytes() for path in Path(folder).rglob("*") if path.is_file() and path.name != LOCK.name
    }


@pytest.mark.parametrize(
    "override", ["model.beta=5", "seed=1", "latent.dim=3", "dataset.split_seed=1", "optimizer.lr=1"]
)
def test_what_changes_the_job_is_a_conflict(override):
    trained = compose_train(*LINE)
    assert override.partition("=")[0] in list_conflicts(trained, compose_train(*LINE, override))
    assert list_conflicts(trained, compose_train(*LINE, "model.beta=2.0")) == [], "the default, written out"


@pytest.mark.parametrize(
    "override", ["max_batches=9", "log_every=3", "metric=fast", "trainer=ddp", "launcher.threads=2"]
)
def test_what_a_run_can_change_is_no_conflict(override):
    assert list_conflicts(compose_train(*LINE), compose_train(*LINE, override)) == []


def test_another_job_in_the_folder_of_a_run_is_refused_and_touches_nothing(in_tmp, monkeypatch, capsys):
    assert train(monkeypatch, *LINE, "hydra.run.dir=a") == 0
    before = content("a")
    assert set(read_config(Path("a"))) >= {"model", "seed"}
    assert train(monkeypatch, *LINE, "hydra.run.dir=a") == 0
    assert "a is finished" in capsys.readouterr().out
    assert content("a") == before
    assert train(monkeypatch, *LINE, "model.beta=16", "hydra.run.dir=a") == 2
    message = capsys.readouterr().err
    assert "with model.beta=2.0; this one has model.beta=16." in message
    assert "python -m vaezoo.train run=a." in message
    assert "model.beta=16 hydra.run.dir=a-2" in message
    with pytest.raises(UserError, match="max_batches=3: must be more: this run has seen 4 batches already"):
        train_in("a", *LINE, "max_batches=3")
    assert content("a") == before


def test_a_gpu_that_is_not_there_touches_nothing_and_a_finished_run_needs_none(in_tmp, monkeypatch, capsys):
    monkeypatch.setattr("torch.accelerator.is_available", lambda: False)
    train_in("a", *LINE)
    before = content("a")
    assert train(monkeypatch, "run=a", "max_batches=8", "trainer.accelerator=gpu") == 2
    assert "finds no GPU here" in capsys.readouterr().err
    assert content("a") == before
    assert train(monkeypatch, "run=a", "trainer.accelerator=gpu") == 0


def test_a_process_that_finds_the_lock_held_writes_nothing(in_tmp, monkeypatch, capsys):
    with lock_folder(Path("a")):
        assert run(vaezoo.train.main, monkeypatch, *LINE, "hydra.run.dir=a") == 2
    assert "another process is training there" in capsys.readouterr().err
    assert content("a") == {}


def test_other_logging_of_hydra_can_be_chosen(in_tmp, monkeypatch):
    assert train(monkeypatch, *LINE, "hydra/job_logging=disabled", "hydra.run.dir=a") == 0
    assert not Path("a/train.log").exists()


def test_hydra_does_not_write_before_the_lock_is_held(in_tmp, monkeypatch, capsys):
    assert train(monkeypatch, *LINE, "hydra.output_subdir=.hydra") == 2
    assert "hydra.output_subdir=.hydra: must be left out" in capsys.readouterr().err
    assert not list(in_tmp.iterdir())


def test_a_configuration_that_an_earlier_version_lost_is_written_anew_by_the_same_command(in_tmp):
    train_in("runs/a", *LINE)
    path = Path("runs/a") / CONFIG
    known = path.read_text()
    path.write_text("seed: 7\nfolder: ${hydra:runtime.output_dir}\n")
    job = Job("a", (), Path("runs/a"), *read_ids(Path("runs/a")))
    assert (read_state(job.folder), job.read_state()) == ("finished", "stopped"), "a study trains it again"
    with pytest.raises(UserError, match=r"was overwritten by an earlier version. Give the whole command line") as lost:
        load_config(Path("runs/a"))
    assert [run.error for run in read_runs([Path("runs")])] == [str(lost.value)]
    with pytest.raises(UserError, match="The present command line is that of another job"):
        train_in("runs/a", *LINE, "seed=7")
    train_in("runs/a", *LINE)
    assert path.read_text() == known
    assert job.read_state() == "finished"


def test_the_command_in_the_environment_tells_whose_configuration_was_lost(in_tmp, monkeypatch, capsys):
    """The hash in done.json may be that of another version, and a killed run has none."""
    assert train(monkeypatch, *LINE, "hydra.run.dir=a") == 0
    Path("a/done.json").unlink()
    path = Path("a") / CONFIG
    known = path.read_text()
    path.write_text("seed: 7\nfolder: ${hydra:runtime.output_dir}\n")
    environment = json.loads(Path("a/environment.json").read_text(encoding="utf-8"))
    environment["command"] = shlex.join(["python", "-m", "vaezoo.train", *LINE, "hydra.run.dir=b"])
    write_json(Path("a/environment.json"), environment)
    assert train(monkeypatch, *LINE, "model.beta=16", "hydra.run.dir=a") == 2
    assert "The present command line is that of another job" in capsys.readouterr().err
    assert train(monkeypatch, *LINE, "hydra.run.dir=a") == 0
    assert path.read_text() == known


def read_ids(folder: Path) -> tuple[str, str]:
    record = json.loads((folder / DONE).read_text())
    return record["job"], record["afterwards"]


def test_a_larger_budget_goes_on_with_the_run(in_tmp):
    train_in("a", *LINE)
    train_in("a", *LINE, "max_batches=7")
    assert same_weights(Path("a"), train_in("b", *LINE, "max_batches=7"))


def test_a_full_disk_leaves_a_finished_run_finished(tmp_path, monkeypatch):
    config, longer = (compose_train(*LINE, "folder=run", *more) for more in ([], ["max_batches=7"]))
    (tmp_path / ".hydra").mkdir()
    begin(config, tmp_path)
    mark_finished(tmp_path, hash_training(config), "scores")
    before = content(str(tmp_path))

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as full_disk:
        full_disk.setattr("vaezoo.training.begin.write_whole", refuse)
        with pytest.raises(OSError, match="No space left"):
            begin(longer, tmp_path)
    assert content(str(tmp_path)) == before
    begin(longer, tmp_path)
    assert read_state(tmp_path) == "new"


def test_a_folder_without_a_checkpoint_belongs_to_nobody(in_tmp):
    train_in("a", *LINE)
    for path in [Path("a") / DONE, *Path("a/checkpoints").iterdir()]:
        path.unlink()
    check_folder(compose_train(*LINE, "seed=1"), Path("a"))


def test_two_runs_of_the_same_second_have_two_folders(in_tmp):
    names = [make_new_folder("outputs/day/10-00-00") for _ in range(3)]
    assert names == ["outputs/day/10-00-00", "outputs/day/10-00-00-2", "outputs/day/10-00-00-3"]
    assert all(Path(name).is_dir() for name in names)


def test_a_place_that_cannot_be_written_is_refused_before_hydra_begins(in_tmp, monkeypatch, capsys):
    monkeypatch.setattr(vaezoo.train.os, "access", lambda path, mode: Path(path) != Path.cwd())
    assert train(monkeypatch, *LINE, "hydra.run.dir=a/b") == 2
    said = capsys.readouterr().err
    assert "cannot be written. hydra.run.dir=FOLDER" in said
    assert not Path("a").exists()
