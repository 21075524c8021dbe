"""The processes of a run that trains on several devices: started together, watched, and ended together.

The process that the user started, the supervisor, does not train: it outlives whatever happens to the others and can
report it. Each worker reads the configuration of the run folder, so neither Hydra nor the command line is run again,
also not in a sweep.

torchrun or Slurm's srun may start the processes instead, on several machines. The first of them then reads the command
line and announces the folder of the run; the others wait for it, and train with the configuration that lies there.
"""

import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from pathlib import Path
from types import FrameType
from typing import Any

from vaezoo.errors import UserError

GRACE = 15.0  # seconds in which the others may end by themselves once one has failed
MOMENT = 3.0  # seconds in which the first worker may end by itself after a second signal
SUPERVISOR = "VAEZOO_SUPERVISOR"  # the number of the supervisor's process, in its workers
TORCHRUN = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")  # variables of the processes of torchrun
KILLED = getattr(signal, "SIGKILL", None)  # which Windows lacks
FOLDER = "vaezoo/folder"  # a key of the store that these processes share
COMMAND = "VAEZOO_COMMAND"  # the number of the process that the user started, in the jobs of a study


@dataclass(frozen=True)
class Place:
    """The place of a process among those that torchrun or srun has started for one run."""

    rank: int  # from 0
    processes: int  # on all machines
    local_processes: int  # on this machine


def find_place() -> Place | None:
    """Return the place of this process among those that torchrun or srun has started; None where there are no others.

    Raises UserError for processes that are not equally many on all machines.
    """
    if SUPERVISOR in os.environ:
        return None
    if "RANK" not in os.environ and int(os.environ.get("SLURM_STEP_NUM_TASKS") or 1) > 1:
        os.environ.update(describe_task(os.environ))
    if not all(name in os.environ for name in TORCHRUN) or int(os.environ["WORLD_SIZE"]) == 1:
        return None
    processes, local = int(os.environ["WORLD_SIZE"]), int(os.environ.get("LOCAL_WORLD_SIZE") or 1)
    if processes % local or int(os.environ["LOCAL_RANK"]) >= local:
        raise UserError(
            f"WORLD_SIZE={processes}, LOCAL_WORLD_SIZE={local}, LOCAL_RANK={os.environ['LOCAL_RANK']}: each machine"
            " must have the same number of processes, and LOCAL_WORLD_SIZE must be that number."
        )
    return Place(int(os.environ["RANK"]), processes, local)


def describe_task(task: Mapping[str, str]) -> dict[str, str]:
    """Return torchrun's variables for a task of Slurm that srun has started. Those that are set already stay.

    Raises UserError where the machines have different numbers of tasks.
    """
    from lightning_fabric.plugins.environments import SLURMEnvironment

    tasks = task["SLURM_STEP_TASKS_PER_NODE"]  # such as 4(x2): 4 tasks on each of 2 machines
    if "," in tasks:
        raise UserError(f"srun has started {tasks} tasks on the machines: each must have the same number of them.")
    variables = {
        "RANK": task["SLURM_PROCID"],
        "WORLD_SIZE": task["SLURM_STEP_NUM_TASKS"],
        "LOCAL_RANK": task["SLURM_LOCALID"],
        "LOCAL_WORLD_SIZE": tasks.partition("(")[0],
        "GROUP_RANK": task["SLURM_NODEID"],
        "MASTER_ADDR": SLURMEnvironment.resolve_root_node_address(task["SLURM_STEP_NODELIST"]),
        "MASTER_PORT": str(15000 + int(task["SLURM_JOB_ID"]) % 10000),
    }
    return {name: task.get(name, value) for name, value in variables.items()}


def worker_rank() -> int | None:
    """Return the number of this process among the workers of a run; None if it is no worker.

    The first of the processes that torchrun or srun has started is no worker, because it reads the command line.
    """
    if SUPERVISOR in os.environ:
        return int(os.environ["LOCAL_RANK"])
    place = find_place()
    return place.rank if place is not None and place.rank > 0 else None


@cache
def meet() -> Any:
    """Return the store of torch.distributed that the processes share, which the first of them or torchrun serves."""
    from torch.distributed import rendezvous

    return next(rendezvous("env://"))[0]


def announce(folder: Path) -> None:
    """Let the other processes train the run in this folder, whose configuration is there."""
    meet().set(FOLDER, str(folder))


def wait_for_folder() -> Path | None:
    """Return the folder that the first process announces; None where it ends without training."""
    folder = meet().get(FOLDER).decode()
    meet().set(f"{FOLDER}/{os.environ['RANK']}", "seen")
    return Path(folder) if folder else None


@contextmanager
def releasing_others(place: Place | None) -> Iterator[None]:
    """Run the body, the work of the first process; if it ends without announcing a folder, let the others end, too."""
    try:
        yield
    finally:
        if place is not None and not meet().check([FOLDER]):
            meet().set(FOLDER, "")
            with suppress(Exception):  # They may be gone; torch has several errors for that.
                meet().wait([f"{FOLDER}/{rank}" for rank in range(1, place.processes)], timedelta(seconds=60))


