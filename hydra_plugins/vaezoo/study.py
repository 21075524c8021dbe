"""The sweepers that Hydra calls for a multirun of `python -m vaezoo.train`; Hydra finds plugins in this package only.

Every program that uses Hydra imports this file when it starts, so that the parts of vaezoo are imported when used.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra.core.plugins import Plugins
from hydra.errors import CompactHydraException
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


class Study(Sweeper):
    """A sweeper that launches the jobs of a study that are not finished; see `vaezoo.studies.study`."""

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Build the launcher that the configuration names."""
        self.config = config
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> Sequence[Any]:
        """Run the study, and return what its jobs returned. Raises CompactHydraException unless all are finished."""
        from vaezoo.errors import UserError, describe_write_error
        from vaezoo.studies import study

        def launch(jobs: list[list[str]]) -> Sequence[Any]:
            return self.launcher.launch(jobs, initial_job_idx=0)

        try:
            return study.run_study(self.config, arguments, launch)
        except UserError as error:
            raise CompactHydraException(f"vaezoo: {error}") from None
        except OSError as error:
            if (reason := describe_write_error(error)) is None:
                raise
            raise CompactHydraException(f"vaezoo: {reason} The same command goes on.") from None


class Search(Study):
    """A sweeper that lets Optuna choose the jobs; each trial is a job of the study."""

    def __init__(self, **options: Any) -> None:
        self.options = options

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Build the launcher, and Optuna's sweeper with this object in place of its launcher."""
        from hydra_plugins.hydra_optuna_sweeper.optuna_sweeper import OptunaSweeper

        super().setup(hydra_context=hydra_context, task_function=task_function, config=config)
        self.searcher = OptunaSweeper(**self.options)
        self.searcher.setup(hydra_context=hydra_context, task_function=task_function, config=config)
        self.searcher.sweeper.launcher = self
        self.jobs: list[Any] = []

    def launch(self, jobs: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[Any]:
        """Launch the trials that Optuna requests, and return their scores; finished jobs return theirs at once."""
        from vaezoo.studies import study

        self.jobs += study.add_trials(self.config, jobs)
        return self.launcher.launch(jobs, initial_job_idx=initial_job_idx)

    def sweep(self, arguments: list[str]) -> None:
        """Search, then print the states of all trials. Raises CompactHydraException unless all are finished."""
        from vaezoo.studies import study

        self.searcher.sweep(arguments)
        study.report_states(Path(self.config.hydra.sweep.dir), self.jobs, {})
