"""Checkpoints that are whole or not there."""

import math
import time
from pathlib import Path
from typing import Any

from pytorch_lightning import Callback, LightningModule, Trainer

from vaezoo.distributed import agree
from vaezoo.runs.folder import LAST, PREVIOUS
from vaezoo.training.clock import Clock
from vaezoo.training.interrupts import Interrupted
from vaezoo.training.terms import TermLogger


class Checkpoints(Callback):
    """`last.ckpt` every few minutes, at the end and when interrupted; `best.ckpt` at the lowest monitored value.

    A checkpoint is written beside its place and renamed: a crash while writing leaves the one before, which is kept as
    `previous.ckpt` afterwards, too.
    """

    def __init__(
        self, clock: Clock, terms: TermLogger, folder: Path, minutes: float, batches: int | None, monitor: str | None
    ) -> None:
        self.clock = clock
        self.terms = terms
        self.folder = folder
        self.seconds = 60 * minutes
        self.batches = batches
        self.monitor = monitor
        self.best = math.inf
        self.saved = time.monotonic()

    def save(self, trainer: Trainer, name: str) -> None:
        path = self.folder / name
        beside = path.with_name(f".{path.stem}.partial")
        try:
            trainer.save_checkpoint(beside)  # written by the first process, with what all of them know
            if trainer.is_global_zero:
                if name == LAST.name and path.is_file():
                    path.replace(path.with_name(PREVIOUS.name))
                beside.replace(path)
        finally:
            if trainer.is_global_zero:
                beside.unlink(missing_ok=True)
        self.saved = time.monotonic()

    def on_train_batch_start(self, trainer: Trainer, module: LightningModule, batch: Any, batch_idx: int) -> None:
        # Here the validation after the batch before is over, so that a run that goes on needs not repeat it.
        if batch_idx == 0:
            return
        due = self.batches is not None and self.clock.batches % self.batches == 0
        if not due and self.clock.meeting():
            due = agree(time.monotonic() - self.saved > self.seconds) > 0
        if due:
            self.save(trainer, LAST.name)

    def on_validation_end(self, trainer: Trainer, module: LightningModule) -> None:
        if self.monitor is None or trainer.state.fn != "fit":
            return
        value = self.terms.latest_val.get(self.monitor.removeprefix("val/"), math.inf)
        if value < self.best:
            self.best = value
            self.save(trainer, "best.ckpt")

    def on_train_end(self, trainer: Trainer, module: LightningModule) -> None:
        self.save(trainer, LAST.name)

    def on_exception(self, trainer: Trainer, module: LightningModule, exception: BaseException) -> None:
        if isinstance(exception, Interrupted) and exception.between_batches:
            self.save(trainer, LAST.name)

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.best = state["best"]
