"""Run the job of a folder: train, or go on, then evaluate; and leave the folder readable whatever happens."""

import math
import signal
import sys
import time
import traceback
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from hydra.errors import InstantiationException
from omegaconf import DictConfig, OmegaConf

from vaezoo.config.identity import hash_evaluation, hash_training, make_path_absolute, record_source
from vaezoo.config.names import parallel_job_number
from vaezoo.config.requirements import count_processes
from vaezoo.config.titles import describe_run
from vaezoo.config.values import check_config
from vaezoo.errors import NotFinite, UserError, describe_build_error, describe_write_error
from vaezoo.runs.files import remove_unfinished, write_arrays, write_json, write_text
from vaezoo.runs.folder import (
    EARLY_STOP,
    ERROR,
    WORKER,
    describe_early_stop,
    has_checkpoint,
    has_config,
    is_done,
    lock_folder,
    lock_scores,
    make_run_option,
    mark_finished,
    note_crash,
    read_done,
    read_history,
    read_scores,
    relative_to_cwd,
)
from vaezoo.runs.provenance import check_data
from vaezoo.runs.weights import begin_with_weights, check_optimizers, find_checkpoint, restore_weights
from vaezoo.studies import threads
from vaezoo.training import workers
from vaezoo.training.begin import begin, check_folder, write_config
from vaezoo.training.devices import check_devices

if TYPE_CHECKING:
    from vaezoo.evaluation.scores import Scores
    from vaezoo.training.interrupts import Interrupts


def train(config: DictConfig) -> dict[str, float]:
    """Run or resume the job in `config.folder`, and return its final scores; of a finished job, those in the folder.

    The folder is complete also when the run fails: error.txt gives the reason, and what was logged and saved stays.
    """
    make_path_absolute(config)
    record_source(config)
    folder = Path(config.folder)
    rank = workers.worker_rank()
    if rank:
        return follow(config, folder)
    if rank == 0:
        with lock_folder(folder, WORKER):
            return lead(config, folder)
    done = hash_training(config), hash_evaluation(config)
    if config.get("init_from") and not has_checkpoint(folder) and not read_done(folder):
        check_source(config)
    with lock_folder(folder):
        check_folder(config, folder)
        if is_done(folder, *done):
            if not has_config(folder):
                write_config(config, folder)
            print(f"{relative_to_cwd(folder)} is finished")
            return read_scores(folder)
        if has_checkpoint(folder):
            check_devices(config.trainer)  # before anything in the folder is changed
        processes = count_processes(config.trainer.devices) if "strategy" in config.trainer else 1
        if (place := workers.find_place()) is not None:
            scores = lead_others(config, folder, place)
        else:
            scores = train_together(config, folder, processes) if processes > 1 else lead(config, folder)
        mark_finished(folder, *done)
    return scores


def check_source(config: DictConfig) -> None:
    """Raise UserError if the weights that a run is to begin with do not fit its model, before anything is written."""
    check_config(config)
    from hydra.utils import instantiate

    begin_with_weights(instantiate(config.model), config.init_from)


def lead_others(config: DictConfig, folder: Path, place: workers.Place) -> dict[str, float]:
    """Train as the first of the processes that torchrun or srun has started."""
    check_config(config)
    begin(config, folder)
    workers.announce(folder)
    share_cores(config, place)
    return lead(config, folder)


def share_cores(config: DictConfig, place: workers.Place) -> None:
    """Limit this process to its share of the cores of its machine."""
    if (count := threads.count_threads(config.get("launcher"), place.local_processes)) is not None:
        threads.limit_threads(count)


def train_together(config: DictConfig, folder: Path, processes: int) -> dict[str, float]:
    """Train in several workers, the first of which leaves everything in the folder."""
    check_config(config)
    begin(config, folder)
    try:
        gpus = threads.choose_gpus(config.trainer, parallel_job_number())
        environment = threads.worker_environment(threads.count_threads(config.get("launcher"), processes), gpus)
        signal_number = workers.supervise(folder, processes, environment)
    except UserError as error:
        write_text(folder / ERROR, f"{error}\n")
        raise
    if signal_number is not None:
        stop(config, folder, signal_number)
    return read_scores(folder)


