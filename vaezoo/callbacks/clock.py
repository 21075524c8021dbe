"""The clock of a training run: seeds every batch, stops at the budget, and stops early when asked to."""

import signal
import threading
from types import FrameType
from typing import Any

import torch
from pytorch_lightning import Callback, LightningModule, Trainer

from vaezoo.processes import agreed, size
from vaezoo.seeds import derive
from vaezoo.workers import orphaned

MEETING = 10  # batches


class Interrupted(BaseException):
    """Ctrl-C, SIGTERM or a cluster's pre-emption; `between_batches` the weights are those of a whole step.

    Not an `Exception`, so that nobody who tries again or does without takes it for a failure.
    """

    def __init__(self, signum: int, between_batches: bool = False) -> None:
        super().__init__(f"interrupted by {signal.Signals(signum).name}")
        self.signum = signum
        self.between_batches = between_batches


class Interrupts:
    """While entered, the first SIGINT or SIGTERM is kept until `check()` is called; a second one acts at once.

    After `at_once()` the first one does, too, until `keep()`.
    """

    SIGNALS = (signal.SIGINT, signal.SIGTERM)

    def __init__(self) -> None:
        self.received: int | None = None
        self.now = False

    def __enter__(self) -> "Interrupts":
        self.received = None
        self.previous = {number: signal.getsignal(number) for number in self.SIGNALS}
        if threading.current_thread() is threading.main_thread():  # Python allows handlers there alone
            for number in self.SIGNALS:
                signal.signal(number, self.receive)
        return self

    def __exit__(self, *_: object) -> None:
        if threading.current_thread() is threading.main_thread():
            for number, handler in self.previous.items():
                signal.signal(number, handler)

    def receive(self, signum: int, _: FrameType | None) -> None:
        if self.now or self.received is not None:
            raise Interrupted(signum)
        self.received = signum

    def at_once(self) -> None:
        """Nothing is lost by stopping anywhere: what was received acts now, what comes later when it comes."""
        self.now = True
        if self.received is not None:
            raise Interrupted(self.received)

    def keep(self) -> None:
        self.now = False

    def check(self) -> None:
        """Between two batches. Of several processes, the first decides for all."""
        received = signal.SIGTERM if self.received is None and orphaned() else self.received
        if received := int(agreed(received or 0)):
            raise Interrupted(received, between_batches=True)


class Clock(Callback):
    """Counts batches in step with the model's own `batches` buffer, without reading it back from the device.

    Each batch draws its noise from (seed, batch number), so what happens between two batches (validation, a figure, an
    interruption) cannot change the next one. Lightning's batches are chunks of ours (vaezoo.engines).
    """

    def __init__(self, max_batches: int, seed: int, interrupts: Interrupts) -> None:
        self.max_batches = max_batches
        self.seed = seed
        self.interrupts = interrupts
        self.batches = 0
        self.on_cpu = False

    def on_train_start(self, trainer: Trainer, module: LightningModule) -> None:
        self.on_cpu = module.device.type == "cpu"
        self.batches = int(module.batches)  # type: ignore[arg-type]
        # Lightning counts from 0 after a resume too; told where we are, it validates at the same batches as before.
        trainer.fit_loop.epoch_loop.batch_progress.total.ready = self.batches

    def on_train_batch_start(self, trainer: Trainer, module: LightningModule, batch: Any, batch_idx: int) -> None:
        # Not at the end of the batch before: its validation would be lost to the run that goes on.
        if self.meeting():
            self.interrupts.check()
        self.noise(self.batches)  # what a model does between two batches may draw, too

    def on_train_batch_end(
        self, trainer: Trainer, module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self.batches += outputs["batches"]
        trainer.fit_loop.epoch_loop.batch_progress.total.ready = self.batches
        if self.batches >= self.max_batches:
            trainer.should_stop = True

    def noise(self, batch: int) -> None:
        """From here on, torch's draws are those of that batch."""
        seed = derive(self.seed, "noise", batch)
        if self.on_cpu:  # torch.manual_seed takes 0.7 ms to note the seed for GPUs that nobody uses
            torch.default_generator.manual_seed(seed)
        else:
            torch.manual_seed(seed)

    def meeting(self) -> bool:
        """Whether processes ask each other before the next batch: they wait for one another then."""
        return size() == 1 or self.batches % MEETING == 0

    def on_validation_batch_start(
        self, trainer: Trainer, module: LightningModule, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        # The same noise at every validation: differences between two of them are differences between models.
        torch.manual_seed(derive(self.seed, "validation", batch_idx))
