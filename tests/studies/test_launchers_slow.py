"""Studies on launchers that exist already, run for real: the same weights as one by one, and what fails alone.

Ray has an environment of its own (docs/launchers.md), in which this file runs as well and skips the others.
"""

import csv
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tests.support.paths import ROOT

pytestmark = pytest.mark.slow

JOB = ("model=vae", "dataset=digits", "val_every=20", "log_every=10", "metric.rows=300", "metric.test_rows=50")
QUIET = ("logger=csv", "figure=none", "callbacks.progress=false", "launcher.threads=1")
STUDY = ("seed=0,1,2", "max_batches=40", "hydra.sweep.dir=study")


def needs(launcher: str) -> object:
    """A launcher as a parameter of a test, skipped where its plugin is not installed."""
    extra = {"slurm": "submitit"}.get(launcher, launcher)
    missing = find_spec(f"hydra_plugins.hydra_{extra}_launcher") is None
    return pytest.param(launcher, marks=pytest.mark.skipif(missing, reason=f"pip install 'vaezoo[{extra}]'"))


def command(*line: str) -> list[str]:
    return [sys.executable, "-m", "vaezoo.train", "-m", *JOB, *QUIET, *line]


def environment(**more: str) -> dict[str, str]:
    """As in a shell where nothing is set about threads."""
    kept = {name: value for name, value in os.environ.items() if name not in ("OMP_NUM_THREADS", "LOKY_MAX_CPU_COUNT")}
    return {**kept, "PYTHONPATH": str(ROOT), "RAY_raylet_start_wait_time_s": "300", **more}


def study(at: Path, *line: str, **variables: str) -> subprocess.CompletedProcess:
    at.mkdir(exist_ok=True)
    return subprocess.run(command(*line), cwd=at, env=environment(**variables), capture_output=True, text=True)


def job(at: Path, seed: int) -> Path:
    (folder,) = at.glob(f"study/seed-{seed}*")
    return folder


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]


def scores(folder: Path) -> dict[str, float]:
    return json.loads((folder / "metrics.json").read_text())["scores"]


def batches(folder: Path) -> list[int]:
    with (folder / "metrics.csv").open() as file:
        return [int(row["batches"]) for row in csv.DictReader(file)]


def assert_same(first: Path, second: Path) -> None:
    a, b = weights(first), weights(second)
    assert a.keys() == b.keys()
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert scores(first) == scores(second)
    assert batches(first) == batches(second)


@pytest.fixture(scope="module")
def one_by_one(tmp_path_factory) -> Path:
    at = tmp_path_factory.mktemp("one_by_one")
    done = study(at, *STUDY)
    assert done.returncode == 0, done.stderr
    return at


@pytest.mark.parametrize("launcher", [needs("joblib"), needs("ray")])
def test_side_by_side_as_one_by_one(launcher, one_by_one, tmp_path):
    done = study(tmp_path, f"launcher={launcher}", "launcher.jobs=2", *STUDY)
    assert done.returncode == 0, done.stdout + done.stderr
    for seed in range(3):
        assert_same(job(tmp_path, seed), job(one_by_one, seed))
        told = json.loads((job(tmp_path, seed) / "environment.json").read_text())
        assert told["device"] == "cpu, 1 threads"


@pytest.mark.parametrize("launcher", [needs("joblib"), needs("ray")])
def test_one_fails_and_the_others_finish(launcher, tmp_path):
    """A step of 1e18 is not finite soon; the jobs before and after it are."""
    line = ["optimizer.lr=1e-3,1e18,2e-3", "max_batches=40", "hydra.sweep.dir=study"]
    done = study(tmp_path, f"launcher={launcher}", "launcher.jobs=2", *line)
    assert done.returncode == 1, done.stdout + done.stderr
    folders = {folder.name.split("-", 1)[1]: folder for folder in (tmp_path / "study").glob("optimizer.lr*")}
    finished = {name for name, folder in folders.items() if (folder / "metrics.json").is_file()}
    failed = {name for name, folder in folders.items() if (folder / "error.txt").is_file()}
    assert len(finished) == 2, folders
    assert len(failed) == 1, folders
    assert not finished & failed
    (reason,) = [(folders[name] / "error.txt").read_text() for name in failed]
    assert "not finite" in reason or "NaN" in reason
    assert reason.splitlines()[0][:40] in done.stdout + done.stderr


