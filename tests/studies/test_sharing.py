"""The share of a job that runs beside others: its threads and its GPUs. The number of cores and of GPUs is faked."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import OmegaConf

from tests.support.configuration import compose_train
from tests.support.paths import ROOT
from vaezoo.config.names import parallel_job_number
from vaezoo.studies import threads
from vaezoo.training import workers
from vaezoo.training.run import train


def launcher(jobs: int = 1, threads: int | None = None):
    return OmegaConf.create({"jobs": jobs, "threads": threads})


@pytest.fixture
def cores(monkeypatch):
    """cores(n): this process may use n of them; nothing is said by the shell or by a cluster."""
    for name in (threads.SHELL, threads.THREADS, threads.VISIBLE, "SLURM_CPUS_PER_TASK"):
        monkeypatch.setenv(name, "")  # put back what it was, whatever the test makes of it
        monkeypatch.delenv(name)
    return lambda count: monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(count)), raising=False)


# threads


def test_cores_are_shared_evenly_among_jobs_and_their_processes(cores):
    cores(12)
    assert threads.count_threads(launcher()) is None  # alone: the libraries know best
    assert threads.count_threads(launcher(4)) == 3
    assert threads.count_threads(launcher(5)) == 2
    assert threads.count_threads(launcher(100)) == 1
    assert threads.count_threads(launcher(2), processes=3) == 2
    assert threads.count_threads(None, processes=4) == 3  # a run that began before there were launchers


def test_the_user_has_the_last_word_on_threads(cores, monkeypatch):
    cores(12)
    assert threads.count_threads(launcher(4, threads=2)) == 2
    assert threads.count_threads(launcher(4, threads=2), processes=4) == 1
    monkeypatch.setenv(threads.THREADS, "5")
    threads.remember_shell()
    monkeypatch.setenv(threads.THREADS, "1")
    assert threads.count_threads(launcher(4)) == threads.count_threads(launcher()) == 5
    assert threads.count_threads(launcher(4, threads=2)) == 2


def test_what_a_launcher_sets_is_not_taken_for_the_users_word(cores, monkeypatch):
    cores(12)
    threads.remember_shell()
    monkeypatch.setenv(threads.THREADS, "1")  # as Ray does in its workers
    assert threads.count_threads(launcher(4)) == 3


def test_a_cluster_may_grant_fewer_cores(cores, monkeypatch):
    cores(12)
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", "4")
    assert threads.count_threads(launcher(2)) == 2


def test_threads_reach_loaded_libraries_and_new_processes(cores):
    """In a process of its own, which has more threads to lose."""
    code = """
