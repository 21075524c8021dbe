"""Train one model on one data set: `python -m vaezoo.train model=dipvae dataset=dsprites`.

The command composes the configuration, builds what it names, fits the model and evaluates it. `run=DIR` continues an
interrupted run in its own folder and with its own configuration; further overrides change values of it, such as
`max_batches`. `trust=my_package` lets the configuration of the folder build classes of that package.
"""

import math
import os
import shlex
import signal
import sys
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import CompactHydraException, InstantiationException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from vaezoo.config.changes import change_config
from vaezoo.config.command_line import NOT_ONE_JOB, check_command_line, check_grid
from vaezoo.config.completion import check_complete
from vaezoo.config.directory import DIRECTORY
from vaezoo.config.names import name_current_job
from vaezoo.config.overrides import find_option, parse_override, parse_overrides, quote_paths, read_run, read_trust
from vaezoo.config.plugins import take_folders, use_job_folders
from vaezoo.config.secrets import check_secret
from vaezoo.errors import UserError, command, describe_write_error, nearest, outlive_terminal, report
from vaezoo.runs.folder import CONFIG, ERROR, is_shared, load_config, refuse_configuration
from vaezoo.runs.start import Command
from vaezoo.studies import study, threads
from vaezoo.training import workers
from vaezoo.training.devices import check_devices
from vaezoo.training.run import train


@hydra.main(version_base="1.3", config_path=DIRECTORY, config_name="train")
def job(config: DictConfig) -> dict[str, float] | float:
    """Train one job; return its scores, or the one score that a search optimises.

    A job of a study that fails prints its reason at once and raises CompactHydraException, so that the other jobs go
    on, and the study ends with a list of the failed ones.
    """
    outlive_terminal()  # also in the processes that a launcher starts
    use_job_folders()
    try:
        check_secret("hydra.job.env_set", OmegaConf.to_container(HydraConfig.get().job.env_set))
        threads.take_share(config.launcher)
        scores = train(config)
        return scores if config.sweep.objective is None else read_objective(config.sweep.objective, scores)
    except Exception as error:
        if HydraConfig.get().mode != RunMode.MULTIRUN:
            if is_user_error(error):
                report(UserError(describe_failure(error)))
            raise
        message = describe_failure(error)
        print(f"vaezoo: {name_current_job(config)}: {message}", file=sys.stderr)
    # Raised after `except`, because the new error would otherwise hold the old one, and with it the model and its data,
    # until the study ends.
    raise CompactHydraException(message)


def is_user_error(error: Exception) -> bool:
    """Return whether the message of an error is all that the user needs: a mistake, or a full disk."""
    return isinstance(error, UserError) or (isinstance(error, OSError) and describe_write_error(error) is not None)


def describe_failure(error: Exception) -> str:
    """Return why a job failed, in one line."""
    if isinstance(error, OSError) and (reason := describe_write_error(error)):
        return reason
    return str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"


def read_objective(name: str, scores: dict[str, float]) -> float:
    """Return the score that a search optimises. Raises UserError if it is not finite.

    A missing score ends the whole search, because no other job would have it either.
    """
    if name not in scores:
        has = f"It has {', '.join(sorted(scores))}." if scores else "It has none: metric=none."
        report(UserError(f"sweep.objective={name}: the run has no such score.{nearest(name, scores)} {has}"))
    if not math.isfinite(scores[name]):
        raise UserError(f"sweep.objective={name}: the score is {scores[name]}.")
    return scores[name]


def resume(arguments: list[str]) -> None:
    """Continue the run of `run=DIR` with its own configuration, changed by the other arguments (`change_config`).

    Raises UserError for a change that a run cannot take while it goes on. A worker exits with status 1 if the run has
    written a reason into error.txt.
    """
    folder = read_run(arguments) or Path()
    # A worker continues what its supervisor has just written and checked.
    trust = None if workers.worker_rank() is not None else read_trust(arguments)
    if folder.is_file() or is_shared(folder):
        raise UserError(
            f"run={folder}: a shared run has no optimisers, so that it cannot go on. vaezoo.load and vaezoo.evaluate"
            " open it; to train, begin a new run."
        )
    config = load_config(folder, trust)
    check_complete(config, f"run={folder}: {CONFIG}")
    if OmegaConf.select(config, "launcher.jobs", default=1) is None:
        config.launcher.jobs = 1  # run folders of earlier versions hold null for "as many as fit into memory"
    try:
        change_config(config, [argument for argument in arguments if not argument.startswith(("run=", "trust="))])
        train(config)
    except UserError:
        raise
    except (OmegaConfBaseException, InstantiationException) as error:
        raise refuse_configuration(folder, error) from error
    except Exception:
        # A worker mostly fails because another one has died, and the supervisor reports that one.
        if workers.worker_rank() == 0 and (folder / ERROR).is_file():
            sys.exit(1)
        raise


