"""The commands in Python: `vaezoo.train("model=dipvae", max_batches=100)` and `vaezoo.evaluate(run, metric="full")`."""

import re
import shlex
import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, open_dict, read_write

from vaezoo.api.trained_run import Run
from vaezoo.config.command_line import check_command_line
from vaezoo.config.directory import DIRECTORY
from vaezoo.config.overrides import parse_overrides, quote, quote_paths, read_run
from vaezoo.config.plugins import named_folders, take_folders, use_folders
from vaezoo.errors import UserError
from vaezoo.evaluate import evaluate_codes, evaluate_run
from vaezoo.runs.folder import read_scores
from vaezoo.studies.study import FLAGS, is_multirun
from vaezoo.train import complete_arguments, resume
from vaezoo.training import run as training_run

FOLDER = "hydra.run.dir="  # the only key of Hydra that means something where no command starts


def train(*overrides: str, **values: Any) -> Run:
    """Train one model as `python -m vaezoo.train` does, and return its run.

    `overrides` are those of the command line, `values` the same by name: None, numbers, texts, lists and dictionaries.
    `run=` a folder or a Run continues it; `**{"hydra.run.dir": "outputs/first"}` names the folder of a new one. The
    jobs of a study are trained by the command, with -m. Raises UserError for mistakes, and KeyboardInterrupt after
    Ctrl-C, which loses nothing.

    >>> import vaezoo
    >>> run = vaezoo.train("model=betavae", "dataset=digits", max_batches=20, logger="csv")  # doctest: +ELLIPSIS
    log ...
    BetaVAE (beta 2) on digits...
    >>> run.state
    'finished'
    """
    arguments = make_arguments(overrides, values)
    for override in parse_overrides(arguments):
        if is_multirun(arguments) or override.is_sweep_override():
            raise UserError(
                f"{override.input_line}: this function trains one run; the jobs of a study are trained by the command:"
                f" python -m vaezoo.train -m {shlex.join(word for word in arguments if word not in FLAGS)}"
            )
    with interrupts_raised():
        if (folder := read_run(arguments)) is not None:
            resume(arguments)
            return Run(folder, trust=None)
        for argument in arguments:
            if argument.lstrip("+~").startswith("hydra.") and not argument.startswith(FOLDER):
                raise UserError(f"{argument}: has no effect in Python, where no command starts.")
        arguments = complete_arguments(arguments)
        with composed("train", arguments) as config:
            training_run.train(config)
            return Run(Path(config.folder).resolve(), trust=None)


def evaluate(run: Run | str | Path | None = None, *overrides: str, **values: Any) -> dict[str, float]:
    """Score and draw a run as `python -m vaezoo.evaluate` does, and return all its scores by name.

    `overrides` and `values` are as in `train`, such as metric="full" or figure="tsne". With codes="FILE.npz" and
    without a run, the arrays in the file are scored. Raises UserError for mistakes.

    >>> import vaezoo
    >>> vaezoo.evaluate("outputs/first", metric="score/sap_discrete")  # doctest: +SKIP
    {'elbo': -22.4, 'sap_discrete': 0.02}
    """
    chosen = {} if run is None else {"run": run}
    arguments = make_arguments(overrides, {**values, **chosen})
    names = [argument.partition("=")[0] for argument in arguments]
    if "figure" in names and "metric" not in names:
        arguments.append("metric=none")  # as the command does
    check_command_line("evaluate", arguments)
    with composed("evaluate", arguments) as config:
        if config.codes is not None:
            return evaluate_codes(config)
        evaluate_run(config)
        return {
            name.removeprefix("eval/"): value for name, value in read_scores(Path(config.out or config.run)).items()
        }


def make_arguments(overrides: Sequence[str], values: Mapping[str, Any]) -> list[str]:
    """Return overrides and values as the words of a command line.

    Folders of plug-ins among them are used from then on, also by later calls that name none.
    """
    for override in overrides:
        if not isinstance(override, str):
            raise UserError(f"{override!r}: must be an override such as 'model=dipvae'.")
    words = quote_paths([*overrides, *(f"{key}={write_value(value)}" for key, value in values.items())])
    before = list(named_folders)
    others = take_folders(words)
    if not named_folders:
        use_folders(before)
    for word in others:
        if word.startswith("-") and word not in FLAGS:
            raise UserError(f"{word}: is a flag of the commands alone, such as `python -m vaezoo.train {word}`.")
    return others


def write_value(value: Any) -> str:
    """Return a value as Hydra reads it on a command line. Raises UserError for one that no command line can have."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, Run):
        value = value.folder
    if isinstance(value, str | Path):
        text = str(value)
        is_plain = re.fullmatch(r"[A-Za-z][\w/-]*", text, re.ASCII) and text.lower() not in ("null", "true", "false")
        return text if is_plain else quote(text)
    if isinstance(value, list | tuple):
        return f"[{','.join(map(write_value, value))}]"
    if isinstance(value, Mapping):
        return f"{{{','.join(f'{key}: {write_value(item)}' for key, item in value.items())}}}"
    raise UserError(f"{value!r}: must be None, a number, a text, a list or a dictionary, as a configuration has them.")


@contextmanager
def composed(config_name: str, arguments: Sequence[str]) -> Iterator[DictConfig]:
    """Give the configuration of a job, with the settings of Hydra as a command has them."""
    settings = HydraConfig.instance()
    before = settings.cfg
    with initialize_config_dir(DIRECTORY, version_base="1.3"):
        config = compose(config_name, list(arguments), return_hydra_config=True)
    try:
        settings.set_config(config)  # The name of the folder may refer to it.
        with read_write(config.hydra.runtime):
            config.hydra.runtime.output_dir = str(Path(config.hydra.run.dir).resolve())
        settings.set_config(config)
        with open_dict(config):
            del config["hydra"]
        yield config
    finally:
        settings.cfg = before


@contextmanager
def interrupts_raised() -> Iterator[None]:
    """Raise KeyboardInterrupt where a command would exit because of a signal."""
    try:
        yield
    except SystemExit as stop:
        if stop.code in (128 + signal.SIGINT, 128 + signal.SIGTERM):
            raise KeyboardInterrupt from None
        raise