import numpy, torch, subprocess
from threadpoolctl import threadpool_info
from vaezoo.studies import threads
torch.set_num_threads(3)
threads.limit_threads(2)
assert torch.get_num_threads() == 2, torch.get_num_threads()
assert {pool["num_threads"] for pool in threadpool_info()} <= {1, 2}, threadpool_info()
import joblib
assert joblib.cpu_count() <= 2
said = subprocess.run(["sh", "-c", "echo $OMP_NUM_THREADS"], capture_output=True)
assert said.stdout.strip() == b"2", said
"""
    environment = {key: value for key, value in os.environ.items() if key != threads.THREADS}
    subprocess.run([sys.executable, "-c", code], env=environment | {"PYTHONPATH": str(ROOT)}, check=True)


def test_the_processes_of_one_job_divide_its_share(cores):
    cores(12)
    environment = threads.worker_environment(threads.count_threads(launcher(2), 2), [0, 1])
    for command in workers.make_commands(Path("run"), 2, environment):
        assert command["env"][threads.THREADS] == "3"
        assert command["env"][threads.VISIBLE] == "0,1"


# GPUs


@pytest.fixture
def gpus(monkeypatch, cores):
    """gpus(n): the machine has n of them."""
    return lambda count: monkeypatch.setattr("torch.cuda.device_count", lambda: count)


def choose(job: int | None, *overrides: str) -> list[int] | None:
    return threads.choose_gpus(compose_train(*overrides).trainer, job)


def test_jobs_spread_over_the_gpus_by_their_numbers(gpus):
    gpus(3)
    assert [choose(job) for job in range(5)] == [[0], [1], [2], [0], [1]]
    assert [choose(job, "trainer=ddp") for job in range(4)] == [[0, 1], [0, 2], [1, 2], [0, 1]]


@pytest.mark.parametrize(
    ("count", "job", "overrides"),
    [
        (4, None, ["trainer=auto"]),
        (0, 1, ["trainer=auto"]),
        (1, 1, ["trainer=gpu"]),
        (4, 1, ["trainer=cpu"]),
        (4, 1, ["trainer.devices=[2]"]),
        (4, 1, ["trainer.devices=-1"]),
        (4, 1, ["trainer.devices=auto"]),
        (2, 1, ["trainer=ddp", "trainer.devices=2"]),
    ],
)
def test_lightning_chooses_for_single_runs_and_where_there_is_no_choice(gpus, count, job, overrides):
    gpus(count)
    assert choose(job, *overrides) is None


@pytest.mark.parametrize(
    ("mode", "launcher", "number"),
    [(RunMode.RUN, "basic", None), (RunMode.MULTIRUN, "basic", None), (RunMode.MULTIRUN, "joblib", 3)],
)
def test_only_jobs_of_a_launcher_have_a_number(monkeypatch, mode, launcher, number):
    runtime = {"choices": {"hydra/launcher": launcher}}
    config = OmegaConf.create({"hydra": {"mode": mode, "runtime": runtime, "job": {"num": 3}}})
    monkeypatch.setattr(HydraConfig.instance(), "cfg", config)
    assert parallel_job_number() == number


def test_a_run_without_hydra_has_no_number(monkeypatch):
    """Such as the workers of a distributed run, or a run that is resumed."""
    monkeypatch.setattr(HydraConfig.instance(), "cfg", None)
    assert parallel_job_number() is None


@pytest.mark.parametrize(("trainer", "processes"), [("auto", 1), ("ddp", 2)])
def test_a_job_trains_on_its_gpus(gpus, monkeypatch, tmp_path, trainer, processes):
    """In its own process by Lightning's flag, in the processes of trainer=ddp by what they see."""
    gpus(4)
    monkeypatch.setenv(threads.VISIBLE, "4,5,6,7")
    monkeypatch.setattr("vaezoo.training.run.parallel_job_number", lambda: 3)
    devices = []

    def fit(config, *_):
        devices.append(list(config.trainer.devices))
        return {}

    def supervise(folder, count, environment):
        assert count == processes
        devices.append(environment[threads.VISIBLE])

    monkeypatch.setattr("vaezoo.training.run.fit_and_evaluate", fit)
    monkeypatch.setattr("vaezoo.training.workers.supervise", supervise)
    train(compose_train("dataset=digits", f"trainer={trainer}", "logger=csv", f"folder={tmp_path}"))
    assert devices == [{"auto": [3], "ddp": "6,7"}[trainer]]


def test_gpus_are_called_as_the_user_calls_them(gpus, monkeypatch):
    gpus(2)
    monkeypatch.setenv(threads.VISIBLE, "5,GPU-8932f937-d72c")
    assert threads.worker_environment(None, [1]) == {threads.VISIBLE: "GPU-8932f937-d72c"}


@pytest.mark.parametrize("seen", [None, "2,3", ""])
def test_gpus_that_a_launcher_hides_are_those_of_the_shell(cores, monkeypatch, seen):
    """Ray sets CUDA_VISIBLE_DEVICES= for a job that reserves none."""
    if seen is not None:
        monkeypatch.setenv(threads.VISIBLE, seen)
    threads.remember_shell()
    monkeypatch.setenv(threads.VISIBLE, "")
    threads.show_gpus()
    assert os.environ.get(threads.VISIBLE) == seen
    assert json.loads(os.environ[threads.SHELL]) == ({} if seen is None else {threads.VISIBLE: seen})


def test_gpus_that_a_cluster_gave_stay(cores, monkeypatch):
    threads.remember_shell()
    monkeypatch.setenv(threads.VISIBLE, "3")
    threads.show_gpus()
    assert os.environ[threads.VISIBLE] == "3"
