"""Any logger of Lightning as a copy of the run folder: a resumed run continues its log, and no error stops it."""

import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from pytorch_lightning.loggers import Logger

from vaezoo.loggers.base import RunLogger, find_pictures_over_time, has_public_data, read_rows
from vaezoo.runs.files import write_json

log = logging.getLogger(__name__)


class Mirror(RunLogger):
    """Passes rows and pictures on to a logger of Lightning, each of them once.

    The file loggers/NAME.json of the run folder notes the newest step of each value in the log. When a run starts, the
    rows of metrics.csv that the log lacks are sent, and what the log has already is not sent again, except scores that
    another evaluation has changed. The first error switches the logger off for this run, which it does not stop.

    Pictures of public data sets are passed on to loggers that take them, and those of a user's own data only where
    `pictures` is true, because the log may be on a server.
    """

    logger: Any

    def __init__(self, logger: Logger, folder: Path, key: str, pictures: bool | None = None) -> None:
        super().__init__()
        self.logger = logger
        self.folder = folder
        self.key = key
        self.note = folder / "loggers" / f"{key}.json"
        self.pictures = pictures
        self.sent: dict[str, tuple[int, str]] = {}  # name: its newest step in the log, and its value there
        self.batches = 0  # of the newest row
        self.is_on = True

    @property
    def name(self) -> str:
        return self.key

    @property
    def version(self) -> str:
        return ""

    @property
    def experiment(self) -> Any:
        """Return the object behind the logger, such as a SummaryWriter."""
        return getattr(self.logger, "experiment", None)

    def describe(self) -> str:
        return f"{type(self.logger).__name__} (logger.{self.key})"

    def start(self, config: Mapping[str, Any], batches: int = 0) -> None:
        if self.pictures is None:
            self.pictures = has_public_data(config)
        with self.switch_off_on_error():
            self.sent = self.read_sent()
            if not self.sent:
                self.logger.log_hyperparams(dict(config))
            for step, row in sorted(read_rows(self.folder).items()):
                self.log_metrics(row, step)
            for step, name, path in sorted(find_pictures_over_time(self.folder)):
                if step <= batches:
                    self.log_figure(name, path, step)

    def read_sent(self) -> dict[str, tuple[int, str]]:
        """Return the newest step of each value in the log, and its value there; nothing for a new log."""
        with suppress(OSError, ValueError, TypeError, AttributeError):
            noted = json.loads(self.note.read_text(encoding="utf-8"))
            return {name: (int(step), str(value)) for name, (step, value) in noted.items()}
        return {}

    def is_new(self, name: str, batches: int, value: str) -> bool:
        """Return whether the log lacks this value: a later one, or a score that another evaluation has changed."""
        step, logged = self.sent.get(name, (-1, ""))
        return batches > step or (batches == step and name.startswith("eval/") and value != logged)

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        batches = step or 0
        values = {name: float(value) for name, value in metrics.items()}
        values = {name: value for name, value in values.items() if self.is_new(name, batches, repr(value))}
        self.batches = max(self.batches, batches)
        if values and self.is_on:
            with self.switch_off_on_error():
                self.logger.log_metrics(values, step=batches)
                self.logger.save()  # Most loggers would keep rows in memory, which a killed process loses.
                self.note_sent({name: (batches, repr(value)) for name, value in values.items()})

    def log_figure(self, name: str, path: Path, step: int | None = None) -> None:
        batches, key = self.batches if step is None else step, f"figures/{name}"
        if self.pictures and self.is_on and self.is_new(key, batches, ""):
            with self.switch_off_on_error():
                self.send_picture(key, path, batches)
                self.note_sent({key: (batches, "")})

    def send_picture(self, key: str, path: Path, batches: int) -> None:
        """Send a picture to a logger that takes pictures; skip it for all others."""
        if hasattr(self.experiment, "add_image"):  # a SummaryWriter, which shows no animations
            with Image.open(path) as picture:
                self.experiment.add_image(key, np.asarray(picture.convert("RGB")), batches, dataformats="HWC")
        elif hasattr(self.logger, "log_image"):
            self.logger.log_image(key, [str(path)], step=batches)

    def note_sent(self, values: dict[str, tuple[int, str]]) -> None:
        """Record that these values are in the log."""
        self.sent |= values
        write_json(self.note, self.sent)

    def close(self, exit_code: int = 0) -> str | None:
        if self.is_on:
            with self.switch_off_on_error():
                self.logger.finalize("failed" if exit_code else "success")
        return None

    @contextmanager
    def switch_off_on_error(self) -> Iterator[None]:
        """Run the body; after an error, warn and send nothing more."""
        try:
            yield
        except Exception as error:
            self.is_on = False
            log.warning(
                "logger.%s is switched off for this run, which goes on (%s: %s).", self.key, type(error).__name__, error
            )
