"""Several processes: the same steps as one, whatever the model; started, interrupted and ended together."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from multiprocessing import get_context
from pathlib import Path

import pytest
import torch

from tests.support.configuration import compose_train
from tests.support.together import CASES, SHARING, compose_case, list_overrides, save_results, train
from vaezoo.config.values import check_config
from vaezoo.errors import UserError
from vaezoo.runs.folder import read_history, read_state
from vaezoo.training import run as training_run
from vaezoo.training import workers

# Weights in front of a batch normalisation that have no gradient but rounding, which Adam makes steps of.
WITHOUT_GRADIENT = ("infogan", "bigan batch norm")


def free_port() -> str:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return str(found.getsockname()[1])


@pytest.mark.parametrize(
    ("count", "cases"),
    [
        pytest.param(2, SHARING, id="2"),
        pytest.param(2, list(CASES), id="2, every model", marks=pytest.mark.slow),
        pytest.param(4, list(CASES), id="4, every model", marks=pytest.mark.slow),
    ],
)
def test_processes_make_the_steps_of_one(count, cases, tmp_path):
    """Ten steps in double precision: the terms, and the weights after them."""
    for case in cases:
        compose_case(case, *list_overrides(count))  # which a process that is copied from this one has, too
    ranks, port = range(count), free_port()
    workers = [
        get_context("fork").Process(target=save_results, args=(cases, count, rank, port, tmp_path)) for rank in ranks
    ]
    for worker in workers:
        worker.start()
    alone = {case: train(case, "trainer=cpu") for case in cases}
    for worker in workers:
        worker.join(600)
    assert [worker.exitcode for worker in workers] == [0] * count
    for case, expected in alone.items():
        first, *others = (torch.load(tmp_path / f"{case} {rank}.pt") for rank in ranks)
        for name, weight in expected["weights"].items():
            assert all(torch.equal(first["weights"][name], other["weights"][name]) for other in others), (case, name)
            if not case.startswith(WITHOUT_GRADIENT):
                torch.testing.assert_close(first["weights"][name], weight, rtol=1e-8, atol=1e-8, msg=f"{case}: {name}")
        assert len(first["terms"]) == len(expected["terms"])
        for step, (found, known) in enumerate(zip(first["terms"], expected["terms"], strict=True)):
            assert found.keys() == known.keys()
            # A mean of shares is not the share of the means, and a speed is none of the objective.
            for key in [key for key in known if "kl_share" not in key and "per_second" not in key]:
                assert found[key] == pytest.approx(known[key], rel=1e-7, abs=1e-8), (case, step, key)


# ---- the command -------------------------------------------------------------------------------------------------

LINE = [
    "dataset=digits",
    "model=factorvae",
    "model.discriminator.hidden=[50,50]",
    "dataset.batch_size=16",
    "log_every=10",
    "val_every=20",
    "figure=none",
    "metric=none",
    "logger=csv",
    "callbacks.progress=false",
    "trainer.precision=64-true",
]
TOGETHER = ["trainer=ddp", "trainer.accelerator=cpu"]


def start(*line: str) -> subprocess.Popen:
    command = [sys.executable, "-m", "vaezoo.train", *line]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def run(*line: str) -> str:
    process = start(*line)
    said, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    return said


def run_here(*line: str, folder: str) -> None:
    """A run of this process, without Hydra's own files."""
    training_run.train(compose_train(*LINE, *line, f"folder={folder}"))


def weights(folder: str) -> dict[str, torch.Tensor]:
    return torch.load(Path(folder, "checkpoints", "last.ckpt"), weights_only=True)["state_dict"]


def assert_same_run(folder: str, other: str) -> None:
    one, two = weights(folder), weights(other)
    for name in one:
        torch.testing.assert_close(one[name], two[name], rtol=1e-7, atol=1e-9, msg=name)
    logged, again = read_history(Path(folder)), read_history(Path(other))
    assert logged.keys() == again.keys()
    for key in [key for key in logged if "kl_share" not in key and "per_second" not in key]:
        assert logged[key][0].tolist() == again[key][0].tolist()
        assert logged[key][1] == pytest.approx(again[key][1], rel=1e-7), key


@pytest.mark.slow
def test_a_job_of_a_sweep_on_two_processes(in_tmp):
    """In its own folder, with the files and the numbers of a run on one process."""
    run("-m", *LINE, *TOGETHER, "max_batches=25", "seed=1", "hydra.sweep.dir=many", "hydra.sweep.subdir=${seed}")
    run_here("trainer=cpu", "max_batches=25", "seed=1", folder="one")
    assert_same_run("many/1", "one")
    files = [{path.relative_to(root) for path in Path(root).rglob("*.*")} for root in ("many/1", "one")]
    of_hydra = {Path("train.log"), Path(".hydra/hydra.yaml"), Path(".hydra/overrides.yaml")}
    assert files[0] - of_hydra - {Path(".worker.lock")} == files[1]


