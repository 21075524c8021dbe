"""What Hydra calls for a multirun of `python -m vaezoo.train`; Hydra finds plugins in this place only.

Hydra imports this file whenever it starts, in whatever program, so what it needs is imported when it is used.
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
    """Launches the jobs of a study that are not finished yet; see `vaezoo.studies.study`."""

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.config = config
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> Sequence[Any]:
        from vaezoo.errors import UserError
        from vaezoo.studies import study

        def launch(jobs: list[list[str]]) -> Sequence[Any]:
            return self.launcher.launch(jobs, initial_job_idx=0)

        try:
            return study.conduct(self.config, arguments, launch)
        except UserError as error:
            raise CompactHydraException(f"vaezoo: {error}") from None


class Search(Study):
    """Optuna's sweeper, each of whose trials is a job of the study."""

    def __init__(self, **options: Any) -> None:
        self.options = options

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        from hydra_plugins.hydra_optuna_sweeper.optuna_sweeper import OptunaSweeper

        super().setup(hydra_context=hydra_context, task_function=task_function, config=config)
        self.searcher = OptunaSweeper(**self.options)
        self.searcher.setup(hydra_context=hydra_context, task_function=task_function, config=config)
        self.searcher.sweeper.launcher = self
        self.asked: list[Any] = []

    def launch(self, jobs: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[Any]:
        """What the searcher takes for its launcher. What is finished already returns its score at once."""
        from vaezoo.studies import study

        self.asked += study.trials(self.config, jobs)
        return self.launcher.launch(jobs, initial_job_idx=initial_job_idx)

    def sweep(self, arguments: list[str]) -> None:
        from vaezoo.studies import study

        self.searcher.sweep(arguments)
        study.conclude(Path(self.config.hydra.sweep.dir), self.asked, {})
