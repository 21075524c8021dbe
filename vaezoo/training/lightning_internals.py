"""What vaezoo changes inside Lightning, which offers no public way. Nothing private is touched elsewhere."""

from typing import Any

from pytorch_lightning import Trainer


def leave_signals_alone(trainer: Trainer) -> None:
    """Keep Lightning from handling signals.

    Its handler of SIGTERM would stand before ours (vaezoo.training.interrupts) and end a run with status 0 and without
    a checkpoint, so that a sweep takes the run for finished. On Slurm it would also submit the job anew.
    """
    trainer._signal_connector.register_signal_handlers = lambda: None  # type: ignore[method-assign]


def count_batches(trainer: Trainer, batches: int) -> None:
    """Let callbacks of Lightning log at this batch, counted from 0, as they would if each call were one batch."""
    trainer.fit_loop.epoch_loop._batches_that_stepped = batches


def restore_progress(trainer: Trainer, epoch: int, global_step: int) -> None:
    """Let `current_epoch` and `global_step` go on, which callbacks read, without Lightning's own resumption.

    That one would begin in the middle of an epoch, whose batches our loader gives by itself.
    """
    epochs: Any = trainer.fit_loop.epoch_progress.current
    epochs.ready = epochs.started = epochs.processed = epochs.completed = epoch
    steps = trainer.fit_loop.epoch_loop.manual_optimization.optim_step_progress.total
    steps.ready = steps.completed = global_step
