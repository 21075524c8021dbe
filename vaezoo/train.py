"""Train one model on one data set: `python -m vaezoo.train model=dipvae dataset=dsprites`.

Composes the configuration, builds what it names, fits, evaluates. `run=DIR` goes on with an interrupted run, in its
own folder and with its own configuration; further overrides change it, such as a larger `max_batches`.
"""

import math
import os
import signal
import sys
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import CompactHydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from vaezoo.config.command_line import check_command_line, check_grid
from vaezoo.config.directory import DIRECTORY
from vaezoo.config.names import own_name
from vaezoo.config.values import check_config
from vaezoo.errors import UserError, nearest, report
from vaezoo.runs.folder import ERROR, load_config
from vaezoo.studies import study, threads
from vaezoo.training import workers
from vaezoo.training.run import train


@hydra.main(version_base="1.3", config_path=DIRECTORY, config_name="train")
def job(config: DictConfig) -> dict[str, float] | float:
    try:
        threads.take_share(config.launcher)
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
    config = load_config(folder)
    changes = [argument for argument in arguments if not argument.startswith("run=")]
    for change in changes:
        key = change.partition("=")[0]
        if OmegaConf.select(config, key, default=...) is ... or key.split(".")[0] in ("model", "dataset", "latent"):
            raise UserError(f"'{change}' cannot be changed when a run goes on; max_batches and trainer flags can.")
    if OmegaConf.select(config, "launcher.jobs", default=1) is None:
        config.launcher.jobs = 1  # run folders of earlier versions hold null for "as many as fit into memory"
    config.merge_with_dotlist(changes)
    check_config(config)
    try:
        train(config)
    except Exception:
        # Of a worker, mostly the lost connection to another one, whose death is what the supervisor reports.
        if workers.worker_rank() == 0 and (folder / ERROR).is_file():
            sys.exit(1)
        raise


def main() -> None:
    arguments = sys.argv[1:]
    if workers.worker_rank() is not None:
        signal.signal(
            signal.SIGINT, signal.SIG_DFL
        )  # the supervisor says it; here it would be a traceback from an import
    try:
        if any(argument.startswith("run=") for argument in arguments):
            resume(arguments)
        else:
            sys.argv[1:] = prepare(arguments)
            threads.remember_shell()
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
