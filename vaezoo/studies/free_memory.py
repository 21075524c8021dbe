"""Free the memory of a job before the next job of its study begins in the same process."""

import gc
from typing import Any

from hydra.core.utils import JobReturn
from hydra.experimental.callback import Callback
from omegaconf import DictConfig


class FreeMemory(Callback):
    """A callback of Hydra, named in conf/train.yaml, that frees what a finished job leaves in memory."""

    def on_job_end(self, config: DictConfig, job_return: JobReturn, **kwargs: Any) -> None:
        """Drop the configurations of the job, and collect its trainer and model."""
        # A launcher holds what its jobs return, each with two copies of its configuration, until the study ends.
        job_return.cfg = job_return.hydra_cfg = None
        # A trainer and its model refer to each other, so their tensors, on a GPU too, stay until a collection.
        gc.collect()