@pytest.mark.parametrize("launcher", [needs("joblib"), needs("ray")])
def test_threads_are_those_of_the_share(launcher, tmp_path):
    """Whatever the launcher would have set: an even share, or what is asked for."""
    line = ["seed=0,1", "max_batches=1", "metric=none", "hydra.sweep.dir=study", f"launcher={launcher}"]
    for asked, expected in (("null", max(1, len(os.sched_getaffinity(0)) // 2)), ("3", 3)):
        at = tmp_path / asked
        done = study(at, *line, "launcher.jobs=2", f"launcher.threads={asked}")
        assert done.returncode == 0, done.stdout + done.stderr
        for seed in range(2):
            told = json.loads((job(at, seed) / "environment.json").read_text())
            assert told["device"] == f"cpu, {expected} threads"


@pytest.mark.parametrize("launcher", [needs("joblib"), needs("ray")])
def test_jobs_that_need_the_same_images_make_them_once(launcher, tmp_path):
    """They start at the same moment, and nothing is there yet."""
    (tmp_path / "pictures").mkdir()
    for number in range(200):
        pixels = np.random.default_rng(number).integers(0, 255, (16, 16), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "pictures" / f"{number:03d}.png")
    line = ["model=vae", "dataset=arrays", "dataset.path=pictures", "network=mlpk", "metric=none", "max_batches=2"]
    line += [f"launcher={launcher}", "launcher.jobs=2", "seed=0,1", "hydra.sweep.dir=study"]
    line += ["dataset.val_images=10", "dataset.batch_size=8"]
    given = {"VAEZOO_DATA": str(tmp_path / "data")}
    done = subprocess.run(
        [sys.executable, "-m", "vaezoo.train", "-m", *line, *QUIET],
        cwd=tmp_path,
        env=environment(**given),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(list((tmp_path / "data" / "arrays" / "prepared").glob("*.npy"))) == 1
    logs = [(job(tmp_path, seed) / "train.log").read_text() for seed in range(2)]
    assert sum("once for all runs" in log for log in logs) == 1, logs


LONG = ("seed=0,1", "max_batches=100000", "hydra.sweep.dir=study", "callbacks.checkpoints.batches=20")


def begun(at: Path) -> list[Path]:
    return list(at.glob("study/seed-*/checkpoints/last.ckpt"))


def wait_for(condition: Callable[[], object], seconds: float = 120) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.2)
    return False


@pytest.mark.parametrize("launcher", [needs("joblib")])
def test_jobs_of_a_killed_command_save_and_stop(launcher, tmp_path):
    """Nobody trains on behind the user's back, and the same command goes on to what would have been."""
    line = (f"launcher={launcher}", "launcher.jobs=2", *LONG)
    with subprocess.Popen(command(*line), cwd=tmp_path, env=environment(), start_new_session=True) as process:
        try:
            assert wait_for(lambda: len(begun(tmp_path)) == 2)
            process.send_signal(signal.SIGKILL)
            said = [folder.parents[1] / "error.txt" for folder in begun(tmp_path)]
            assert wait_for(lambda: all(path.is_file() for path in said), 30)
            assert {path.read_text() for path in said} == {"interrupted by SIGTERM\n"}
            lengths = [path.with_name("metrics.csv").stat().st_size for path in said]
            time.sleep(2)
            assert [path.with_name("metrics.csv").stat().st_size for path in said] == lengths
        finally:
            os.killpg(process.pid, signal.SIGKILL)


SBATCH = """#!{python}
# What Slurm does with the script of an array, in one process each: no queue, no limits.
import os, re, subprocess, sys
script = open(sys.argv[-1]).read()
open("{folder}/submitted.sh", "w").write(script)
tasks = int(re.search(r"--array=0-(\\d+)", script).group(1)) + 1
for task in range(tasks):
    slurm = dict(SLURM_JOB_ID=str(700 + task), SLURM_ARRAY_JOB_ID="77", SLURM_ARRAY_TASK_ID=str(task), SLURM_PROCID="0",
                 SLURM_NTASKS="1", SLURM_JOB_NUM_NODES="1", SLURM_NODEID="0", SLURM_LOCALID="0",
                 SLURM_CPUS_PER_TASK="1")
    with open("{folder}/task%d.log" % task, "w") as log:
        subprocess.Popen(["bash", sys.argv[-1]], env={{**os.environ, **slurm}}, stdout=log, stderr=log,
                         start_new_session=True)
print("Submitted batch job 77")
"""
SRUN = """#!{python}
import os, sys
words = sys.argv[1:]
while words[0].startswith("-"):
    words = words[2 if words[0] in ("--output", "--error") else 1:]
os.execvp(words[0], words)
"""
SACCT = """#!{python}
import glob
print("JobID|State|NodeList")
for task in range(9):
    done = glob.glob("{folder}/study/.submitit/77_%d/*_result.pkl" % task)
    print("77_%d|%s|here" % (task, "COMPLETED" if done else "RUNNING"))
"""


@pytest.mark.parametrize("launcher", [needs("slurm")])
def test_the_way_to_slurm_and_back(launcher, one_by_one, tmp_path):
    """Three small scripts stand for sbatch, srun and sacct: what is asked for is in the script, and it trains."""
    tools = tmp_path / "bin"
    tools.mkdir()
    for name, text in (("sbatch", SBATCH), ("srun", SRUN), ("sacct", SACCT)):
        (tools / name).write_text(text.format(python=sys.executable, folder=tmp_path))
        (tools / name).chmod(0o755)
    asked = ["launcher.jobs=2", "launcher.partition=short", "launcher.minutes=90", "launcher.memory=8"]
    asked += ["launcher.gpus=0", "launcher.account=lab", "launcher.setup=['export GREETING=hello']"]
    path = f"{tools}{os.pathsep}{os.environ['PATH']}"
    done = study(tmp_path, "launcher=slurm", *asked, *STUDY, PATH=path)
    assert done.returncode == 0, done.stdout + done.stderr
    script = (tmp_path / "submitted.sh").read_text()
    options = dict(re.findall(r"^#SBATCH --([\w-]+)=(\S+)$", script, re.MULTILINE))
    assert options["array"] == "0-2%2"
    assert options["partition"] == "short"
    assert options["account"] == "lab"
    assert options["time"] == "90"
    assert options["mem"] == "8GB"
    assert options["cpus-per-task"] == "1"
    assert options["signal"] == "USR2@120"
    assert "export GREETING=hello" in script
    for seed in range(3):
        assert_same(job(tmp_path, seed), job(one_by_one, seed))


SEARCH = (
    "sweep=optuna",
    "sweep.objective=eval/elbo",
    "model.beta=interval(1,16)",
    "max_batches=20",
    "hydra.sweep.dir=study",
)
optuna = pytest.mark.skipif(find_spec("optuna") is None, reason="pip install 'vaezoo[optuna]'")


def members(at: Path) -> list[dict]:
    return json.loads((at / "study" / "study.json").read_text())["jobs"]


@optuna
def test_a_search_goes_on_where_it_was(tmp_path):
    """The same seed proposes the same values, whose scores are there already."""
    line = ("model=betavae", *SEARCH)
    done = study(tmp_path, *line, "sweep.trials=2")
    assert done.returncode == 0, done.stdout + done.stderr
    first = [member["folder"] for member in members(tmp_path)]
    ends = [(tmp_path / "study" / name / "done.json").stat().st_mtime_ns for name in first]
    done = study(tmp_path, *line, "sweep.trials=3", "sweep.direction=maximize")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 finished" in done.stdout
    assert [member["folder"] for member in members(tmp_path)][:2] == first
    assert [(tmp_path / "study" / name / "done.json").stat().st_mtime_ns for name in first] == ends
    best = max(scores(tmp_path / "study" / member["folder"])["eval/elbo"] for member in members(tmp_path))
    assert f"best_value: {best}" in (tmp_path / "study" / "optimization_results.yaml").read_text()


@optuna
@pytest.mark.skipif(find_spec("hydra_plugins.hydra_joblib_launcher") is None, reason="pip install 'vaezoo[joblib]'")
def test_a_search_side_by_side(tmp_path):
    done = study(tmp_path, "model=betavae", *SEARCH, "sweep.trials=3", "launcher=joblib", "launcher.jobs=2")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 finished" in done.stdout


@optuna
def test_a_search_goes_by_a_score_that_is_there(tmp_path):
    """One job is enough to know."""
    done = study(tmp_path, "model=betavae", *SEARCH, "sweep.objective=eval/mig_hist")
    assert done.returncode == 2
    assert "sweep.objective=eval/mig_hist: the run has no such score." in done.stderr
    assert "eval/elbo" in done.stderr
    assert len(members(tmp_path)) == 1