def stop(config: DictConfig, folder: Path, signal_number: int) -> NoReturn:
    """Exit with the status of that signal, and print how the run goes on."""
    reason = f"interrupted by {signal.Signals(signal_number).name}"
    write_text(folder / ERROR, f"{reason}\n")
    print(f"\n{reason}; go on with: python -m vaezoo.train {make_run_option(folder, config)}", file=sys.stderr)
    sys.exit(128 + signal_number)


def follow(config: DictConfig, folder: Path) -> dict[str, float]:
    """Do the part of a worker besides the first: the common steps, and nothing that leaves a trace."""
    from vaezoo.training.interrupts import Interrupted, Interrupts

    if (place := workers.find_place()) is not None:
        share_cores(config, place)
    with Interrupts() as interrupts:
        try:
            return fit_and_evaluate(config, folder, has_checkpoint(folder), interrupts)
        except Interrupted as interrupted:
            sys.exit(128 + interrupted.signum)


def lead(config: DictConfig, folder: Path) -> dict[str, float]:
    """Do a run on one process, or the part of the first worker of several."""
    from vaezoo.training.interrupts import Interrupted, Interrupts

    resuming = has_checkpoint(folder)
    begin(config, folder)
    remove_unfinished(folder)
    try:
        check_config(config)
        gpus = threads.choose_gpus(config.trainer, parallel_job_number())
        if gpus is not None:
            config = config.copy()
            config.trainer.devices = gpus
        with note_crash(folder), Interrupts() as interrupts:
            return fit_and_evaluate(config, folder, resuming, interrupts)
    except Interrupted as interrupted:
        stop(config, folder, interrupted.signum)
    except UserError as error:
        write_text(folder / ERROR, f"{error}\n")
        raise
    except OSError as error:
        reason = describe_write_error(error)
        if reason is None:
            write_text(folder / ERROR, traceback.format_exc())
            raise
        message = (
            f"{reason} What was saved before is whole: make room, or make the place writable, and go on with:"
            f" python -m vaezoo.train {make_run_option(folder, config)}"
        )
        with suppress(OSError):
            write_text(folder / ERROR, f"{message}\n")
        raise UserError(message) from error
    except InstantiationException as error:
        reason = describe_build_error(error)
        write_text(folder / ERROR, f"{reason}\n\n{traceback.format_exc()}")
        raise UserError(f"{reason}. The whole traceback is in {relative_to_cwd(folder / ERROR)}.") from error
    except BaseException:
        write_text(folder / ERROR, traceback.format_exc())
        raise


def fit_and_evaluate(config: DictConfig, folder: Path, resuming: bool, interrupts: "Interrupts") -> dict[str, float]:
    """Do the work of a run on this process, and return the final scores: none on processes besides the first."""
    # Imported here, so that --help, --cfg job and a slip on the command line answer without torch.
    from hydra.utils import instantiate
    from pytorch_lightning import seed_everything

    from vaezoo import distributed
    from vaezoo.loggers.build import build_loggers, describe_loggers
    from vaezoo.training.fit import make_trainer
    from vaezoo.training.user_callbacks import read_stop

    began = time.perf_counter()
    first = not workers.worker_rank()  # The other processes leave no trace.
    # Built before the data, which may take hours to fetch, and before the seed, because constructors may draw numbers.
    loggers = build_loggers(config.logger, folder) if first else {}
    if first:
        label = f"{folder.name}: logs to" if OmegaConf.select(config, "sweep.over") else "log      "
        print(label, describe_loggers(loggers), flush=True)
    seed_everything(config.seed, verbose=False)
    data = prepare_data(config, interrupts)
    model = instantiate(config.model)
    model.recipe = OmegaConf.to_container(config.model, resolve=True)
    max_batches = count_budget(config, data, model)
    trainer = make_trainer(config.trainer, list(loggers.values()))
    # Lightning converts too, but after a checkpoint is loaded, whose double precision would then be lost.
    trainer.precision_plugin.convert_module(model)
    checkpoint, saved = restore(folder, model, data.source.identity) if resuming else (None, {})
    stop = read_stop(saved, hash_training(config)) if saved else {}
    del saved  # whose tensors take as much memory as the model
    if checkpoint is None and config.init_from:
        begin_with_weights(model, config.init_from)
    device = trainer.strategy.root_device
    foreseen: dict[str, str] = {}
    if first:
        write_environment(config, folder, device, data.source.identity)
        foreseen = print_foreseen(config, model, data)
    settings: Any = OmegaConf.to_container(config, resolve=True)
    exit_code = 1
    try:
        for logger in loggers.values():
            logger.start(settings, int(model.batches))
        if not stop:  # the same command again does not go on where a callback has ended the training
            stop = train_model(config, folder, model, data, trainer, max_batches, interrupts, checkpoint)
        distributed.leave_group()
        if not first:
            return {}
        if stop:
            write_json(folder / EARLY_STOP, stop)
        else:
            (folder / EARLY_STOP).unlink(missing_ok=True)
            check_finished(int(model.batches), max_batches, config, folder)
        interrupts.at_once()  # The weights are safe, so what follows can simply be done again.
        scores = score_and_draw(config, folder, model.to(device), data, loggers.values())
        exit_code = 0
    except NotFinite as error:
        if first:
            save_bad_batch(folder, data, model, error.batch)
        raise
    finally:
        uploads = [command for logger in loggers.values() if (command := logger.close(exit_code))]
    print_summary(config, folder, scores.without(foreseen), duration(model, time.perf_counter() - began), uploads)
    return scores.values


