"""What a logger of a run does besides logging rows: it starts with the run, takes pictures and is closed at the end."""

from abc import abstractmethod
from argparse import Namespace
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers import Logger

from vaezoo.runs.folder import read_history

OURS = "vaezoo.data.sources."  # the sources of public data sets, besides the one that reads a user's own files
OWN_FILES = "vaezoo.data.sources.arrays."


class RunLogger(Logger):
    """A logger of a run folder. Its steps are training batches, and a resumed run continues its log."""

    @abstractmethod
    def describe(self) -> str:
        """Return where the run is logged, for the first line that the run prints."""

    @abstractmethod
    def start(self, config: Mapping[str, Any], batches: int = 0) -> None:
        """Open the log of a run that has made so many batches; `config` is its resolved configuration."""

    @abstractmethod
    def log_figure(self, name: str, path: Path, step: int | None = None) -> None:
        """Log a PNG or an animated GIF. Without `step` it belongs to the newest row."""

    def log_hyperparams(self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any) -> None:
        """Do nothing, because `start` gets the configuration."""

    @abstractmethod
    def close(self, exit_code: int = 0) -> str | None:
        """End the log, and return the command that uploads it where it waits for an upload."""


def has_public_data(config: Mapping[str, Any]) -> bool:
    """Return whether a run trains on a public data set of vaezoo, whose pictures can be shown to anybody."""
    source = config.get("dataset", {}).get("source")
    target = str(source.get("_target_")) if isinstance(source, Mapping) else ""
    return target.startswith(OURS) and not target.startswith(OWN_FILES)


def read_rows(folder: Path) -> dict[int, dict[str, float]]:
    """Return the values of metrics.csv by batch."""
    rows: dict[int, dict[str, float]] = {}
    for name, (batches, values) in read_history(folder).items():
        for batch, value in zip(batches.tolist(), values.tolist(), strict=True):
            rows.setdefault(batch, {})[name] = value
    return rows


def find_pictures_over_time(folder: Path) -> Iterator[tuple[int, str, Path]]:
    """Yield (batch, name, path) of each picture that was drawn while the run was training."""
    for path in (folder / "figures").glob("over_time/*_*.png"):
        name, _, batch = path.stem.rpartition("_")
        if batch.isdigit():
            yield int(batch), f"{name}_over_time", path
