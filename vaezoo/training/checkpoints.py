"""Checkpoints that are whole or not there."""

import math
import time
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning import Callback, Trainer
from pytorch_lightning.plugins.io import TorchCheckpointIO

from vaezoo.distributed import agree
from vaezoo.errors import UserError, nearest
from vaezoo.runs.files import write_whole
from vaezoo.runs.folder import LAST, PREVIOUS
from vaezoo.training.interrupts import Interrupted
from vaezoo.training.lightning_internals import count_batches


class CheckpointFiles(TorchCheckpointIO):
    """Writes checkpoints where they belong, while Lightning writes into the folder of temporary files first.

    That folder may be full, and a killed process would leave a file of full size there.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Write a checkpoint whole. Raises OSError, with the path, where there is no space left."""

        def write(partial: Path) -> None:
            with partial.open("wb") as file:
                try:
                    torch.save(checkpoint, file)
                except RuntimeError as error:  # PyTorch hides the error of the disk behind one of its own.
                    raise error.__context__ if isinstance(error.__context__, OSError) else error from None

        write_whole(Path(path), write)


class BetweenBatches(Callback):
    """Writes the checkpoint that is due and answers interrupts, before any other callback acts on the next batch.

    Here the validation after the batch before is over, so a run that goes on does not repeat it.
    """

    def __init__(self, checkpoints: "Checkpoints | None") -> None:
        self.checkpoints = checkpoints

    def on_train_batch_start(self, trainer: Trainer, module: Any, batch: Any, batch_idx: int) -> None:
        if self.checkpoints:
            self.checkpoints.save_if_due(trainer, module)
        if module.clock.meets():
            module.clock.interrupts.check()
        count_batches(trainer, module.clock.batches)

    def on_train_batch_end(self, trainer: Trainer, module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        count_batches(trainer, module.clock.batches - 1)


class Checkpoints(Callback):
    """`last.ckpt` every few minutes, at the end and when interrupted; `best.ckpt` at the lowest monitored value.

    A checkpoint is written beside its place and renamed: a crash while writing leaves the one before, which stays as
    `previous.ckpt` afterwards, too.
    """

    def __init__(self, folder: Path, minutes: float, batches: int | None = None, monitor: str | None = None) -> None:
        self.folder = folder
        self.seconds = 60 * minutes
        self.batches = batches
        self.monitor = monitor
        self.best = math.inf
        self.saved = time.monotonic()

    def save(self, trainer: Trainer, name: str) -> None:
        """Write a checkpoint of that name; the first process does, with what all of them know."""
        path = self.folder / name
        beside = path.with_name(f".{path.stem}.partial")
        try:
            trainer.save_checkpoint(beside)
            if trainer.is_global_zero:
                if name == LAST.name and path.is_file():
                    path.replace(path.with_name(PREVIOUS.name))
                beside.replace(path)
        finally:
            if trainer.is_global_zero:
                beside.unlink(missing_ok=True)
        self.saved = time.monotonic()

    def on_train_start(self, trainer: Trainer, module: Any) -> None:
        self.first_batch = module.clock.batches

    def save_if_due(self, trainer: Trainer, module: Any) -> None:
        """Write last.ckpt between two batches, where enough time or batches have passed."""
        if module.clock.batches == self.first_batch:
            return
        due = self.batches is not None and module.clock.batches % self.batches == 0
        if not due and module.clock.meets():
            due = agree(time.monotonic() - self.saved > self.seconds) > 0
        if due:
            self.save(trainer, LAST.name)

    def on_validation_end(self, trainer: Trainer, module: Any) -> None:
        terms = module.terms.latest_val
        if self.monitor is None or not terms:
            return
        name = self.monitor.removeprefix("val/")
        if name == "loss" and name not in terms:
            return  # The default: a model of several losses has no best.ckpt unless another term is monitored.
        if name not in terms:
            raise UserError(
                f"callbacks.checkpoints.monitor={self.monitor}: no validation logs it.{nearest(name, terms)}"
                f" This model logs {', '.join(f'val/{term}' for term in terms if '/' not in term)}."
            )
        value = terms[name]
        if value < self.best:
            self.best = value
            self.save(trainer, "best.ckpt")

    def on_train_end(self, trainer: Trainer, module: Any) -> None:
        self.save(trainer, LAST.name)

    def on_exception(self, trainer: Trainer, module: Any, exception: BaseException) -> None:
        if isinstance(exception, Interrupted) and exception.between_batches:
            self.save(trainer, LAST.name)

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best, "monitor": self.monitor}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        if state.get("monitor", self.monitor) == self.monitor:  # The best value of another term is none of this one.
            self.best = float(state.get("best", math.inf))