def print_foreseen(config: DictConfig, model: Any, data: Any) -> dict[str, str]:
    """Print in one line which metrics and figures cannot be made, and return the reason of each.

    Of the jobs of a study, nothing is printed, because the report has their table.
    """
    from hydra.utils import instantiate

    from vaezoo.evaluation.closing_table import describe_skipped
    from vaezoo.evaluation.foresight import foresee_skipped

    if OmegaConf.select(config, "sweep.over"):
        return {}
    skipped = foresee_skipped(instantiate(config.metric.scores), instantiate(config.figure.figures), model, data)
    if skipped:
        print(f"left out  {describe_skipped(skipped)}", flush=True)
    return skipped


def prepare_data(config: DictConfig, interrupts: "Interrupts") -> Any:
    """Return the data module, once its data are fetched and prepared."""
    from hydra.utils import instantiate

    data = instantiate(config.dataset)
    interrupts.at_once()  # Fetching and preparing go on where they stopped.
    data.setup()
    interrupts.keep()
    return data


def count_budget(config: DictConfig, data: Any, model: Any) -> int:
    """Return the training steps of the whole run. Raises UserError if the data do not fill one, or make no pairs."""
    from vaezoo.training.chunks import order_rows

    order = order_rows(data, model)
    return config.max_batches if config.max_epochs is None else config.max_epochs * order.batches_per_epoch


def restore(folder: Path, model: Any, data_identity: dict[str, Any]) -> tuple[Path | None, dict[str, Any]]:
    """Put the weights of the newest whole checkpoint into the model, and return its path and its content.

    Raises UserError if the data are not those that the run began with.
    """
    newest = find_checkpoint(folder)
    if newest is None:
        return None, {}
    check_data(folder, data_identity)
    path, state = newest
    restore_weights(model, state["state_dict"], folder)
    optimizers = model.configure_optimizers()
    check_optimizers(optimizers if isinstance(optimizers, list) else [optimizers], state, folder)
    return path, state


def write_environment(config: DictConfig, folder: Path, device: Any, data_identity: dict[str, Any]) -> None:
    """Write environment.json: versions, device, data."""
    import torch

    from vaezoo.runs.provenance import describe_environment

    name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"cpu, {torch.get_num_threads()} threads"
    write_json(folder / "environment.json", describe_environment(config.seed, name, data_identity))


