"""Tests of what W&B holds of a job that was uploaded at once or by `wandb sync`, complete, killed or resumed."""

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import wandb
from PIL import Image

from tests.support.wandb_server import Server, Uploaded, wandb_server
from vaezoo.loggers.csv import CSVFile
from vaezoo.loggers.wandb import WandB
from vaezoo.runs.files import write_json

MODES = [("offline", "online"), ("online", "online")]  # of a killed process, and of the process that resumes its run


@pytest.fixture
def server(monkeypatch):
    """Start a server and set credentials for it. Runs are offline unless a test sets another mode."""
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    with wandb_server() as server:
        monkeypatch.setenv("WANDB_BASE_URL", server.url)
        wandb.teardown()  # W&B reads the environment only once per process.
        yield server
        wandb.teardown()


def sync(*paths: Path) -> str:
    """Run `wandb sync PATHS` and return what it prints."""
    environment = {name: value for name, value in os.environ.items() if name not in ("WANDB_MODE", "WANDB_SILENT")}
    command = [sys.executable, "-m", "wandb", "sync", *map(str, paths)]
    process = subprocess.run(command, env=environment, cwd=paths[0], capture_output=True, text=True, timeout=300)
    return process.stdout + process.stderr


def job(folder: Path, *, begin: int = 0, end: int, lost: int = 0, scores: dict[str, float] | None = None) -> None:
    """Use the loggers as a training from batch `begin` to batch `end` does, with a row every 10 batches.

    If `lost` is not 0, the process is killed `lost` batches after its last checkpoint, which is at `end`.
    """
    csv_file = CSVFile(folder)
    mirror = WandB(folder, project="p", name="beta=4", group="study", model="betavae", dataset="digits", pictures=True)
    csv_file.rewind(begin)
    mirror.start({"model": {"beta": 4.0}, "seed": 0})
    for batches in range(begin + 10, end + lost + 10, 10):
        rows = [{"train/loss": 1000 / batches}, {"val/loss": abs(batches - 40.0)}][: 1 + (batches % 20 == 0)]
        for row in rows:
            for logger in (csv_file, mirror):
                logger.log_metrics(row, step=batches)
    if lost:
        time.sleep(1.5)  # W&B writes its record once per second.
        os._exit(9)
    picture = folder / "figures" / "samples.png"
    picture.parent.mkdir(exist_ok=True)
    Image.new("L", (4, 4), 100).save(picture)
    write_json(folder / "metrics.json", {"about": {"batches": end}, "scores": {"eval/mig": 0.5, **(scores or {})}})
    for logger in (csv_file, mirror):
        logger.log_metrics({"eval/mig": 0.5} if scores is None else scores, step=end)
        logger.log_figure("samples", picture)
    mirror.close()