def children(process: subprocess.Popen) -> list[int]:
    """The workers in the order of their numbers."""
    found = subprocess.run(["ps", "--ppid", str(process.pid), "-o", "pid="], capture_output=True, text=True).stdout
    return sorted(map(int, found.split()))


def wait_for(path: Path, process: subprocess.Popen) -> None:
    """Wait until a process has written a file."""
    deadline = time.monotonic() + 120
    while not path.exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)


ENDLESS = ["max_batches=1000000", "callbacks.checkpoints.batches=13", "hydra.run.dir=cut"]


def assert_resumed_to_the_same_run() -> None:
    """Resume the run in the folder "cut", and assert that it ends as one that was never cut."""
    budget = f"max_batches={int(weights('cut')['batches']) + 15}"
    run("run=cut", budget)
    run_here("trainer=cpu", budget, folder="whole")
    assert_same_run("cut", "whole")


@pytest.mark.slow
def test_interrupted_together_and_resumed_to_the_same_run(in_tmp):
    process = start(*LINE, *TOGETHER, *ENDLESS)
    wait_for(Path("cut/checkpoints/last.ckpt"), process)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM
    assert "go on with: python -m vaezoo.train run=cut" in errors
    assert "SIGTERM" in Path("cut/error.txt").read_text(encoding="utf-8")
    assert_resumed_to_the_same_run()


def test_the_death_of_one_process_ends_the_run_with_its_name(in_tmp):
    process = start(*LINE, *TOGETHER, *ENDLESS)
    wait_for(Path("cut/checkpoints/last.ckpt"), process)
    workers = children(process)
    os.kill(workers[1], signal.SIGKILL)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 2
    assert re.search(r"vaezoo: Process 1 of 2 ended with SIGKILL", errors)
    assert "Traceback" not in errors, "that the other has lost its connection says nothing"
    assert "Process 1 of 2" in Path("cut/error.txt").read_text(encoding="utf-8")
    assert not any(Path(f"/proc/{worker}").exists() for worker in workers)


def sleeping(*seconds: float) -> list[subprocess.Popen]:
    return [subprocess.Popen(["sleep", str(number)]) for number in seconds]


def test_the_death_of_any_process_is_noticed_while_the_first_one_lives(monkeypatch):
    monkeypatch.setattr(workers, "GRACE", 0.2)
    processes = sleeping(60, 60, 60)
    processes[1].kill()
    assert workers.wait_for_all(processes, []) == 1
    assert processes[0].poll() is None, "which the caller ends"
    for process in processes:
        process.kill()
        process.wait()


def test_a_second_signal_ends_a_process_that_does_not_answer(monkeypatch):
    monkeypatch.setattr(workers, "MOMENT", 0.2)
    (process,) = sleeping(60)
    assert workers.wait_for_all([process], [signal.SIGINT, signal.SIGINT]) is None
    process.kill()
    process.wait()


def test_tasks_of_slurm_are_not_taken_for_our_processes(monkeypatch):
    monkeypatch.setenv("SLURM_NTASKS", "1")
    commands = workers.make_commands(Path("run"), 2, {})
    assert [command["env"]["LOCAL_RANK"] for command in commands] == ["0", "1"]
    assert not any("SLURM_NTASKS" in command["env"] for command in commands)


# ---- processes that torchrun or srun has started -----------------------------------------------------------------

TORCHRUN = {"RANK": "5", "WORLD_SIZE": "8", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "4", "GROUP_RANK": "1"}
TORCHRUN |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29500"}
SRUN = {"SLURM_PROCID": "5", "SLURM_STEP_NUM_TASKS": "8", "SLURM_LOCALID": "1", "SLURM_NODEID": "1"}
SRUN |= {"SLURM_STEP_TASKS_PER_NODE": "4(x2)", "SLURM_STEP_NODELIST": "gpu[07-08]", "SLURM_JOB_ID": "120345"}


@pytest.fixture
def set_environment(monkeypatch):
    """Return a function that gives this process these variables, and no others of torchrun or Slurm."""
    names = [name for name in os.environ if name.startswith("SLURM_")]
    for name in (*names, *TORCHRUN, workers.SUPERVISOR):
        monkeypatch.setenv(name, "")  # so that what find_place sets is taken back, too
        monkeypatch.delenv(name)

    def set_variables(variables):
        for name, value in variables.items():
            monkeypatch.setenv(name, value)

    return set_variables


