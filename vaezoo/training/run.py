"""Run the job of a folder: train, or go on, then evaluate; and leave the folder readable whatever happens."""

import errno
import json
import logging
import math
import signal
import sys
import time
import traceback
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from omegaconf import DictConfig, OmegaConf

from vaezoo.config.identity import afterwards, identity
from vaezoo.config.names import parallel_job_number
from vaezoo.config.requirements import count_processes
from vaezoo.config.titles import title_of
from vaezoo.config.values import check_config
from vaezoo.errors import NotFinite, UserError
from vaezoo.runs.files import remove_unfinished, to_plain, write_arrays, write_json, write_text, write_whole
from vaezoo.runs.folder import (
    CONFIG,
    DONE,
    ERROR,
    WORKER,
    has_checkpoint,
    is_done,
    lock_folder,
    mark_finished,
    read_scores,
    relative_to_cwd,
)
from vaezoo.runs.weights import find_checkpoint, restore_weights
from vaezoo.studies import threads
from vaezoo.training import workers

if TYPE_CHECKING:
    from vaezoo.training.interrupts import Interrupts

log = logging.getLogger(__name__)


def train(config: DictConfig) -> dict[str, float]:
    """Run or resume the job in `config.folder`; returns its final scores, those in the folder if nothing is left to do.

    The folder is complete also when the run fails: error.txt says why, and what was logged and saved stays.
    """
    folder = Path(config.folder)
    rank = workers.worker_rank()
    if rank:
        return follow(config, folder)
    if rank == 0:
        with lock_folder(folder, WORKER):
            return lead(config, folder)
    done = identity(config), afterwards(config)
    with lock_folder(folder):
        if is_done(folder, *done):
            print(f"{relative_to_cwd(folder)} is finished")
            return read_scores(folder)
        (folder / DONE).unlink(missing_ok=True)
        processes = count_processes(config.trainer.devices) if "strategy" in config.trainer else 1
        scores = train_together(config, folder, processes) if processes > 1 else lead(config, folder)
        mark_finished(folder, *done)
    return scores


def train_together(config: DictConfig, folder: Path, processes: int) -> dict[str, float]:
    """Have the workers train that share the run; the first of them leaves everything in the folder."""
    check_config(config)
    write_whole(folder / CONFIG, lambda beside: OmegaConf.save(config, beside, resolve=True))
    try:
        gpus = threads.choose_gpus(config.trainer, parallel_job_number())
        environment = threads.worker_environment(threads.count_threads(config.get("launcher"), processes), gpus)
        number = workers.supervise(folder, processes, environment)
    except UserError as error:
        write_text(folder / ERROR, f"{error}\n")
        raise
    if number is not None:
        stop(folder, number)
    return read_scores(folder)


def stop(folder: Path, number: int) -> NoReturn:
    """End as that signal asked, and say how the run goes on."""
    said = f"interrupted by {signal.Signals(number).name}"
    write_text(folder / ERROR, f"{said}\n")
    print(f"\n{said}; go on with: python -m vaezoo.train run={relative_to_cwd(folder)}", file=sys.stderr)
    sys.exit(128 + number)


def follow(config: DictConfig, folder: Path) -> dict[str, float]:
    """What the workers besides the first do: the common steps, and nothing that can be seen."""
    from vaezoo.training.interrupts import Interrupted, Interrupts

    with Interrupts() as interrupts:
        try:
            return fit_and_evaluate(config, folder, has_checkpoint(folder), interrupts)
        except Interrupted as interrupted:
            sys.exit(128 + interrupted.signum)


def lead(config: DictConfig, folder: Path) -> dict[str, float]:
    """A run on one process, or the first worker's part of a common one."""
    from vaezoo.training.interrupts import Interrupted, Interrupts

    resuming = has_checkpoint(folder)
    write_whole(folder / CONFIG, lambda beside: OmegaConf.save(config, beside, resolve=True))
    (folder / ERROR).unlink(missing_ok=True)
    remove_unfinished(folder)
    try:
        check_config(config)
        gpus = threads.choose_gpus(config.trainer, parallel_job_number())
        if gpus is not None:
            config = config.copy()
            config.trainer.devices = gpus
        with Interrupts() as interrupts:
            return fit_and_evaluate(config, folder, resuming, interrupts)
    except Interrupted as interrupted:
        stop(folder, interrupted.signum)
    except UserError as error:
        write_text(folder / ERROR, f"{error}\n")
        raise
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            write_text(folder / ERROR, traceback.format_exc())
            raise
        message = (
            f"There is no space left to write {error.filename or 'into the run folder'}. What was saved before is"
            f" whole: make room and go on with: python -m vaezoo.train run={relative_to_cwd(folder)}"
        )
        with suppress(OSError):
            write_text(folder / ERROR, f"{message}\n")
        raise UserError(message) from error
    except BaseException:
        write_text(folder / ERROR, traceback.format_exc())
        raise


