"""What vaezoo changes inside Lightning, which offers no public way. Nothing private is touched elsewhere."""

from pytorch_lightning import Trainer


def leave_signals_alone(trainer: Trainer) -> None:
    """Keep Lightning from handling signals.

    Its handler of SIGTERM would stand before ours (vaezoo.training.interrupts) and end a run with status 0 and without
    a checkpoint, so that a sweep takes the run for finished. On Slurm it would also submit the job anew.
    """
    trainer._signal_connector.register_signal_handlers = lambda: None  # type: ignore[method-assign]
