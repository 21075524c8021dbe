"""What a job holds in the memory of its process is released before the next job of its study begins."""

import gc
from typing import Any

from hydra.core.utils import JobReturn
from hydra.experimental.callback import Callback
from omegaconf import DictConfig


class FreeMemory(Callback):
    """Hydra calls it; conf/train.yaml says so."""

    def on_job_end(self, config: DictConfig, job_return: JobReturn, **kwargs: Any) -> None:
        # A launcher keeps what its jobs return, each with two copies of its configuration, to the end of the study.
        job_return.cfg = job_return.hydra_cfg = None
        # A trainer and its model refer to each other: their tensors, on a GPU too, stay until somebody looks.
        gc.collect()
