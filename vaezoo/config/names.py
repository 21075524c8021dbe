"""Names of jobs, of their folders and of studies, made from their overrides."""

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig


def folder_name(overrides: str) -> str:
    """A job's overrides as the name of its folder, without '=' and ','."""
    name = re.sub(r"[^\w.+\-]+", "_", overrides.replace("=", "-")).strip("_") or "defaults"
    if len(name) > 150:  # file systems allow 255 bytes
        name = f"{name[:140]}-{hashlib.sha256(name.encode()).hexdigest()[:9]}"
    return name


def job_name(lines: Sequence[str], keys: Sequence[str]) -> str:
    """Those of its overrides that tell a job from the others of its study."""
    return ",".join(line for line in lines if line.partition("=")[0].lstrip("+~") in keys)


def job_folder(name: str, identity: str) -> str:
    """Its name, and eight digits of its identity: what was trained otherwise lies elsewhere."""
    return f"{folder_name(name)}-{identity[:8]}"


def own_name(config: DictConfig) -> str:
    """The name of the job that is going on; that of a single run has all its overrides."""
    lines = list(HydraConfig.get().overrides.task)
    return job_name(lines, config.sweep.over) if in_study() else ",".join(lines)


def in_study() -> bool:
    return HydraConfig.get().mode == RunMode.MULTIRUN


def parallel_job_number() -> int | None:
    """Return the number of this job among the jobs that a launcher runs at the same time; None for any other run."""
    if not HydraConfig.initialized() or not in_study():
        return None
    hydra = HydraConfig.get()
    return None if hydra.runtime.choices["hydra/launcher"] == "basic" else hydra.job.num


def study_name() -> str | None:
    """What the jobs of one multirun have in common, its folder; None for a single run."""
    return Path(HydraConfig.get().sweep.dir).name if in_study() else None