def train_model(
    config: DictConfig,
    folder: Path,
    model: Any,
    data: Any,
    trainer: Any,
    max_batches: int,
    interrupts: "Interrupts",
    checkpoint: Path | None,
) -> dict[str, Any]:
    """Fit the model, with the checkpoints, pictures and callbacks that the configuration asks for.

    Returns the note of a callback that has ended the training before its budget; an empty one where none has.
    """
    from pytorch_lightning.loggers.logger import DummyLogger

    from vaezoo.training.checkpoints import Checkpoints
    from vaezoo.training.fit import fit
    from vaezoo.training.progress_bar import BudgetBar
    from vaezoo.training.sample_watch import SampleWatch
    from vaezoo.training.user_callbacks import StopRecord, build_callbacks, explain_refusals

    callbacks: list[Any] = []
    if config.callbacks.samples:
        pictures = bool(config.figure.figures)
        callbacks.append(SampleWatch(data, folder, config.val_every, describe_run(config), pictures=pictures))
    if config.callbacks.progress and not workers.worker_rank():
        callbacks.append(BudgetBar(f"{type(model).__name__} {data.name}"))
    users = build_callbacks(OmegaConf.to_container(config.callbacks, resolve=True), config.trainer, folder)  # type: ignore[arg-type]
    if users and workers.worker_rank():
        trainer.loggers = [DummyLogger()]  # Callbacks log in every process, and the first one has the loggers.
    record = StopRecord(users, hash_training(config))
    with explain_refusals():
        fit(
            model,
            data,
            trainer,
            max_batches=max_batches,
            seed=config.seed,
            log_every=config.log_every,
            val_every=config.val_every,
            engine=config.trainer.get("engine", "eager"),
            chunk=config.trainer.get("chunk"),
            lr_schedule=OmegaConf.to_container(config.lr_schedule, resolve=True),  # type: ignore[arg-type]
            checkpoints=Checkpoints(folder / "checkpoints", **config.callbacks.checkpoints),
            callbacks=callbacks,
            user_callbacks=users,
            trained_before=config.init_from is not None,
            stop_record=record,
            interrupts=interrupts,
            resume_from=checkpoint,
        )
    return record.stop


def check_finished(batches: int, max_batches: int, config: DictConfig, folder: Path) -> None:
    """Raise UserError if the training has ended before its budget, or has a budget that is smaller than it."""
    if batches > max_batches:
        raise UserError(
            f"max_epochs={config.max_epochs}: that is {max_batches} batches, and this run has seen {batches} already."
        )
    if batches < max_batches:
        limit = config.trainer.get("max_time")
        cause = "Lightning" if limit is None else f"trainer.max_time={limit}"
        longer = "" if limit is None else " trainer.max_time=null"
        raise UserError(
            f"interrupted by {cause} after {batches} of {max_batches} batches;"
            f" go on with: python -m vaezoo.train {make_run_option(folder, config)}{longer}"
        )


def score_and_draw(config: DictConfig, folder: Path, model: Any, data: Any, loggers: Iterable[Any]) -> "Scores":
    """Evaluate the trained model, send scores and pictures to the loggers, and return the scores."""
    from vaezoo.evaluation.evaluate_model import evaluate_model

    data.place(model.device)
    options = {"metric": config.metric, "figure": config.figure, "seed": config.seed}
    with lock_scores(folder):
        scores, pictures = evaluate_model(model, data, folder, title=describe_run(config), **options)
    for logger in loggers:
        logger.log_metrics(scores.values, step=int(model.batches))
        for name, picture in pictures.items():
            logger.log_figure(name, picture)
    return scores


def save_bad_batch(folder: Path, data: Any, model: Any, number: int) -> None:
    """Write bad_batch.npz: the images of that training batch, their labels and their rows in the data set."""
    from vaezoo.training.chunks import order_rows

    batch = data.batch(order_rows(data, model).batches(number, 1)[0])
    arrays = {name: array for name, array in batch._asdict().items() if array is not None}
    write_arrays(folder / "bad_batch.npz", {name: array.cpu().numpy() for name, array in arrays.items()})


def duration(model: Any, seconds: float) -> str:
    return f"{int(model.batches)} batches, {math.floor(seconds / 60)} min {seconds % 60:.0f} s"


def print_summary(config: DictConfig, folder: Path, scores: "Scores", took: str, uploads: list[str]) -> None:
    """Print the scores and where everything is; of a job of a study one line, because the report has its table."""
    from vaezoo.evaluation.closing_table import print_scores
    from vaezoo.evaluation.verdict import describe_scores

    if OmegaConf.select(config, "sweep.over"):
        stop = describe_early_stop(folder)
        print(f"{folder.name}: {took}{f', {stop}' if stop else ''}")
        return
    if scores.values:
        print_scores(scores, describe_run(config), describe_scores(scores, read_history(folder)))
    place = relative_to_cwd(folder)
    print(took)
    if stop := describe_early_stop(folder):
        print(f"stopped   {stop}")
    print(f"run       {place}")
    for title, name in [("figures", "figures"), ("scores", "metrics.json")]:
        if (folder / name).exists():
            print(f"{title:9} {place / name}")
    print(f"again     python -m vaezoo.evaluate {make_run_option(folder, config)} metric=full")
    for upload in uploads:
        print(f"dashboard {upload.replace(str(folder), str(place))}")
