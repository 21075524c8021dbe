"""The share of a machine that a job of a study may use while other jobs run beside it: CPU threads and GPUs.

Launchers start jobs and divide little: loky and Ray set numbers of threads by rules of their own, Submitit sets none,
and Ray hides the GPUs. So each job sets its own share, whichever launcher has started it.
"""

import json
import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

from threadpoolctl import threadpool_limits

THREADS = "OMP_NUM_THREADS"
# All variables that limit threads; the last one also limits the processes that fit trees for scores.
LIMITS = (THREADS, "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "LOKY_MAX_CPU_COUNT")
VISIBLE = "CUDA_VISIBLE_DEVICES"
SHELL = "VAEZOO_SHELL"  # JSON of the user's own THREADS and VISIBLE, because launchers overwrite them in their jobs


def remember_shell() -> None:
    """Record the user's own settings for all jobs; call it in the process of the command, before any launcher."""
    os.environ[SHELL] = json.dumps(select_settings(os.environ))


def read_shell() -> dict[str, str]:
    """Return the user's own settings; on a machine that the command's environment does not reach, the present ones."""
    recorded = os.environ.get(SHELL)
    return select_settings(os.environ) if recorded is None else json.loads(recorded)


def select_settings(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables among THREADS and VISIBLE that are set."""
    return {name: environment[name] for name in (THREADS, VISIBLE) if name in environment}


def count_cores() -> int:
    """Return the cores that this process may use: clusters, containers and `taskset` may grant less than all."""
    granted = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(granted, int(os.environ.get("SLURM_CPUS_PER_TASK") or granted))


def count_threads(launcher: Any, processes: int = 1) -> int | None:
    """Return the CPU threads of each process of a job; None where the libraries choose by themselves.

    `launcher` is the node of the configuration; None in runs that were recorded without one.
    """
    jobs, threads = (1, None) if launcher is None else (launcher.jobs, launcher.threads)
    if threads is not None:
        return max(1, threads // processes)
    if number := re.match(r"\d+", read_shell().get(THREADS, "")):
        return int(number[0])
    return None if jobs * processes == 1 else max(1, count_cores() // (jobs * processes))


def take_share(launcher: Any) -> None:
    """Limit this process, a job, to its share of the cores, and let it see the GPUs that its launcher hides."""
    show_gpus()
    if (threads := count_threads(launcher)) is not None:
        limit_threads(threads)


def show_gpus() -> None:
    """Undo CUDA_VISIBLE_DEVICES="", which Ray sets for a job that reserves no GPU, because jobs choose by number."""
    if os.environ.get(VISIBLE) == "":
        del os.environ[VISIBLE]
        if VISIBLE in (settings := read_shell()):
            os.environ[VISIBLE] = settings[VISIBLE]


def limit_threads(threads: int) -> None:
    """Limit the libraries of this process, whatever they chose when they were loaded, and the processes it starts."""
    import torch

    os.environ |= worker_environment(threads, None)
    threadpool_limits(threads)
    torch.set_num_threads(threads)


def choose_gpus(trainer: Any, job: int | None) -> list[int] | None:
    """Return the GPUs of a job by their numbers among the visible ones, as Lightning counts them.

    Job n of a parallel study with d devices takes the d GPUs from n·d on, counted round the visible ones, so that jobs
    spread evenly. None leaves the choice to Lightning: `job` is None, which is a run by itself, or the configuration
    names the devices, asks for all of them, or for none.
    """
    devices = str(trainer.devices)
    if job is None or trainer.accelerator not in ("auto", "gpu", "cuda") or not devices.isdigit():
        return None
    import torch

    wanted, visible = int(devices), torch.cuda.device_count()
    if not 0 < wanted < visible:
        return None
    return sorted((job * wanted + place) % visible for place in range(wanted))


def worker_environment(threads: int | None, gpus: Sequence[int] | None) -> dict[str, str]:
    """Return the variables that give another process its threads and its GPUs, the latter by `choose_gpus`."""
    variables = {} if threads is None else dict.fromkeys(LIMITS, str(threads))
    if gpus is not None:
        names = os.environ.get(VISIBLE)
        variables[VISIBLE] = ",".join(names.split(",")[gpu] if names else str(gpu) for gpu in gpus)
    return variables