def main() -> None:
    """Run the command line: continue a run, or train the jobs that it requests."""
    with command(then="the same command goes on"):
        arguments = take_folders(quote_paths(sys.argv[1:]))
        if workers.worker_rank() is not None:
            # The supervisor reports the interruption; a worker that still imports would print a traceback.
            signal.signal(signal.SIGINT, signal.SIG_DFL)
        place = workers.find_place()
        if place is not None and place.rank:
            follow_first()
            return
        with workers.releasing_others(place):
            if place is not None:
                arguments = adapt_arguments(arguments, place)
            if any(argument.startswith("run=") for argument in arguments):
                resume(arguments)
            else:
                sys.argv[1:] = complete_arguments(arguments)
                threads.remember_shell()
                os.environ[workers.COMMAND] = str(os.getpid())
                job()


def follow_first() -> None:
    """Train beside the first of the processes that torchrun or srun has started, in the folder that it announces."""
    folder = workers.wait_for_folder()
    if folder is not None:
        train(load_config(folder, None))  # The first process has just written and checked it.


def adapt_arguments(arguments: list[str], place: workers.Place) -> list[str]:
    """Return the arguments with the number of processes that torchrun or srun has started.

    Raises UserError for a study, whose jobs are runs of their own.
    """
    if study.is_multirun(arguments):
        raise UserError(
            f"-m: torchrun or srun has started {place.processes} processes for one run, and a study is many runs."
            " Start the study by itself; launcher=slurm runs its jobs on a cluster."
        )
    return [*arguments, f"trainer.devices={place.processes}"]


def complete_arguments(arguments: list[str]) -> list[str]:
    """Check the command line and return the one for Hydra. Raises UserError for one that no job can follow.

    That of a study also has its folder and its swept keys, so that each job can name itself. Its flag comes first,
    because Hydra ignores what follows the flag elsewhere.
    """
    config = check_command_line("train", arguments)
    if config is None:
        return arguments
    if not study.is_multirun(arguments):
        swept = [override.input_line for override in parse_overrides(arguments) if override.is_sweep_override()]
        if swept:
            whole = shlex.join(["python", "-m", "vaezoo.train", "-m", *arguments])
            raise UserError(f"{swept[0]}: several values make a study, which needs -m: {whole}")
        if config.sweep.grids:
            raise UserError("This asks for the many jobs of a sweep: add -m, or sweep=null for a single one.")
        check_place(find_option(arguments, "hydra.run.dir") or "outputs")
        if not any(argument.startswith(NOT_ONE_JOB) for argument in arguments):
            check_devices(config.trainer)
        return arguments
    if "partition" not in config.launcher:  # of a cluster, whose machines have other devices
        check_devices(config.trainer)
    request = study.read_request(arguments, config.sweep)
    if config.sweep.grids:
        for line in request.lines:
            check_grid("train", line)
    added = [f"sweep.over={list(request.keys)}"]
    if not any(argument.startswith("hydra.sweep.dir=") for argument in arguments):
        added.append(f"hydra.sweep.dir='multirun/{request.name}'")
    return ["--multirun", *(argument for argument in arguments if argument not in study.FLAGS), *added]


def check_place(option: str) -> None:
    """Raise UserError if the folder of a run cannot be created, for which Hydra would print a traceback."""
    place = Path(str(parse_override(quote_paths([f"run={option}"])[0]).value())).expanduser().absolute()
    existing = next(folder for folder in (place, *place.parents) if folder.exists())
    if existing.is_dir() and not os.access(existing, os.W_OK):
        raise UserError(f"{existing} cannot be written. hydra.run.dir=FOLDER puts the run into another place.")


sys.modules[__name__].__class__ = Command  # so that vaezoo.train(...) works, too

if __name__ == "__main__":
    main()
