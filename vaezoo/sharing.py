"""Jobs that run at the same time share a machine: its cores are divided among them, and they spread over its GPUs.

Launchers start jobs and divide little: loky and Ray set numbers of threads each by a rule of its own, Submitit sets
none, and nobody knows which GPU the neighbour uses. So each job sees to it itself, whoever has started it.
"""

import json
import os
import re
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from threadpoolctl import threadpool_limits

THREADS = "OMP_NUM_THREADS"
# What else limits threads, and, the last, the processes of scores that fit trees; joblib sets some of them.
LIMITS = (THREADS, "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "LOKY_MAX_CPU_COUNT")
VISIBLE = "CUDA_VISIBLE_DEVICES"
SHELL = "VAEZOO_SHELL"  # what the user has set of these; launchers put values of their own in its place

POLL = 1.0  # seconds between two looks whether it is one's turn


def remember_shell() -> None:
    """In the process of the command, before any launcher."""
    os.environ[SHELL] = json.dumps(of_shell((THREADS, VISIBLE), os.environ))


def of_shell(names: Sequence[str], environment: Any) -> dict[str, str]:
    return {name: environment[name] for name in names if name in environment}


def shell() -> dict[str, str]:
    """What the user has set; on a machine that knows nothing of the command, what is set."""
    said = os.environ.get(SHELL)
    return of_shell((THREADS, VISIBLE), os.environ) if said is None else json.loads(said)


def cores() -> int:
    """Those that this process may use: a cluster, a container or `taskset` may grant fewer than there are."""
    granted = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(granted, int(os.environ.get("SLURM_CPUS_PER_TASK") or granted))


def threads(launcher: Any, processes: int = 1) -> int | None:
    """CPU threads of each process of a job; None: what the libraries take by themselves."""
    jobs, asked = (1, None) if launcher is None else (launcher.jobs, launcher.threads)
    if asked is not None:
        return max(1, asked // processes)
    if given := re.match(r"\d+", shell().get(THREADS, "")):
        return int(given[0])
    return None if jobs * processes == 1 else max(1, cores() // (jobs * processes))


@contextmanager
def beside_others(launcher: Any, study: Path) -> Iterator[None]:
    """A job of a study, in its turn and with its share of the cores."""
    # Submitit's local executor begins with all jobs at once; the other launchers count.
    counted = os.environ.get("SUBMITIT_EXECUTOR") != "local"
    with nullcontext() if counted else turn(study / ".submitit", launcher.jobs):
        show_gpus()
        if (count := threads(launcher)) is not None:
            use_threads(count)
        yield


def show_gpus() -> None:
    """A launcher hides the GPUs from a job that was promised none; here a job takes its own (`gpus`)."""
    if os.environ.get(VISIBLE) == "":
        os.environ.pop(VISIBLE)
        os.environ |= of_shell((VISIBLE,), shell())


def environment(count: int | None, numbers: Sequence[int] | None) -> dict[str, str]:
    """What says it to another process: its threads, and the GPUs it may use, by their numbers among the visible."""
    said = {} if count is None else dict.fromkeys(LIMITS, str(count))
    if numbers is not None:
        given = os.environ.get(VISIBLE)
        said[VISIBLE] = ",".join(given.split(",")[number] if given else str(number) for number in numbers)
    return said


def use_threads(count: int) -> None:
    """In this process, whatever its libraries have found when they were loaded, and in those that it starts."""
    import torch

    os.environ |= environment(count, None)
    threadpool_limits(count)
    torch.set_num_threads(count)


@contextmanager
def turn(folder: Path, seats: int) -> Iterator[None]:
    """Waits until one of the seats is free. The system frees the seat of a process that was killed."""
    folder.mkdir(parents=True, exist_ok=True)
    locks = [FileLock(folder / f"seat{number}.lock") for number in range(seats)]
    while not (seat := next(filter(taken, locks), None)):
        time.sleep(POLL)
    try:
        yield
    finally:
        seat.release()


def taken(lock: FileLock) -> bool:
    """Whether the lock could be had; then it is held."""
    try:
        lock.acquire(blocking=False)
    except Timeout:
        return False
    return True


@contextmanager
def gpus(trainer: Any) -> Iterator[list[int] | None]:
    """The numbers of the GPUs that a run is to use, those with the fewest runs; None where there is nothing to choose.

    They are counted among those that the process sees, as Lightning does.
    """
    names = [] if trainer.accelerator not in ("auto", "gpu", "cuda") else visible_gpus()
    wanted = int(trainer.devices) if str(trainer.devices).isdigit() else 0
    if not 0 < wanted < len(names):  # all of them, none, or those that the user has named
        yield None
        return
    with least_loaded(names, wanted) as chosen:
        yield chosen


def visible_gpus() -> list[str]:
    """What identifies them on this machine."""
    import torch

    given = os.environ.get(VISIBLE, "")
    count = torch.cuda.device_count()
    names = given.split(",")[:count] if given else [str(number) for number in range(count)]
    return [re.sub(r"\W+", "_", name.strip()) for name in names]


@contextmanager
def least_loaded(names: Sequence[str], wanted: int) -> Iterator[list[int]]:
    """Which of the GPUs the fewest runs of this user are on; the run counts among them as long as it lasts.

    Each run holds a lock of its own, which the system frees when the process dies.
    """
    folder = Path(tempfile.gettempdir()) / f"vaezoo-gpus-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    with ExitStack() as held:
        with FileLock(folder / "choice.lock"):  # one after another
            load = {name: sum(map(is_held, folder.glob(f"gpu-{name}.*.lock"))) for name in names}
            chosen = sorted(range(len(names)), key=lambda number: load[names[number]])[:wanted]
            for number in chosen:
                file = folder / f"gpu-{names[number]}.{os.getpid()}.{time.monotonic_ns()}.lock"
                held.enter_context(FileLock(file))
                held.callback(file.unlink, missing_ok=True)
        yield sorted(chosen)


def is_held(file: Path) -> bool:
    """Whether a run still holds this lock; what a killed one has left is removed."""
    lock = FileLock(file)
    if not taken(lock):
        return True
    file.unlink(missing_ok=True)
    lock.release()
    return False
