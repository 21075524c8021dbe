"""Train one model on one data set, as the command, the tests and the benchmarks do."""

import logging
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra.errors import InstantiationException
from hydra.utils import instantiate
from lightning_fabric.plugins.environments import TorchElasticEnvironment
from lightning_fabric.utilities.exceptions import MisconfigurationException
from pytorch_lightning import Callback, Trainer
from pytorch_lightning.plugins.io import CheckpointIO

from vaezoo.data.module import ImageDataModule
from vaezoo.errors import UserError
from vaezoo.models.base import LatentModel
from vaezoo.training.checkpoints import BetweenBatches, CheckpointFiles, Checkpoints
from vaezoo.training.chunks import ChunkedModel
from vaezoo.training.clock import Clock
from vaezoo.training.engines import choose_engine
from vaezoo.training.interrupts import Interrupts
from vaezoo.training.lightning_internals import leave_signals_alone
from vaezoo.training.memory import keep_freed_memory
from vaezoo.training.terms import TermLogger
from vaezoo.training.user_callbacks import act_on_batches
from vaezoo.training.workers import find_place

ENCODED_AT_ONCE = 1024  # images, where a model looks at all training images


def fit(
    model: LatentModel,
    data: ImageDataModule,
    trainer: Trainer,
    *,
    max_batches: int,
    seed: int,
    log_every: int = 50,
    val_every: int = 500,
    engine: str = "eager",
    chunk: int | None = None,
    lr_schedule: Mapping[str, Any] | None = None,
    checkpoints: Checkpoints | None = None,
    callbacks: Sequence[Callback] = (),
    user_callbacks: Mapping[str, Callback] | None = None,
    stop_record: Callback | None = None,
    trained_before: bool = False,
    interrupts: Interrupts | None = None,
    resume_from: Path | None = None,
) -> None:
    """Train until the model has seen `max_batches` batches; `trainer` comes from `make_trainer`.

    Terms go to the trainer's loggers every `log_every` batches, and after a validation every `val_every` batches and
    at the end. `engine` and `chunk` say how steps are made (vaezoo.training.engines). `lr_schedule` is the group of
    conf/ (vaezoo.training.learning_rate). `user_callbacks` may monitor terms and act on each batch; `stop_record` notes
    which of them has ended the training. A model that was `trained_before` keeps its weights. `resume_from` is the
    checkpoint whose weights the model has; optimisers and callbacks go on from there.
    """
    done = int(model.batches)
    if done >= max_batches:
        return
    device = trainer.strategy.root_device
    if device.type == "cpu":
        keep_freed_memory()
    data.setup()
    model.train_images.fill_(len(data.rows.train))
    model.training_batches = data.batches(data.rows.train, ENCODED_AT_ONCE)
    clock = Clock(max_batches, seed, batches=done, interrupts=interrupts, device=device)
    model.batch_counter = lambda: clock.batches
    users = user_callbacks or {}
    shows_batches = act_on_batches(users)
    monitors = {name: term for name, callback in users.items() if (term := getattr(callback, "monitor", None))}
    terms = TermLogger(clock, log_every, data.batch_size * model.batches_a_step, monitors)
    vars(trainer)["log_every_n_steps"] = log_every  # by which callbacks of Lightning log
    intervals = [log_every, *([checkpoints.batches] if checkpoints and checkpoints.batches else [])]
    convert = trainer.precision_plugin.convert_input
    maker = choose_engine(engine)(model, data, clock, terms.train, intervals, 1 if shows_batches else chunk, convert)
    own_callbacks = [BetweenBatches(checkpoints), terms, *callbacks, *users.values()]
    own_callbacks += [callback for callback in (stop_record, checkpoints) if callback]
    chunked = ChunkedModel(
        *(model, data, maker, clock, terms, val_every, own_callbacks),
        lr_schedule=lr_schedule or {},
        shows_batches=shows_batches,
        trained_before=trained_before,
    )
    try:
        trainer.fit(chunked, ckpt_path=resume_from, weights_only=True)
    finally:
        maker.close()
        model.training_batches = model.batch_counter = None


def make_trainer(flags: Mapping[str, Any], loggers: Sequence[Any] = ()) -> Trainer:
    """Return the Trainer of Lightning that these flags describe, such as those of conf/trainer, made fit for `fit`."""
    quiet_lightning()
    plugins = list(instantiate(flags.get("plugins") or []))
    machines: dict[str, Any] = {}
    if "strategy" in flags and (place := find_place()) is not None:
        plugins.append(TorchElasticEnvironment())
        machines = {"devices": place.local_processes, "num_nodes": place.processes // place.local_processes}
    if not any(isinstance(plugin, CheckpointIO) for plugin in plugins):
        plugins.append(CheckpointFiles())
    try:
        trainer: Trainer = instantiate(
            {key: value for key, value in flags.items() if key not in ("engine", "chunk", *machines)},
            logger=list(loggers),
            plugins=plugins,
            **machines,
            # The clock ends the run, and an epoch of Lightning's ends where a validation is due.
            max_epochs=-1,
            val_check_interval=1.0,
            check_val_every_n_epoch=1,
            num_sanity_val_steps=0,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
    except (InstantiationException, MisconfigurationException) as error:
        cause = error.__cause__ or error
        reason = str(cause).splitlines()[0] if str(cause) else type(cause).__name__
        raise UserError(f"trainer: Lightning refuses these flags ({reason}).") from None
    leave_signals_alone(trainer)
    return trainer


def quiet_lightning() -> None:
    """Hide Lightning's notes about devices and loaders, because batches are made on the device."""
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", module="pytorch_lightning", message=".*workers.*")
    warnings.filterwarnings("ignore", module="pytorch_lightning", category=FutureWarning)
    warnings.filterwarnings("ignore", module="pytorch_lightning", message="Checkpoint directory .* is not empty.*")
    # A player that skips its first steps has a schedule that goes on all the same.
    warnings.filterwarnings("ignore", message=".*lr_scheduler.step.. before .optimizer.step.*")
    # A run may go on without the limit of time, or the pictures, that it began with.
    warnings.filterwarnings("ignore", module="pytorch_lightning", message=".*callbacks used to create the checkpoint.*")
