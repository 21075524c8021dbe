"""What W&B has of a job in the end, uploaded at once or by `wandb sync`, whole, broken off or resumed."""

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import wandb
from PIL import Image

from tests.wandb_server import Server, Uploaded, wandb_server
from vaezoo.loggers.csv import CSVFile
from vaezoo.loggers.wandb import WandB
from vaezoo.runs.files import write_json

MODES = [("offline", "online"), ("online", "online")]  # of a process, and of the one that goes on


@pytest.fixture
def server(monkeypatch):
    """A server that credentials are known for; runs are offline until a test says otherwise."""
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    with wandb_server() as server:
        monkeypatch.setenv("WANDB_BASE_URL", server.url)
        wandb.teardown()  # it looks at the environment once a process
        yield server
        wandb.teardown()


def sync(*paths: Path) -> str:
    """What the shell does with `wandb sync PATHS`."""
    spoken = {name: value for name, value in os.environ.items() if name not in ("WANDB_MODE", "WANDB_SILENT")}
    line = [sys.executable, "-m", "wandb", "sync", *map(str, paths)]
    done = subprocess.run(line, env=spoken, cwd=paths[0], capture_output=True, text=True, timeout=300)
    return done.stdout + done.stderr


def job(folder: Path, *, begin: int = 0, end: int, lost: int = 0, scores: dict[str, float] | None = None) -> None:
    """What a training does to its loggers: rows every 10 batches, at `begin` those of a checkpoint.

    With `lost` it is killed, `lost` batches after its last checkpoint.
    """
    plain, mirror = (
        CSVFile(folder),
        WandB(folder, project="p", name="beta=4", group="study", model="betavae", dataset="digits"),
    )
    plain.rewind(begin)
    mirror.start({"model": {"beta": 4.0}, "seed": 0})
    for batches in range(begin + 10, end + lost + 10, 10):
        rows = [{"train/loss": 1000 / batches}, {"val/loss": abs(batches - 40.0)}][: 1 + (batches % 20 == 0)]
        for row in rows:
            for logger in (plain, mirror):
                logger.log_metrics(row, step=batches)
    if lost:
        time.sleep(1.5)  # W&B writes once a second
        os._exit(9)
    picture = folder / "figures" / "samples.png"
    picture.parent.mkdir(exist_ok=True)
    Image.new("L", (4, 4), 100).save(picture)
    write_json(folder / "metrics.json", {"about": {"batches": end}, "scores": {"eval/mig": 0.5, **(scores or {})}})
    for logger in (plain, mirror):
        logger.log_metrics({"eval/mig": 0.5} if scores is None else scores, step=end)
        logger.log_figure("samples", picture)
    mirror.close()


def killed(folder: Path, **line: Any) -> None:
    """The same in a process that is killed before its end."""
    process = os.fork()
    if process == 0:
        try:
            job(folder, **line)
        finally:
            os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 9


def series(run: Uploaded, name: str) -> list[tuple[int, Any]]:
    """By W&B's own steps."""
    rows = sorted(run.history, key=lambda row: row["_step"])
    return [(row["batches"], row[name]) for row in rows if name in row]


def only(server: Server) -> Uploaded:
    (run,) = server.runs.values()
    return run


def assert_whole(run: Uploaded, end: int) -> None:
    """Every row, once, in order; the best of the validations, the last of all else, and the picture."""
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
    assert_whole(only(server), 100)


@pytest.mark.slow
def test_an_online_run_is_uploaded_at_once(tmp_path, server, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "online")
    job(tmp_path, end=100)
    assert_whole(only(server), 100)


@pytest.mark.parametrize(
    ("first", "then"),
    [("offline", "offline"), *(pytest.param(*modes, marks=pytest.mark.slow) for modes in MODES)],
)
def test_a_killed_run_that_goes_on_is_one_run_without_gaps(first, then, tmp_path, server, monkeypatch):
    """It was killed at batch 60, two rows after its last checkpoint."""
    monkeypatch.setenv("WANDB_MODE", first)
    killed(tmp_path, end=40, lost=20)
    monkeypatch.setenv("WANDB_MODE", then)
    job(tmp_path, begin=40, end=100)
    sync(tmp_path / "wandb")
    assert_whole(only(server), 100)


@pytest.mark.slow
def test_what_was_uploaded_between_is_not_sent_again(tmp_path, server):
    killed(tmp_path, end=40, lost=20)
    sync(tmp_path / "wandb")
    assert [batches for batches, _ in series(only(server), "train/loss")] == [10, 20, 30, 40, 50]
    job(tmp_path, begin=40, end=100)
    sync(tmp_path / "wandb")
    assert_whole(only(server), 100)


