"""The clock of a training run: seeds every batch, stops at the budget, and stops early when asked to."""

from typing import Any

import torch
from pytorch_lightning import Callback, LightningModule, Trainer

from vaezoo.distributed import process_count
from vaezoo.seeds import derive
from vaezoo.training.interrupts import Interrupts

MEETING = 10  # batches


class Clock(Callback):
    """Counts batches in step with the model's own `batches` buffer, without reading it back from the device.

    Each batch draws its noise from (seed, batch number), so what happens between two batches (validation, a figure, an
    interruption) cannot change the next one. Lightning's batches are chunks of ours (vaezoo.training.engines).
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
        return process_count() == 1 or self.batches % MEETING == 0

    def on_validation_batch_start(
        self, trainer: Trainer, module: LightningModule, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        # The same noise at every validation: differences between two of them are differences between models.
        torch.manual_seed(derive(self.seed, "validation", batch_idx))
