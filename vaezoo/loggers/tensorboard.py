"""TensorBoard: event files in the run folder."""

import shutil
from pathlib import Path

from pytorch_lightning.loggers import TensorBoardLogger

from vaezoo.loggers.mirror import Mirror
from vaezoo.runs.folder import relative_to_cwd


class TensorBoard(Mirror):
    """The folder tensorboard/ of a run. A resumed run writes it anew from metrics.csv, which is never behind."""

    needs_package = "tensorboard"

    def __init__(self, folder: str | Path) -> None:
        place = Path(folder)
        logger = TensorBoardLogger(place, name="", version="tensorboard", default_hp_metric=False)
        super().__init__(logger, place, "tensorboard", pictures=True)  # They stay on this machine.

    def describe(self) -> str:
        return f"TensorBoard (tensorboard --logdir {relative_to_cwd(self.folder / 'tensorboard')})"

    def read_sent(self) -> dict[str, tuple[int, str]]:
        if not (self.folder / "metrics.csv").is_file():
            return super().read_sent()
        shutil.rmtree(self.folder / "tensorboard", ignore_errors=True)
        return {}
