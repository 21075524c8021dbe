"""The processes of a run that trains on several devices: started together, watched, and ended together.

The process that the user started does not train: it outlives whatever happens to the others and can say so. Each worker
reads the configuration of the run folder, so neither Hydra nor the command line is run again, also not in a sweep.
"""

import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from vaezoo.errors import UserError

GRACE = 15.0  # seconds in which the others may end by themselves once one has failed
SUPERVISOR = "VAEZOO_SUPERVISOR"  # its process number
COMMAND = "VAEZOO_COMMAND"  # that of the process which the user started


def worker_rank() -> int | None:
    """The number of this process among the workers of a run; None if it is no worker."""
    return int(os.environ["LOCAL_RANK"]) if SUPERVISOR in os.environ else None


def orphaned() -> bool:
    """Whether the process that this one belongs to is gone: a worker's supervisor, or the command of a job of joblib's.

    Jobs on Slurm are meant to outlive the command; Ray ends its own.
    """
    in_joblib = multiprocessing.current_process().name.startswith("Loky")
    parent = os.environ.get(SUPERVISOR) or (os.environ.get(COMMAND) if in_joblib else None)
    return parent is not None and os.getppid() != int(parent)


def supervise(folder: Path, processes: int, environment: Mapping[str, str]) -> int | None:
    """Train the run in `folder` on so many processes; None when all have ended well.

    `environment` is what each of them is told beside the usual. A signal that was passed on may meet the first worker
    while it starts or ends, when it cannot answer: returned, for the caller to do so.

    Raises UserError with the message of the one that failed first; ends with its status where that was a signal.
    """
    with ExitStack() as stack:
        workers = [stack.enter_context(running(command)) for command in commands(folder, processes, environment)]
        with forwarded(workers[0]) as received:
            failed = first_failure(workers, received)
    if -workers[0].returncode in received:
        return -workers[0].returncode
    logs = [log_of(folder, rank) for rank in range(1, processes)]
    if failed is None:
        for log in logs:
            log.unlink(missing_ok=True)
        return None
    status = workers[failed].returncode
    said = folder / "error.txt"
    if failed == 0 and status > 128:  # it was asked to stop, has saved and said so
        sys.exit(status)
    if failed == 0 and status == 2 and said.is_file():
        raise UserError(said.read_text().strip())
    name = signal.Signals(-status).name if status < 0 else f"status {status}"
    source = said if failed == 0 else log_of(folder, failed)
    lines = source.read_text().split("\n") if source.is_file() else []
    last = next((line for line in reversed(lines) if line.strip()), "it said nothing")
    raise UserError(f"Process {failed} of {processes} ended with {name}: {last} (see {source})")


def log_of(folder: Path, rank: int) -> Path:
    return folder / f"process_{rank}.log"


def commands(folder: Path, processes: int, environment: Mapping[str, str]) -> list[dict[str, Any]]:
    """How each worker is started. The first one speaks to the user, the others to files."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    common = {**os.environ, **environment, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "NODE_RANK": "0"}
    common |= {"WORLD_SIZE": str(processes), SUPERVISOR: str(os.getpid())}
    # find_unused_parameters is right for adversarial models and told off for all others.
    common.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    return [
        {
            "args": [sys.executable, "-m", "vaezoo.train", f"run={folder}"],
            "env": {**common, "LOCAL_RANK": str(rank)},
            "log": None if rank == 0 else log_of(folder, rank),
        }
        for rank in range(processes)
    ]


@contextmanager
def running(command: dict[str, Any]) -> Iterator[subprocess.Popen]:
    """A started process, which has ended when the context does."""
    with ExitStack() as stack:
        log = command["log"] and stack.enter_context(command["log"].open("w"))
        # In a session of its own: Ctrl-C reaches the supervisor alone, which passes it on once.
        streams: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": log, "stderr": log}
        process = subprocess.Popen(command["args"], env=command["env"], start_new_session=True, **streams)
        try:
            yield process
        finally:
            process.kill()
            process.wait()


@contextmanager
def forwarded(process: subprocess.Popen) -> Iterator[list[int]]:
    """SIGINT and SIGTERM go to that process, which decides for all; those that came."""
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


def first_failure(workers: Sequence[subprocess.Popen], received: Sequence[int]) -> int | None:
    """Waits until all have ended, or a while after one has failed; who that was, None if all went well.

    Once the first has ended after a signal was `received`, nobody waits: the others keep nothing, and may be about to
    meet it.

    One that was killed is the cause where others fail at the same moment, since they lose their connection to it.
    """
    failed: list[int] = []
    deadline = float("inf")
    while any(worker.poll() is None for worker in workers) and time.monotonic() < deadline:
        if received and workers[0].returncode is not None:
            break
        time.sleep(0.1)
        if not failed and (failed := [rank for rank, worker in enumerate(workers) if worker.returncode]):
            deadline = time.monotonic() + GRACE
    failed = failed or [rank for rank, worker in enumerate(workers) if worker.returncode]
    return min(failed, key=lambda rank: workers[rank].returncode >= 0) if failed else None