@pytest.mark.parametrize("variables", [TORCHRUN, SRUN], ids=["torchrun", "srun"])
def test_a_process_takes_its_place_from_those_who_started_it(variables, set_environment):
    set_environment(variables)
    assert workers.find_place() == workers.Place(rank=5, processes=8, local_processes=4)
    assert workers.worker_rank() == 5
    assert {name: os.environ[name] for name in TORCHRUN if not name.startswith("MASTER")} == {
        name: value for name, value in TORCHRUN.items() if not name.startswith("MASTER")
    }
    assert os.environ["MASTER_ADDR"] == ("127.0.0.1" if variables is TORCHRUN else "gpu07")


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {**TORCHRUN, "RANK": "0", "WORLD_SIZE": "1", "LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "1"},
        {"RANK": "3", "WORLD_SIZE": "4"},  # others than torchrun set these two, too
        {"SLURM_NTASKS": "8", "SLURM_PROCID": "0"},  # in the script of sbatch, which one process runs
        {**TORCHRUN, workers.SUPERVISOR: "1"},
    ],
)
def test_a_process_by_itself_starts_others_by_itself(variables, set_environment):
    set_environment(variables)
    assert workers.find_place() is None


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({**TORCHRUN, "LOCAL_WORLD_SIZE": "3"}, "each machine must have the same number of processes"),
        ({**TORCHRUN, "LOCAL_WORLD_SIZE": ""}, "LOCAL_RANK=1: .* LOCAL_WORLD_SIZE must be that number"),
        ({**SRUN, "SLURM_STEP_TASKS_PER_NODE": "4,4"}, "srun has started 4,4 tasks on the machines"),
    ],
)
def test_machines_have_equally_many_processes(variables, message, set_environment):
    set_environment(variables)
    with pytest.raises(UserError, match=message):
        workers.find_place()


def start_on_two_machines(*line: str) -> list[subprocess.Popen]:
    """Start the same command on two "machines", which have this one's address, as torchrun does."""
    common = {**os.environ, **TORCHRUN, "MASTER_PORT": free_port(), "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "1"}
    command = [sys.executable, "-m", "vaezoo.train", *line]
    places = [{"RANK": rank, "GROUP_RANK": rank, "LOCAL_RANK": "0"} for rank in ("0", "1")]
    pipe = subprocess.PIPE
    folders = [Path(f"machine_{rank}") for rank in range(2)]
    for folder in folders:
        folder.mkdir(exist_ok=True)
    return [
        subprocess.Popen(command, env={**common, **place}, cwd=folder, stdout=pipe, stderr=pipe, text=True)
        for place, folder in zip(places, folders, strict=True)
    ]


@pytest.mark.slow
def test_a_run_on_two_machines_is_the_run_of_one(in_tmp):
    """Only the first process writes, and the others end when there is nothing to train."""
    line = [*LINE, *TOGETHER, "max_batches=25", "seed=1", f"hydra.run.dir={in_tmp}/together"]
    processes = start_on_two_machines(*line)
    outputs = [process.communicate(timeout=300) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], outputs
    assert outputs[1][0] == ""
    run_here("trainer=cpu", "max_batches=25", "seed=1", folder="one")
    assert_same_run("together", "one")
    assert not list(Path("machine_0").iterdir())
    assert not list(Path("machine_1").iterdir())
    for more, status, message in ([], 0, "is finished"), (["modle=x"], 2, "Did you mean 'model'"):
        processes = start_on_two_machines(*line, *more)
        outputs = [process.communicate(timeout=300) for process in processes]
        assert [process.returncode for process in processes] == [status, 0], outputs
        assert message in "".join(outputs[0])


@pytest.mark.parametrize("number", [pytest.param(signal.SIGTERM, marks=pytest.mark.slow), signal.SIGINT])
def test_interrupted_while_the_first_process_starts(number, in_tmp):
    """It would answer once Lightning is imported, seconds after it has taken its lock."""
    process = start(*LINE, *TOGETHER, "max_batches=1000000", "hydra.run.dir=cut")
    wait_for(Path("cut/.worker.lock"), process)
    workers = children(process)
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 128 + number, errors
    assert errors.split("\n")[1:] == [f"interrupted by {number.name}; go on with: python -m vaezoo.train run=cut", ""]
    assert read_state(Path("cut")) == "stopped"
    assert not any(Path(f"/proc/{worker}").exists() for worker in workers)


@pytest.mark.slow
def test_a_term_that_is_not_finite_is_named_once(in_tmp):
    process = start(*LINE, *TOGETHER, "max_batches=100", "optimizer.lr=1e30", "hydra.run.dir=bad")
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 2
    assert re.search(r"vaezoo: The term .* was not finite at batch \d+", errors)
    assert "was not finite" in Path("bad/error.txt").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        (["trainer.devices=2"], "trainer.devices=2: this trainer uses one device; several: trainer=ddp"),
        ([*TOGETHER, "trainer.devices=3"], r"dataset.batch_size=16 .* must be divisible by 3"),
        ([*TOGETHER, "dataset.val_images=41"], r"dataset.val_images=41 .* must be divisible by 2"),
        ([*TOGETHER, "dataset.val_images=42"], r"val_images=42: FactorVAE .* must be divisible by 4"),
        (["dataset.val_images=41"], r"val_images=41: FactorVAE .* must be divisible by 2"),
        ([*TOGETHER, "trainer.devices=0"], "needs a number of processes"),
        ([*TOGETHER, "trainer.devices=auto"], "needs a number of processes"),
    ],
)
def test_processes_that_cannot_share_a_batch(line, complaint):
    with pytest.raises(UserError, match=complaint):
        check_config(compose_train(*LINE, *line))
