"""A plug-in as a wheel that pip installs, and as a folder: swept, killed, continued, evaluated and reported."""

import csv
import json
import os
import shutil
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.support.command_line import state
from tests.support.paths import ROOT
from tests.support.plugins import PROJECT

pytestmark = pytest.mark.slow
BRIEF = ["experiment=sparse_crosses", "logger=csv", "callbacks.progress=false", "metric=score/hoyer", "figure=none"]
STUDY = ["-m", "seed=0,1", "sweep.name=s", "max_batches=20", *BRIEF]


def make_environment(*places: Path) -> dict[str, str]:
    """Return the variables of a process that finds vaezoo and what lies in these places."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (ROOT, *places)))}


def run(environment: dict[str, str], *words: str) -> str:
    """Run `python -m vaezoo.COMMAND`, and return what it prints."""
    command = [sys.executable, "-m", f"vaezoo.{words[0]}", *words[1:]]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> dict[str, str]:
    """Build the wheel and install it into a folder; return the environment in which it is found."""
    if not all(map(find_spec, ("pip", "setuptools"))):  # Importing setuptools after torch fails.
        pytest.skip("pip and setuptools build the wheel")
    root = tmp_path_factory.mktemp("wheel")
    shutil.copytree(PROJECT, root / "project", ignore=shutil.ignore_patterns("__pycache__"))
    pip = [sys.executable, "-m", "pip", "--no-cache-dir", "--disable-pip-version-check"]
    subprocess.run(
        [*pip, "wheel", "--no-index", "--no-deps", "--no-build-isolation", "-w", root / "dist", root / "project"],
        check=True,
        capture_output=True,
    )
    (wheel,) = (root / "dist").glob("my_zoo-*.whl")
    subprocess.run([*pip, "install", "--no-index", "--no-deps", "--target", root / "site", wheel], check=True)
    return make_environment(root / "site")


def test_a_study_of_the_wheel_is_found_again_and_reported(installed, in_tmp):
    assert "2: 2 finished" in run(installed, "train", *STUDY)
    checkpoints = sorted(Path("multirun/s").glob("*/checkpoints/last.ckpt"))
    times = [path.stat().st_mtime_ns for path in checkpoints]
    assert len(times) == 2
    assert "2: 2 finished; 0 to do" in run(installed, "train", *STUDY)
    assert [path.stat().st_mtime_ns for path in checkpoints] == times
    run(installed, "report", "runs=multirun/s")
    with Path("multirun/s/report.csv").open(newline="", encoding="utf-8") as file:
        table = list(csv.DictReader(file))
    assert [0 < float(row["hoyer"]) < 1 for row in table] == [True, True]


def test_a_run_of_the_wheel_goes_on_after_a_kill_and_is_evaluated_without_trust(installed, in_tmp):
    words = [*BRIEF, "max_batches=1000000", "callbacks.checkpoints.batches=10", "hydra.run.dir=run"]
    process = subprocess.Popen([sys.executable, "-m", "vaezoo.train", *words], env=installed)
    try:
        deadline = time.monotonic() + 300
        while not Path("run/checkpoints/last.ckpt").is_file():
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
    finally:
        process.kill()
        process.wait()
    batches = int(state(Path("run"))["state_dict"]["batches"]) + 20
    run(installed, "train", "run=run", f"max_batches={batches}")
    assert int(state(Path("run"))["state_dict"]["batches"]) == batches
    run(installed, "evaluate", "run=run", "metric=score/hoyer", "figure=pixel_errors")
    assert Path("run/figures/pixel_errors.png").is_file()
    assert json.loads(Path("run/metrics.json").read_text(encoding="utf-8"))["directions"] == {"eval/hoyer": "higher"}


@pytest.mark.parametrize(
    "parallel",
    [
        ["trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2"],
        ["launcher=joblib", "-m", "seed=0,1", "sweep.name=s"],
    ],
    ids=["ddp", "joblib"],
)
def test_other_processes_find_a_folder_that_lies_elsewhere(parallel, tmp_path, monkeypatch):
    if "launcher=joblib" in parallel:
        pytest.importorskip("hydra_plugins.hydra_joblib_launcher")
    shutil.copytree(PROJECT, tmp_path / "project", ignore=shutil.ignore_patterns("__pycache__"))
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    conf = ["--config-dir", "../project/my_zoo/conf"]
    run(make_environment(), "train", *conf, *BRIEF, "max_batches=20", "hydra.run.dir=run", *parallel)
    folder = next(iter(work.glob("**/done.json"))).parent
    # The run says where its code lay, and the user that it may be run.
    monkeypatch.chdir(tmp_path)
    run(make_environment(), "train", f"run={folder}", "trust=my_zoo", "max_batches=30")
    run(make_environment(), "evaluate", f"run={folder}", "trust=my_zoo", "metric=score/hoyer", "figure=pixel_errors")
    assert (folder / "figures" / "pixel_errors.png").is_file()
