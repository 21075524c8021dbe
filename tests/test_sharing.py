"""Jobs side by side: their threads, their turns, and the GPUs that they spread over. No GPU is needed: their number is
faked, the processes and their locks are real."""

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from tests.conftest import compose_train
from vaezoo import sharing, workers

REPOSITORY = Path(__file__).parents[1]


def launcher(jobs: int = 1, threads: int | None = None):
    return OmegaConf.create({"jobs": jobs, "threads": threads})


@pytest.fixture
def cores(monkeypatch):
    """cores(n): this process may use n of them; nothing is said by the shell or by a cluster."""
    for name in (sharing.SHELL, sharing.THREADS, sharing.VISIBLE, "SLURM_CPUS_PER_TASK", "SUBMITIT_EXECUTOR"):
        monkeypatch.setenv(name, "")  # put back what it was, whatever the test makes of it
        monkeypatch.delenv(name)
    return lambda count: monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(count)), raising=False)


# threads


def test_cores_are_shared_evenly_among_jobs_and_their_processes(cores):
    cores(12)
    assert sharing.threads(launcher()) is None  # alone: the libraries know best
    assert sharing.threads(launcher(4)) == 3
    assert sharing.threads(launcher(5)) == 2
    assert sharing.threads(launcher(100)) == 1
    assert sharing.threads(launcher(2), processes=3) == 2
    assert sharing.threads(None, processes=4) == 3  # a run that began before there were launchers


def test_the_user_has_the_last_word_on_threads(cores, monkeypatch):
    cores(12)
    assert sharing.threads(launcher(4, threads=2)) == 2
    assert sharing.threads(launcher(4, threads=2), processes=4) == 1
    monkeypatch.setenv(sharing.THREADS, "5")
    sharing.remember_shell()
    monkeypatch.setenv(sharing.THREADS, "1")
    assert sharing.threads(launcher(4)) == sharing.threads(launcher()) == 5
    assert sharing.threads(launcher(4, threads=2)) == 2


def test_what_a_launcher_sets_is_not_taken_for_the_users_word(cores, monkeypatch):
    cores(12)
    sharing.remember_shell()
    monkeypatch.setenv(sharing.THREADS, "1")  # as Ray does in its workers
    assert sharing.threads(launcher(4)) == 3


def test_a_cluster_may_grant_fewer_cores(cores, monkeypatch):
    cores(12)
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", "4")
    assert sharing.threads(launcher(2)) == 2


def test_threads_reach_loaded_libraries_and_new_processes(cores):
    """In a process of its own, which has more threads to lose."""
    code = """
import numpy, torch, subprocess
from threadpoolctl import threadpool_info
from vaezoo import sharing
torch.set_num_threads(3)
sharing.use_threads(2)
assert torch.get_num_threads() == 2, torch.get_num_threads()
assert {pool["num_threads"] for pool in threadpool_info()} <= {1, 2}, threadpool_info()
import joblib
assert joblib.cpu_count() <= 2
said = subprocess.run(["sh", "-c", "echo $OMP_NUM_THREADS"], capture_output=True)
assert said.stdout.strip() == b"2", said
"""
    environment = {key: value for key, value in os.environ.items() if key != sharing.THREADS}
    subprocess.run([sys.executable, "-c", code], env=environment | {"PYTHONPATH": str(REPOSITORY)}, check=True)


def test_the_processes_of_one_job_divide_its_share(cores):
    cores(12)
    environment = sharing.environment(sharing.threads(launcher(2), 2), [0, 1])
    for command in workers.commands(Path("run"), 2, environment):
        assert command["env"][sharing.THREADS] == "3"
        assert command["env"][sharing.VISIBLE] == "0,1"


# turns


WAITER = """
import sys, time
from pathlib import Path
from vaezoo import sharing
folder, name = Path(sys.argv[1]), sys.argv[2]
sharing.POLL = 0.02
with sharing.turn(folder, 2):
    (folder / name).touch()
    print("in", flush=True)
    sys.stdin.readline()
"""


def start(code: str, *arguments: object, **variables: str) -> subprocess.Popen:
    command = [sys.executable, "-c", code, *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), **variables}
    return subprocess.Popen(command, env=environment, stdin=-1, stdout=-1, text=True)


def test_a_job_waits_for_its_turn_and_gets_that_of_a_killed_one(tmp_path):
    first, second = start(WAITER, tmp_path, "a"), start(WAITER, tmp_path, "b")
    third = None
    try:
        assert [job.stdout.readline() for job in (first, second)] == ["in\n", "in\n"]
        third = start(WAITER, tmp_path, "c")
        with pytest.raises(subprocess.TimeoutExpired):
            third.wait(1)
        assert not (tmp_path / "c").exists()
        first.send_signal(signal.SIGKILL)
        assert third.stdout.readline() == "in\n"
    finally:
        for job in filter(None, (first, second, third)):
            job.kill()
            job.communicate()


