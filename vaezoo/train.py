"""Train one model on one data set: `python -m vaezoo.train model=dipvae dataset=dsprites`.

Composes the configuration, builds what it names, fits, evaluates. `run=DIR` goes on with an interrupted run, in its
own folder and with its own configuration; further overrides change it, such as a larger `max_batches`.
"""

import errno
import json
import logging
import math
import os
import signal
import sys
import time
import traceback
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import CompactHydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from vaezoo import runs, sharing, study, workers
from vaezoo.checks import check, check_command_line, check_grid
from vaezoo.config import DIRECTORY, afterwards, identity, own_name, parallel_job_number
from vaezoo.errors import NotFinite, UserError, nearest, report
from vaezoo.evaluate import evaluate, show, title_of

if TYPE_CHECKING:
    from vaezoo.callbacks.clock import Interrupts

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
        with runs.sole(folder, runs.WORKER):
            return lead(config, folder)
    done = identity(config), afterwards(config)
    with runs.sole(folder):
        if runs.is_done(folder, *done):
            print(f"{shown(folder)} is finished")
            return runs.final_scores(folder)
        (folder / runs.DONE).unlink(missing_ok=True)
        processes = workers.count(config.trainer.devices) if "strategy" in config.trainer else 1
        scores = train_together(config, folder, processes) if processes > 1 else lead(config, folder)
        runs.finish(folder, *done)
    return scores


def train_together(config: DictConfig, folder: Path, processes: int) -> dict[str, float]:
    """Have the workers train that share the run; the first of them leaves everything in the folder."""
    check(config)
    runs.write_whole(folder / runs.CONFIG, lambda beside: OmegaConf.save(config, beside, resolve=True))
    try:
        threads = sharing.count_threads(config.get("launcher"), processes)
        gpus = sharing.choose_gpus(config.trainer, parallel_job_number())
        number = workers.supervise(folder, processes, sharing.worker_environment(threads, gpus))
    except UserError as error:
        runs.write_text(folder / runs.ERROR, f"{error}\n")
        raise
    if number is not None:
        stop(folder, number)
    return runs.final_scores(folder)


def stop(folder: Path, number: int) -> NoReturn:
    """End as that signal asked, and say how the run goes on."""
    said = f"interrupted by {signal.Signals(number).name}"
    runs.write_text(folder / runs.ERROR, f"{said}\n")
    print(f"\n{said}; go on with: python -m vaezoo.train run={shown(folder)}", file=sys.stderr)
    sys.exit(128 + number)


def follow(config: DictConfig, folder: Path) -> dict[str, float]:
    """What the workers besides the first do: the common steps, and nothing that can be seen."""
    from vaezoo.callbacks.clock import Interrupted, Interrupts

    with Interrupts() as interrupts:
        try:
            return fit_and_evaluate(config, folder, runs.begun(folder), interrupts)
        except Interrupted as interrupted:
            sys.exit(128 + interrupted.signum)


def lead(config: DictConfig, folder: Path) -> dict[str, float]:
    """A run on one process, or the first worker's part of a common one."""
    from vaezoo.callbacks.clock import Interrupted, Interrupts

    resuming = runs.begun(folder)
    runs.write_whole(folder / runs.CONFIG, lambda beside: OmegaConf.save(config, beside, resolve=True))
    (folder / runs.ERROR).unlink(missing_ok=True)
    runs.remove_unfinished(folder)
    try:
        check(config)
        gpus = sharing.choose_gpus(config.trainer, parallel_job_number())
        if gpus is not None:
            config = config.copy()
            config.trainer.devices = gpus
        with Interrupts() as interrupts:
            return fit_and_evaluate(config, folder, resuming, interrupts)
    except Interrupted as interrupted:
        stop(folder, interrupted.signum)
    except UserError as error:
        runs.write_text(folder / runs.ERROR, f"{error}\n")
        raise
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            runs.write_text(folder / runs.ERROR, traceback.format_exc())
            raise
        message = (
            f"There is no space left to write {error.filename or 'into the run folder'}. What was saved before is"
            f" whole: make room and go on with: python -m vaezoo.train run={shown(folder)}"
        )
        with suppress(OSError):
            runs.write_text(folder / runs.ERROR, f"{message}\n")
        raise UserError(message) from error
    except BaseException:
        runs.write_text(folder / runs.ERROR, traceback.format_exc())
        raise