def fit_and_evaluate(config: DictConfig, folder: Path, resuming: bool, interrupts: "Interrupts") -> dict[str, float]:
    # Imported here, so that --help, --cfg job and a slip on the command line answer without torch.
    from hydra.utils import instantiate
    from pytorch_lightning import seed_everything

    from vaezoo import distributed
    from vaezoo.evaluation.closing_table import print_scores
    from vaezoo.evaluation.evaluate_model import evaluate_model
    from vaezoo.runs.provenance import describe_environment
    from vaezoo.training.checkpoints import Checkpoints
    from vaezoo.training.clock import Clock
    from vaezoo.training.engines import make_engine
    from vaezoo.training.memory import keep_freed_memory
    from vaezoo.training.progress_bar import BudgetBar
    from vaezoo.training.sample_watch import SampleWatch
    from vaezoo.training.terms import TermLogger

    began = time.perf_counter()
    quiet_lightning()
    seed_everything(config.seed, verbose=False)
    data = instantiate(config.dataset)
    interrupts.at_once()  # fetching and preparing go on where they stopped
    data.setup()
    interrupts.keep()
    model = instantiate(config.model)
    max_batches = budget(config, len(data.rows.train), getattr(model, "batches_a_step", 1))
    first = not workers.worker_rank()  # the others leave no trace
    loggers = {name: instantiate(logger) for name, logger in config.logger.items() if first}

    clock = Clock(max_batches, config.seed, interrupts)
    terms = TermLogger(clock, config.log_every)
    every = [config.log_every, config.val_every, *filter(None, [config.callbacks.checkpoints.batches])]
    engine, chunk = config.trainer.get("engine", "eager"), config.trainer.get("chunk")
    callbacks: list[Any] = [
        make_engine(engine, clock, terms.train, every, chunk),
        terms,
        clock,
        Checkpoints(clock, terms, folder / "checkpoints", **config.callbacks.checkpoints),
    ]
    if config.callbacks.samples:
        drawn = bool(config.figure.figures)
        callbacks.append(SampleWatch(clock, folder, config.val_every, title_of(config), pictures=drawn))
    if config.callbacks.progress and first:
        callbacks.append(BudgetBar(clock, terms, f"{config.model['_target_'].rpartition('.')[2]} {data.name}"))
    trainer = make_trainer(config, callbacks, list(loggers.values()))
    device = trainer.strategy.root_device
    if device.type == "cpu":
        keep_freed_memory()
    # Before Lightning does it, which would first round what a checkpoint of double precision holds.
    model = trainer.precision_plugin.convert_module(model)

    checkpoint = go_on(folder, model, data.source.identity) if resuming else None
    if "csv" in loggers:  # also without a checkpoint: what was killed before its first may have logged
        loggers["csv"].rewind(int(model.batches))
    if first:
        where = describe_environment(config.seed, device_name(device), data.source.identity)
        write_json(folder / "environment.json", where)
    code = 1
    try:
        if "wandb" in loggers:
            loggers["wandb"].start(OmegaConf.to_container(config, resolve=True))
        if int(model.batches) < max_batches:
            trainer.fit(model, datamodule=data, ckpt_path=checkpoint, weights_only=True)
        distributed.leave_group()
        if not first:
            return {}
        data.place(device)
        interrupts.at_once()  # the weights are safe: what follows can simply be done again
        scores, pictures = evaluate_model(
            model.to(device),
            data,
            folder,
            title=title_of(config),
            metric=config.metric,
            figure=config.figure,
            seed=config.seed,
        )
        for logger in loggers.values():
            logger.log_metrics(scores.values, step=int(model.batches))
            for name, picture in pictures.items():
                logger.log_figure(name, picture)
        code = 0
    except NotFinite as error:
        if first:
            keep_batch(folder, data, error.batch)
        raise
    finally:
        sync = loggers["wandb"].close(code) if "wandb" in loggers else None
    seconds = time.perf_counter() - began
    if OmegaConf.select(config, "sweep.over"):  # the tables of a study are in its report
        print(f"{folder.name}: {duration(model, seconds)}")
    else:
        if scores.values:
            print_scores(scores, title_of(config))
        tell(folder, duration(model, seconds), sync)
    return scores.values