# GPUs


HOLDER = """
import sys
from vaezoo import sharing
with sharing.least_loaded(sys.argv[1].split(","), int(sys.argv[2])) as chosen:
    print(*chosen, flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def holders(tmp_path, monkeypatch):
    """holders("0,1", wanted): a process that takes GPUs and holds them, and which it took."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    started = []

    def begin(names: str = "0,1", wanted: int = 1) -> tuple[subprocess.Popen, str]:
        started.append(start(HOLDER, names, wanted))
        return started[-1], started[-1].stdout.readline().strip()

    yield begin
    for holder in started:
        holder.kill()
        holder.communicate()


def test_jobs_spread_over_gpus_and_a_killed_one_frees_its_place(holders, tmp_path):
    jobs = [holders() for _ in range(4)]
    assert Counter(gpu for _, gpu in jobs) == {"0": 2, "1": 2}
    for process, gpu in jobs:
        if gpu == "1":
            process.send_signal(signal.SIGKILL)
            process.wait()
    assert [holders()[1] for _ in range(2)] == ["1", "1"]
    last, gpu = holders()
    assert gpu == "0"  # three on each would come next
    last.communicate()  # ends by itself and leaves nothing
    left = list(tmp_path.glob("vaezoo-gpus-*/gpu-*"))
    assert len(left) == 4, left


def test_jobs_that_start_at_the_same_moment_spread_too(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    jobs = [start(HOLDER, "0,1,2", 1) for _ in range(6)]
    try:
        assert Counter(job.stdout.readline().strip() for job in jobs) == {"0": 2, "1": 2, "2": 2}
    finally:
        for job in jobs:
            job.kill()
            job.communicate()


def test_a_run_on_several_gpus_takes_the_idle_ones(holders):
    assert holders("0,1,2,3")[1] == "0"
    assert holders("0,1,2,3", wanted=2)[1] == "1 2"
    assert holders("0,1,2,3")[1] == "3"


def test_studies_that_see_different_gpus_count_the_same_ones(holders):
    """By their names: the first that this one sees is the third of the other."""
    assert holders("2,3")[1] == "0"
    assert holders("0,1,2,3", wanted=3)[1] == "0 1 3"


@pytest.fixture
def gpus(monkeypatch, tmp_path, cores):
    """gpus(n): the machine has n of them."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return lambda count: monkeypatch.setattr("torch.cuda.device_count", lambda: count)


def chosen(*overrides: str) -> list[int] | None:
    with sharing.gpus(compose_train(*overrides).trainer) as numbers:
        return numbers


def test_a_run_takes_a_gpu_where_there_is_a_choice(gpus):
    gpus(2)
    config = compose_train().trainer
    with sharing.gpus(config) as first, sharing.gpus(config) as second, sharing.gpus(config) as third:
        assert [first, second, third] == [[0], [1], [0]]
    assert chosen() == [0]


@pytest.mark.parametrize(
    ("count", "overrides"),
    [
        (0, ["trainer=auto"]),
        (1, ["trainer=gpu"]),
        (4, ["trainer=cpu"]),
        (4, ["trainer.devices=[2]"]),
        (4, ["trainer.devices=-1"]),
        (4, ["trainer.devices=auto"]),
        (2, ["trainer=ddp", "trainer.devices=2"]),
    ],
)
def test_nothing_is_chosen_for_the_user(gpus, count, overrides):
    gpus(count)
    assert chosen(*overrides) is None


def test_gpus_are_called_as_the_machine_calls_them(gpus, monkeypatch):
    gpus(2)
    monkeypatch.setenv(sharing.VISIBLE, "5,GPU-8932f937-d72c")
    assert sharing.visible_gpus() == ["5", "GPU_8932f937_d72c"]
    assert sharing.environment(None, [1]) == {sharing.VISIBLE: "GPU-8932f937-d72c"}


@pytest.mark.parametrize("seen", [None, "2,3", ""])
def test_gpus_that_a_launcher_hides_are_those_of_the_shell(cores, monkeypatch, seen):
    """Submitit's local executor sets CUDA_VISIBLE_DEVICES= for a job that was promised none."""
    if seen is not None:
        monkeypatch.setenv(sharing.VISIBLE, seen)
    sharing.remember_shell()
    monkeypatch.setenv(sharing.VISIBLE, "")
    sharing.show_gpus()
    assert os.environ.get(sharing.VISIBLE) == seen
    assert json.loads(os.environ[sharing.SHELL]) == ({} if seen is None else {sharing.VISIBLE: seen})


def test_gpus_that_a_cluster_gave_stay(cores, monkeypatch):
    sharing.remember_shell()
    monkeypatch.setenv(sharing.VISIBLE, "3")
    sharing.show_gpus()
    assert os.environ[sharing.VISIBLE] == "3"