def fit_and_evaluate(config: DictConfig, folder: Path, resuming: bool, interrupts: "Interrupts") -> dict[str, float]:
    # Imported here, so that --help, --cfg job and a slip on the command line answer without torch.
    from hydra.utils import instantiate
    from pytorch_lightning import seed_everything

    from vaezoo import processes
    from vaezoo.callbacks.checkpoints import Checkpoints
    from vaezoo.callbacks.clock import Clock
    from vaezoo.callbacks.progress import BudgetBar
    from vaezoo.callbacks.samples import SampleWatch
    from vaezoo.callbacks.terms import TermLogger
    from vaezoo.engines import make_engine
    from vaezoo.environment import environment
    from vaezoo.memory import keep_freed_memory

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
        where = environment(config.seed, device_name(device), data.source.identity)
        runs.write_json(folder / "environment.json", where)
    code = 1
    try:
        if "wandb" in loggers:
            loggers["wandb"].start(OmegaConf.to_container(config, resolve=True))
        if int(model.batches) < max_batches:
            trainer.fit(model, datamodule=data, ckpt_path=checkpoint, weights_only=True)
        processes.leave()
        if not first:
            return {}
        data.place(device)
        interrupts.at_once()  # the weights are safe: what follows can simply be done again
        scores, pictures = evaluate(
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
            show(scores, title_of(config))
        tell(folder, duration(model, seconds), sync)
    return scores.values


def go_on(folder: Path, model: Any, identity: dict[str, Any]) -> Path | None:
    """Put the weights of the newest whole checkpoint into the model; where it lies. The data must be what they were."""
    found = runs.latest_checkpoint(folder)
    if found is None:
        return None
    began = folder / "environment.json"
    before = json.loads(began.read_text())["data"] if began.is_file() else identity
    if before != runs.plain(identity):
        changed = [key for key in {**before, **identity} if before.get(key) != identity.get(key)]
        told = ", ".join(f"{key} was {before.get(key)} and is {identity.get(key)}" for key in changed)
        raise UserError(
            f"The data are not those that this run began with: {told}. Put the former back, or begin a new run;"
            f" without {began} this one goes on with the new data."
        )
    path, state = found
    runs.restore(model, state, folder)
    return path


def keep_batch(folder: Path, data: Any, number: int) -> None:
    """bad_batch.npz: the images of that training batch, their labels and their rows in the data set."""
    from vaezoo.processes import alone

    with alone():
        rows = data.stream().rows_of(number)
        batch = data.batch(rows)
    arrays = {"images": batch.images, "rows": rows, **({} if batch.labels is None else {"labels": batch.labels})}
    runs.write_arrays(folder / "bad_batch.npz", {name: array.cpu().numpy() for name, array in arrays.items()})


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


def shown(path: Path) -> Path:
    """The path as one would type it here."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def duration(model: Any, seconds: float) -> str:
    return f"{int(model.batches)} batches, {math.floor(seconds / 60)} min {seconds % 60:.0f} s"


def tell(folder: Path, took: str, sync: str | None) -> None:
    """The last lines: where to look."""
    place = shown(folder)
    print(took)
    print(f"run       {place}")
    print(f"figures   {place / 'figures'}")
    print(f"scores    {place / 'metrics.json'}")
    print(f"again     python -m vaezoo.evaluate run={place} metric=full")
    if sync:
        print(f"dashboard {sync.replace(str(folder), str(place))}")


@hydra.main(version_base="1.3", config_path=DIRECTORY, config_name="train")
def job(config: DictConfig) -> dict[str, float] | float:
    try:
        sharing.take_share(config.launcher)
        scores = train(config)
        return scores if config.sweep.objective is None else objective(config.sweep.objective, scores)
    except Exception as error:
        if HydraConfig.get().mode != RunMode.MULTIRUN:
            if isinstance(error, UserError):
                report(error)
            raise
        # Said at once; the other jobs go on, and the study ends with the list of those that failed.
        message = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
        print(f"vaezoo: {own_name(config)}: {message}", file=sys.stderr)
    # Not within `except`: it would hold the error, whose frames hold the model and its data, to the end of the study.
    raise CompactHydraException(message)


def objective(name: str, scores: dict[str, float]) -> float:
    """The score that a search goes by. One that is not there ends the search: the other jobs would not have it."""
    if name not in scores:
        has = f"It has {', '.join(sorted(scores))}." if scores else "It has none: metric=none."
        report(UserError(f"sweep.objective={name}: the run has no such score.{nearest(name, scores)} {has}"))
    if not math.isfinite(scores[name]):
        raise UserError(f"sweep.objective={name}: the score is {scores[name]}.")
    return scores[name]


def resume(arguments: list[str]) -> None:
    """`run=DIR` and overrides of values: the run's own configuration, changed where it is said."""
    folder = Path(next(a for a in arguments if a.startswith("run=")).removeprefix("run=")).expanduser().resolve()
    config = runs.load_config(folder)
    changes = [argument for argument in arguments if not argument.startswith("run=")]
    for change in changes:
        key = change.partition("=")[0]
        if OmegaConf.select(config, key, default=...) is ... or key.split(".")[0] in ("model", "dataset", "latent"):
            raise UserError(f"'{change}' cannot be changed when a run goes on; max_batches and trainer flags can.")
    if OmegaConf.select(config, "launcher.jobs", default=1) is None:
        config.launcher.jobs = 1  # run folders of earlier versions hold null for "as many as fit into memory"
    config.merge_with_dotlist(changes)
    check(config)
    train(config)


def main() -> None:
    arguments = sys.argv[1:]
    try:
        if any(argument.startswith("run=") for argument in arguments):
            resume(arguments)
        else:
            sys.argv[1:] = prepare(arguments)
            sharing.remember_shell()
            os.environ[workers.COMMAND] = str(os.getpid())
            job()
    except UserError as error:
        report(error)
    except KeyboardInterrupt:  # while it waited for the jobs of a launcher
        print("\ninterrupted by SIGINT; the same command goes on", file=sys.stderr)
        sys.exit(128 + signal.SIGINT)


def prepare(arguments: list[str]) -> list[str]:
    """The command line as Hydra is given it, once it is checked.

    That of a study has more, so that each of its jobs knows where it belongs, and its flag in front: wherever else it
    stands, Hydra does not see what comes after it.
    """
    config = check_command_line("train", arguments)
    if config is None:
        return arguments
    if not study.is_multirun(arguments):
        if config.sweep.grids:
            raise UserError("This asks for the many jobs of a sweep: add -m, or sweep=null for a single one.")
        return arguments
    request = study.request(arguments, config.sweep)
    if config.sweep.grids:
        for line in request.lines:
            check_grid("train", line)
    added = [f"sweep.over={list(request.keys)}"]
    if not any(argument.startswith("hydra.sweep.dir=") for argument in arguments):
        added.append(f"hydra.sweep.dir='multirun/{request.name}'")
    return ["--multirun", *(argument for argument in arguments if argument not in study.FLAGS), *added]


if __name__ == "__main__":
    main()
