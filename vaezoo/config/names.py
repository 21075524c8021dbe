"""Name jobs, their folders and studies after their overrides."""

import hashlib
import itertools
import re
from collections.abc import Sequence
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

DEFAULTS = "defaults"  # the name of a job that differs from the defaults, or from other jobs, in nothing


def make_folder_name(overrides: str) -> str:
    """Return overrides as the name of a folder, without "=" and ",", of at most 150 characters."""
    name = re.sub(r"[^\w.+\-]+", "_", overrides.replace("=", "-")).strip("_") or DEFAULTS
    if len(name) > 150:  # because file systems allow 255 bytes
        name = f"{name[:140]}-{hashlib.sha256(name.encode()).hexdigest()[:9]}"
    return name


def name_job(lines: Sequence[str], keys: Sequence[str]) -> str:
    """Return the overrides that distinguish a job within its study: those of the swept `keys`."""
    return ",".join(line for line in lines if line.partition("=")[0].lstrip("+~") in keys) or DEFAULTS


def name_job_folder(name: str, training_id: str) -> str:
    """Return the name of a job's folder; the training id in it separates jobs that differ elsewhere than in `name`."""
    return f"{make_folder_name(name)}-{training_id[:8]}"


def name_current_job(config: DictConfig) -> str:
    """Return the name of the job that Hydra is running; that of a single run has all its overrides."""
    lines = list(HydraConfig.get().overrides.task)
    return name_job(lines, config.sweep.over) if is_in_study() else ",".join(lines) or DEFAULTS


def is_in_study() -> bool:
    """Return whether the current job is one of a study."""
    return HydraConfig.get().mode == RunMode.MULTIRUN


def parallel_job_number() -> int | None:
    """Return the number of this job among the jobs that a launcher runs at the same time; None for any other run."""
    if not HydraConfig.initialized() or not is_in_study():
        return None
    hydra = HydraConfig.get()
    return None if hydra.runtime.choices["hydra/launcher"] == "basic" else hydra.job.num


def make_new_folder(name: str) -> str:
    """Make a folder of that name, or of the name with -2, -3, ... if another run has it already; return its name."""
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    for number in itertools.count(1):
        folder = name if number == 1 else f"{name}-{number}"
        try:
            Path(folder).mkdir()
            return folder
        except FileExistsError:  # Only one of two runs that begin in the same second can make it.
            continue
    raise AssertionError("count() does not end")


def name_current_study() -> str | None:
    """Return the name of the folder of the current study; None for a single run."""
    return Path(HydraConfig.get().sweep.dir).name if is_in_study() else None