def is_orphaned() -> bool:
    """Return whether the process that this one belongs to is gone: a worker's supervisor, or the command of a study.

    The latter counts for jobs of joblib alone: jobs on Slurm are meant to outlive the command, and Ray ends its own.
    """
    in_joblib = multiprocessing.current_process().name.startswith("Loky")
    parent = os.environ.get(SUPERVISOR) or (os.environ.get(COMMAND) if in_joblib else None)
    return parent is not None and os.getppid() != int(parent)


def supervise(folder: Path, processes: int, environment: Mapping[str, str]) -> int | None:
    """Train the run in `folder` in so many processes, and return None when all have ended well.

    `environment` are further variables for each of them. A signal is passed on to the first worker. If it ends by that
    signal, because it cannot answer while it starts or ends, the signal's number is returned for the caller to answer.

    Raises UserError with the message of the worker that failed first. Exits with its status if that was a signal.
    """
    with ExitStack() as stack:
        workers = [stack.enter_context(running(command)) for command in make_commands(folder, processes, environment)]
        with signals_passed_on(workers[0]) as received:
            failed = wait_for_all(workers, received)
    if received and -workers[0].returncode in (*received, KILLED) and not failed:
        return received[0]
    logs = [log_path(folder, rank) for rank in range(1, processes)]
    if failed is None:
        for log in logs:
            log.unlink(missing_ok=True)
        return None
    status = workers[failed].returncode
    error_file = folder / "error.txt"
    if failed == 0 and status > 128:  # It was asked to stop, has saved, and has written why.
        sys.exit(status)
    if failed == 0 and status == 2 and error_file.is_file():
        raise UserError(error_file.read_text(encoding="utf-8").strip())
    name = signal.Signals(-status).name if status < 0 else f"status {status}"
    source = error_file if failed == 0 else log_path(folder, failed)
    lines = source.read_text(encoding="utf-8").split("\n") if source.is_file() else []
    last = next((line for line in reversed(lines) if line.strip()), "it wrote nothing")
    raise UserError(f"Process {failed} of {processes} ended with {name}: {last} (see {source})")


def log_path(folder: Path, rank: int) -> Path:
    return folder / f"process_{rank}.log"


def make_commands(folder: Path, processes: int, environment: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return how to start each worker. The first one writes to the terminal, the others to files."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    # Slurm's tasks are not these processes; Lightning would take the one for the other.
    inherited = {name: value for name, value in os.environ.items() if name != "SLURM_NTASKS"}
    common = {**inherited, **environment, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "NODE_RANK": "0"}
    common |= {"WORLD_SIZE": str(processes), SUPERVISOR: str(os.getpid())}
    # So that workers import what this process can: plug-ins of the command line, or what a notebook has added.
    common["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
    # DDP warns about find_unused_parameters for ordinary models, but adversarial models need it.
    common.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    return [
        {
            "args": [sys.executable, "-m", "vaezoo.train", f"run={folder}"],
            "env": {**common, "LOCAL_RANK": str(rank)},
            "log": None if rank == 0 else log_path(folder, rank),
        }
        for rank in range(processes)
    ]


@contextmanager
def running(command: dict[str, Any]) -> Iterator[subprocess.Popen]:
    """Start a process, which has ended when the context does."""
    with ExitStack() as stack:
        log = command["log"] and stack.enter_context(command["log"].open("w", encoding="utf-8"))
        # In a session of its own: Ctrl-C reaches the supervisor alone, which passes it on once.
        streams: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": log, "stderr": log}
        process = subprocess.Popen(command["args"], env=command["env"], start_new_session=True, **streams)
        try:
            yield process
        finally:
            process.kill()
            process.wait()


@contextmanager
def signals_passed_on(process: subprocess.Popen) -> Iterator[list[int]]:
    """Pass SIGINT and SIGTERM on to that process, which decides for all; yield the list of those that came."""
    received: list[int] = []

    def pass_on(number: int, _: FrameType | None) -> None:
        received.append(number)
        process.send_signal(number)

    try:
        before = {number: signal.signal(number, pass_on) for number in (signal.SIGINT, signal.SIGTERM)}
    except ValueError:  # Python allows handlers in the main thread alone
        before = {}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def wait_for_all(workers: Sequence[subprocess.Popen], received: Sequence[int]) -> int | None:
    """Wait until all workers have ended, or a while after one has failed; return the one that failed first, or None.

    Once the first worker has ended after a signal was `received`, there is nothing to wait for: the others leave no
    trace, and may still be about to connect to it. After a second signal it has a moment to end, because it cannot
    answer while it waits for a connection.

    A worker that was killed is the cause where others fail at the same moment, since they lose their connection to it.
    """
    failed: list[int] = []
    deadline = float("inf")
    while None in [worker.poll() for worker in workers] and time.monotonic() < deadline:
        if received and workers[0].returncode is not None:
            break
        if len(received) > 1:
            deadline = min(deadline, time.monotonic() + MOMENT)
        time.sleep(0.1)
        if not failed and (failed := [rank for rank, worker in enumerate(workers) if worker.returncode]):
            deadline = time.monotonic() + GRACE
    failed = failed or [rank for rank, worker in enumerate(workers) if worker.returncode]
    return min(failed, key=lambda rank: workers[rank].returncode >= 0) if failed else None
