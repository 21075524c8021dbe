"""The launcher that trains several jobs of a study at the same time in this process; see `vaezoo.pack`.

Hydra imports this file whenever it starts, in whatever program, so what it needs is imported when it is used.
"""

import logging
import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from hydra.core.utils import JobReturn, configure_log, filter_overrides, run_job, setup_globals
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, open_dict

log = logging.getLogger(__name__)


class Packed(Launcher):
    """`jobs` at the same time; None: as many as the device has memory for."""

    def __init__(self, jobs: int | None) -> None:
        self.jobs = jobs

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.hydra_context, self.task_function, self.config = hydra_context, task_function, config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        from vaezoo import sharing
        from vaezoo.errors import UserError
        from vaezoo.packing import Pack

        if self.config.hydra.job.chdir or self.config.hydra.job.env_set:
            raise UserError("hydra.job.chdir and env_set belong to a process, and launcher=packed has but one.")
        setup_globals()
        configure_log(self.config.hydra.hydra_logging, self.config.hydra.verbose)
        Path(self.config.hydra.sweep.dir).mkdir(parents=True, exist_ok=True)
        log.info("Launching %d jobs in one process", len(job_overrides))
        works = [partial(self.run, list(line), number) for number, line in enumerate(job_overrides, initial_job_idx)]
        try:
            with sharing.gpus(self.config.trainer) as numbers:
                os.environ |= sharing.environment(None, numbers)  # the one that is chosen here is that of all jobs
                return Pack(works, self.jobs, self.config.callbacks.progress).run()
        finally:
            configure_log(self.config.hydra.hydra_logging, self.config.hydra.verbose)

    def run(self, overrides: list[str], number: int) -> JobReturn:
        """One job, as Hydra's own launcher runs it."""
        log.info("\t#%d : %s", number, " ".join(filter_overrides(overrides)))
        config = self.hydra_context.config_loader.load_sweep_config(self.config, overrides)
        with open_dict(config):
            config.hydra.job.id = config.hydra.job.num = number
        return run_job(
            hydra_context=self.hydra_context,
            task_function=self.task_function,
            config=config,
            job_dir_key="hydra.sweep.dir",
            job_subdir_key="hydra.sweep.subdir",
        )