@pytest.mark.slow
@pytest.mark.parametrize(("mode", "between"), [("offline", False), ("offline", True), ("online", True)])
def test_scores_of_a_finished_run_are_added_to_it(mode, between, tmp_path, server, monkeypatch):
    """`between`: after the run was uploaded."""
    monkeypatch.setenv("WANDB_MODE", mode)
    job(tmp_path, end=100)
    if between:
        sync(tmp_path / "wandb")
    job(tmp_path, begin=100, end=100, scores={"eval/irs": 0.25})
    sync(tmp_path / "wandb")
    run = only(server)
    assert_whole(run, 100)
    assert series(run, "eval/irs") == [(100, 0.25)]
    assert run.summary["eval/irs"] == 0.25


def test_where_w_and_b_is_disabled_earlier_records_stay(tmp_path, monkeypatch):
    job(tmp_path, end=20)
    before = sorted(tmp_path.glob("wandb/offline-run-*"))
    monkeypatch.setenv("WANDB_MODE", "disabled")
    job(tmp_path, begin=20, end=20)
    assert sorted(tmp_path.glob("wandb/*run-*")) == before != []


@pytest.mark.slow
def test_a_study_is_uploaded_by_one_command(tmp_path, server):
    for name in ("a", "b"):
        job(tmp_path / name, end=20)
    killed(tmp_path / "c", end=20, lost=20)
    sync(*tmp_path.glob("*/wandb"))
    assert {len(run.history) for run in server.runs.values()} == {2, 3}
    assert len(server.runs) == 3


OWN = ("_", "perf/")  # of each run: times and speeds


def ask(place: Path, mode: str, *further: str) -> str:
    """The command line of a study, in a folder of its own."""
    place.mkdir(exist_ok=True)
    words = "model=betavae model.beta=1,4 dataset=digits max_batches=40 log_every=10 val_every=20 figure=samples"
    line = [sys.executable, "-m", "vaezoo.train", "-m", *words.split(), "callbacks.progress=false", *further]
    spoken = {**os.environ, "WANDB_MODE": mode, "PYTHONPATH": os.getcwd()}
    done = subprocess.run(line, cwd=place, env=spoken, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr
    return done.stdout


def told(run: Uploaded) -> dict[str, Any]:
    """What two uploads of one job have in common."""
    config = {key: value for key, value in run.config.items() if key not in ("_wandb", "folder", "logger")}
    rows = [{name: row[name] for name in sorted(row) if not name.startswith(OWN)} for row in run.history]
    summary = {name: value for name, value in sorted(run.summary.items()) if not name.startswith(OWN)}
    about = {name: run.about.get(name) for name in ("project", "groupName", "displayName", "jobType", "tags")}
    media = {name: data for name, data in sorted(run.files.items()) if name.startswith("media/")}
    return {"about": about, "config": config, "rows": rows, "summary": summary, "media": media}


@pytest.mark.slow
def test_a_study_is_the_same_on_wandb_at_once_and_later(tmp_path, server):
    """Its jobs are uploaded by one command; what is finished opens no run again; new scores go on with the run."""
    now, later = tmp_path / "now", tmp_path / "later"
    for place, mode in ((now, "online"), (later, "offline")):
        ask(place, mode, "metric=score/reconstruction")
    assert len(server.runs) == 2, "nothing of the offline study was sent"
    sync(*later.glob("multirun/*/*/wandb"))
    by_name: dict[str, list[dict[str, Any]]] = {}
    for run in server.runs.values():
        by_name.setdefault(run.about["displayName"], []).append(told(run))
    assert sorted(by_name) == ["model.beta=1", "model.beta=4"]
    for one, other in by_name.values():
        assert one == other
        assert one["about"]["tags"] == ["betavae", "digits"]
        assert [row["batches"] for row in one["rows"]] == [10, 20, 30, 40]
        assert len(one["media"]) == 5  # samples and reconstructions at batches 20 and 40, and the last samples
        assert "eval/recon_mse" in one["summary"]
    before = sorted(later.glob("multirun/*/*/wandb/*run-*"))
    assert "2 finished; 0 to do" in ask(later, "offline", "metric=score/reconstruction")
    assert sorted(later.glob("multirun/*/*/wandb/*run-*")) == before
    ask(later, "offline", "metric=score/correlation")
    sync(*later.glob("multirun/*/*/wandb"))
    assert len(server.runs) == 4
    again = [run for run in server.runs.values() if "eval/correlation" in run.summary]
    assert sorted(run.about["displayName"] for run in again) == ["model.beta=1", "model.beta=4"]
    for run in again:
        assert "eval/recon_mse" in run.summary
        assert [batches for batches, _ in series(run, "train/loss")] == [10, 20, 30, 40]