def go_on(folder: Path, model: Any, identity: dict[str, Any]) -> Path | None:
    """Put the weights of the newest whole checkpoint into the model; where it lies. The data must be what they were."""
    found = find_checkpoint(folder)
    if found is None:
        return None
    began = folder / "environment.json"
    before = json.loads(began.read_text())["data"] if began.is_file() else identity
    if before != to_plain(identity):
        changed = [key for key in {**before, **identity} if before.get(key) != identity.get(key)]
        told = ", ".join(f"{key} was {before.get(key)} and is {identity.get(key)}" for key in changed)
        raise UserError(
            f"The data are not those that this run began with: {told}. Put the former back, or begin a new run;"
            f" without {began} this one goes on with the new data."
        )
    path, state = found
    restore_weights(model, state, folder)
    return path


def keep_batch(folder: Path, data: Any, number: int) -> None:
    """bad_batch.npz: the images of that training batch, their labels and their rows in the data set."""
    from vaezoo.distributed import work_alone

    with work_alone():
        rows = data.stream().rows_of(number)
        batch = data.batch(rows)
    arrays = {"images": batch.images, "rows": rows, **({} if batch.labels is None else {"labels": batch.labels})}
    write_arrays(folder / "bad_batch.npz", {name: array.cpu().numpy() for name, array in arrays.items()})


def budget(config: DictConfig, train_images: int, batches_a_step: int) -> int:
    """Training steps of the whole run."""
    if config.max_epochs is None:
        return config.max_batches
    return config.max_epochs * (train_images // (config.dataset.batch_size * batches_a_step))


def make_trainer(config: DictConfig, callbacks: list[Any], loggers: list[Any]) -> Any:
    from hydra.errors import InstantiationException
    from hydra.utils import instantiate
    from lightning_fabric.utilities.exceptions import MisconfigurationException
    from pytorch_lightning.callbacks import ProgressBar

    try:
        trainer = instantiate(
            {key: value for key, value in config.trainer.items() if key not in ("engine", "chunk")},
            callbacks=callbacks,
            logger=loggers,
            # The clock stops the run; an epoch ends when the stream does, which is never.
            max_epochs=-1,
            val_check_interval=config.val_every,
            check_val_every_n_epoch=None,
            num_sanity_val_steps=0,
            log_every_n_steps=config.log_every,
            enable_checkpointing=False,
            enable_progress_bar=any(isinstance(callback, ProgressBar) for callback in callbacks),
            enable_model_summary=False,
        )
    except (InstantiationException, MisconfigurationException) as error:
        cause = error.__cause__ or error
        reason = str(cause).splitlines()[0] if str(cause) else type(cause).__name__
        raise UserError(f"trainer: Lightning refuses these flags ({reason}).") from None
    # Lightning would put its own handler of SIGTERM around ours, which ends the run with status 0 and no checkpoint.
    trainer._signal_connector.register_signal_handlers = lambda: None
    return trainer


def quiet_lightning() -> None:
    """Lightning's notes about devices and loaders do not apply to batches that are made on the device."""
    import warnings

    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", module="pytorch_lightning", message=".*workers.*")
    warnings.filterwarnings("ignore", module="pytorch_lightning", category=FutureWarning)


def device_name(device: Any) -> str:
    import torch

    return torch.cuda.get_device_name(device) if device.type == "cuda" else f"cpu, {torch.get_num_threads()} threads"


def duration(model: Any, seconds: float) -> str:
    return f"{int(model.batches)} batches, {math.floor(seconds / 60)} min {seconds % 60:.0f} s"


def tell(folder: Path, took: str, sync: str | None) -> None:
    """The last lines: where to look."""
    place = relative_to_cwd(folder)
    print(took)
    print(f"run       {place}")
    print(f"figures   {place / 'figures'}")
    print(f"scores    {place / 'metrics.json'}")
    print(f"again     python -m vaezoo.evaluate run={place} metric=full")
    if sync:
        print(f"dashboard {sync.replace(str(folder), str(place))}")