def test_a_server_that_goes_away_does_not_hold_the_run(server, tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("WANDB_MODE", "online")
    monkeypatch.setattr("vaezoo.loggers.wandb.FINISH_TIMEOUT", 1.0)
    mirror = WandB(tmp_path, project="p", name="n", group=None)
    mirror.start({"seed": 0})
    mirror.log_metrics({"train/loss": 2.5}, step=50)
    server.silent = True
    began = time.monotonic()
    command = mirror.close()
    assert time.monotonic() - began < 30
    (record,) = tmp_path.glob("wandb/run-*")
    assert command == f"wandb sync {record}"
    assert "the server stopped answering" in caplog.text


def killed_job(folder: Path, **arguments: Any) -> None:
    """Run `job` in a process that is killed before its end."""
    process = os.fork()
    if process == 0:
        try:
            job(folder, **arguments)
        finally:
            os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 9


def series(run: Uploaded, name: str) -> list[tuple[int, Any]]:
    """Return (batch, value) of each row that has a value of that name, in the order of W&B's steps."""
    rows = sorted(run.history, key=lambda row: row["_step"])
    return [(row["batches"], row[name]) for row in rows if name in row]


def only_run(server: Server) -> Uploaded:
    (run,) = server.runs.values()
    return run


def assert_whole(run: Uploaded, end: int) -> None:
    """Check that each row is there once and in order, and that summary, picture and configuration are complete."""
    assert series(run, "train/loss") == [(b, 1000 / b) for b in range(10, end + 10, 10)]
    assert series(run, "val/loss") == [(b, abs(b - 40.0)) for b in range(20, end + 10, 20)]
    assert series(run, "eval/mig") == [(end, 0.5)]
    assert (run.summary["val/loss"], run.summary["val/loss/best"]) == (end - 40.0, 0.0)
    assert run.summary["eval/mig"] == 0.5
    assert run.files[run.summary["figures/samples"]["path"]].startswith(b"\x89PNG")
    assert run.config["model"] == {"beta": 4.0}
    assert (run.about["displayName"], run.about["groupName"]) == ("beta=4", "study")
    assert run.about["tags"] == ["betavae", "digits"]
    assert run.exit_code == 0


def test_an_offline_run_is_uploaded_later(tmp_path, server):
    job(tmp_path, end=100)
    assert "Finished syncing" in sync(tmp_path / "wandb")
    assert_whole(only_run(server), 100)


@pytest.mark.slow
def test_an_online_run_is_uploaded_at_once(tmp_path, server, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "online")
    job(tmp_path, end=100)
    assert_whole(only_run(server), 100)


@pytest.mark.parametrize(
    ("first_mode", "second_mode"),
    [("offline", "offline"), *(pytest.param(*modes, marks=pytest.mark.slow) for modes in MODES)],
)
def test_a_killed_and_resumed_run_is_one_run_without_gaps(first_mode, second_mode, tmp_path, server, monkeypatch):
    """The process is killed at batch 60, two rows after its last checkpoint."""
    monkeypatch.setenv("WANDB_MODE", first_mode)
    killed_job(tmp_path, end=40, lost=20)
    monkeypatch.setenv("WANDB_MODE", second_mode)
    job(tmp_path, begin=40, end=100)
    sync(tmp_path / "wandb")
    assert_whole(only_run(server), 100)


@pytest.mark.slow
def test_uploaded_rows_are_not_sent_again(tmp_path, server):
    killed_job(tmp_path, end=40, lost=20)
    sync(tmp_path / "wandb")
    assert [batches for batches, _ in series(only_run(server), "train/loss")] == [10, 20, 30, 40, 50]
    job(tmp_path, begin=40, end=100)
    sync(tmp_path / "wandb")
    assert_whole(only_run(server), 100)


@pytest.mark.slow
def test_rows_of_a_record_that_was_not_uploaded_are_sent_again(tmp_path, server):
    """The first record is uploaded and the second is not. Both processes are killed."""
    killed_job(tmp_path, end=40, lost=20)
    sync(tmp_path / "wandb")
    killed_job(tmp_path, begin=40, end=60, lost=20)
    job(tmp_path, begin=60, end=100)
    sync(tmp_path / "wandb")
    assert_whole(only_run(server), 100)


@pytest.mark.slow
@pytest.mark.parametrize(("mode", "is_uploaded"), [("offline", False), ("offline", True), ("online", True)])
def test_scores_of_a_finished_run_are_added_to_it(mode, is_uploaded, tmp_path, server, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", mode)
    job(tmp_path, end=100)
    if is_uploaded:
        sync(tmp_path / "wandb")
    job(tmp_path, begin=100, end=100, scores={"eval/irs": 0.25})
    sync(tmp_path / "wandb")
    run = only_run(server)
    assert_whole(run, 100)
    assert series(run, "eval/irs") == [(100, 0.25)]
    assert run.summary["eval/irs"] == 0.25


def test_earlier_records_stay_if_wandb_is_disabled(tmp_path, monkeypatch):
    job(tmp_path, end=20)
    before = sorted(tmp_path.glob("wandb/offline-run-*"))
    monkeypatch.setenv("WANDB_MODE", "disabled")
    job(tmp_path, begin=20, end=20)
    assert sorted(tmp_path.glob("wandb/*run-*")) == before != []


def test_a_text_that_is_no_id_removes_nothing(tmp_path, monkeypatch):
    """Records are looked for by the id in the folder, which may be another person's."""
    monkeypatch.setenv("WANDB_MODE", "offline")
    (tmp_path / "run" / "wandb" / "offline-run-0-x").mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    for text in ("x/../../../elsewhere", "*", ""):
        (tmp_path / "run" / "wandb" / "run_id").write_text(text)
        logger = WandB(tmp_path / "run", project="p", name="n", group=None)
        monkeypatch.setattr(logger, "_open", None)  # what follows is W&B's own
        logger.start({})
        assert (tmp_path / "elsewhere").is_dir()
        assert (tmp_path / "run" / "wandb" / "run_id").read_text().isalnum()
    assert (tmp_path / "run" / "wandb" / "offline-run-0-x").is_dir()


@pytest.mark.slow
def test_a_study_is_uploaded_by_one_command(tmp_path, server):
    for name in ("a", "b"):
        job(tmp_path / name, end=20)
    killed_job(tmp_path / "c", end=20, lost=20)
    sync(*tmp_path.glob("*/wandb"))
    assert {len(run.history) for run in server.runs.values()} == {2, 3}
    assert len(server.runs) == 3


TIMES = ("_", "perf/")  # prefixes of values that differ from run to run: times and speeds


def run_study(folder: Path, mode: str, *overrides: str) -> str:
    """Run a small study in `folder` and return what it prints."""
    folder.mkdir(exist_ok=True)
    words = "model=betavae model.beta=1,4 dataset=digits max_batches=40 log_every=10 val_every=20 figure=samples"
    command = [sys.executable, "-m", "vaezoo.train", "-m", *words.split(), "callbacks.progress=false", *overrides]
    environment = {**os.environ, "WANDB_MODE": mode, "PYTHONPATH": os.getcwd()}
    process = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=900)
    assert process.returncode == 0, process.stderr
    return process.stdout


def comparable(run: Uploaded) -> dict[str, Any]:
    """Return the content that must be the same in two uploads of the same job."""
    config = {key: value for key, value in run.config.items() if key not in ("_wandb", "folder", "logger")}
    rows = [{name: row[name] for name in sorted(row) if not name.startswith(TIMES)} for row in run.history]
    summary = {name: value for name, value in sorted(run.summary.items()) if not name.startswith(TIMES)}
    about = {name: run.about.get(name) for name in ("project", "groupName", "displayName", "jobType", "tags")}
    media = {name: data for name, data in sorted(run.files.items()) if name.startswith("media/")}
    return {"about": about, "config": config, "rows": rows, "summary": summary, "media": media}


@pytest.mark.slow
def test_an_offline_study_is_uploaded_as_an_online_study_is(tmp_path, server):
    """One command uploads all jobs, a finished job opens no W&B run again, and new scores join the run."""
    online, offline = tmp_path / "online", tmp_path / "offline"
    for folder, mode in ((online, "online"), (offline, "offline")):
        run_study(folder, mode, "metric=score/reconstruction")
    assert len(server.runs) == 2, "nothing of the offline study was sent"
    sync(*offline.glob("multirun/*/*/wandb"))
    by_name: dict[str, list[dict[str, Any]]] = {}
    for run in server.runs.values():
        by_name.setdefault(run.about["displayName"], []).append(comparable(run))
    assert sorted(by_name) == ["model.beta=1", "model.beta=4"]
    for online_run, offline_run in by_name.values():
        assert online_run == offline_run
        assert online_run["about"]["tags"] == ["betavae", "digits"]
        assert [row["batches"] for row in online_run["rows"]] == [10, 20, 30, 40]
        assert len(online_run["media"]) == 5  # samples and reconstructions at batches 20 and 40, and the last samples
        assert "eval/recon_mse" in online_run["summary"]
    before = sorted(offline.glob("multirun/*/*/wandb/*run-*"))
    assert "2 finished; 0 to do" in run_study(offline, "offline", "metric=score/reconstruction")
    assert sorted(offline.glob("multirun/*/*/wandb/*run-*")) == before
    run_study(offline, "offline", "metric=score/correlation")
    sync(*offline.glob("multirun/*/*/wandb"))
    assert len(server.runs) == 4
    scored_again = [run for run in server.runs.values() if "eval/correlation" in run.summary]
    assert sorted(run.about["displayName"] for run in scored_again) == ["model.beta=1", "model.beta=4"]
    for run in scored_again:
        assert "eval/recon_mse" in run.summary
        assert [batches for batches, _ in series(run, "train/loss")] == [10, 20, 30, 40]
