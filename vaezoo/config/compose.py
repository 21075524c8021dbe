"""Compose configurations as Hydra does, and answer a name that does not exist with the nearest one."""

import copy
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from hydra import compose
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException, MissingConfigException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from vaezoo.config.directory import DIRECTORY
from vaezoo.config.overrides import parse_overrides
from vaezoo.config.plugins import list_files, list_roots
from vaezoo.errors import UserError, nearest

# The extra of vaezoo that installs each plugin of Hydra.
EXTRAS = {
    "hydra/launcher/joblib": "joblib",
    "hydra/launcher/submitit_slurm": "submitit",
    "hydra/launcher/ray": "ray",
    "hydra/sweeper/optuna": "optuna",
}

# Options of groups that were removed, and what to use instead.
REMOVED = {
    "launcher/packed": "launcher=joblib trains several jobs of a study on one GPU, too.",
    "launcher/submitit": "launcher=joblib trains several jobs of a study on this machine, launcher=slurm on a cluster.",
}


# Groups of which several options can be chosen at once, as GROUP=[A,B]; the file of any other replaces the one before.
SEVERAL = ("metric", "figure", "logger", "callbacks", "extra", "experiment")


def list_groups() -> frozenset[str]:
    """Return the names of the configuration groups, such as "model" and "metric/score"."""
    return frozenset().union(*map(list_folders, list_roots()))


@cache
def list_folders(root: Path) -> frozenset[str]:
    """Return the folders below a configuration folder, relative to it."""
    return frozenset(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_dir())


def is_group(override: Override) -> bool:
    """Return whether the override selects an option of a group."""
    key = override.key_or_group
    return key in list_groups() or key.startswith("hydra/")


def is_plain(override: Override) -> bool:
    """Return whether the override only changes the value of an existing key, so that nothing else changes with it."""
    has_sign = override.is_add() or override.is_force_add() or override.is_delete()
    return not (has_sign or is_group(override) or override.key_or_group.startswith("hydra."))


class Composer:
    """A function from overrides to configurations, as Hydra composes them, that composes each set of groups once."""

    def __init__(self, config_name: str) -> None:
        self.config_name = config_name
        self.bases: dict[tuple[str, ...], DictConfig] = {}

    def compose_base(self, lines: Sequence[str]) -> DictConfig:
        """Return what Hydra composes for these overrides, composed once and not to be changed.

        Raises UserError for overrides that cannot be composed.
        """
        overrides = tuple(lines)
        if overrides not in self.bases:
            self.bases[overrides] = compose_or_refuse(self.config_name, list(overrides))
        return self.bases[overrides]

    def __call__(self, lines: Sequence[str]) -> DictConfig:
        """Return the configuration of a job. Raises UserError for overrides that cannot be composed."""
        values: list[Override] = []
        others: list[Override] = []
        for override in parse_overrides(lines):
            (values if is_plain(override) else others).append(override)
        config = copy.deepcopy(self.compose_base([override.input_line or "" for override in others]))
        for override in values:
            try:
                OmegaConf.update(config, override.key_or_group, override.value(), merge=True)
            except OmegaConfBaseException as error:
                raise UserError(str(error).splitlines()[0]) from None
        return config


def compose_or_refuse(config_name: str, overrides: list[str]) -> DictConfig:
    """Return the composed configuration. Raises UserError, with the nearest name, for what does not exist."""
    groups = [override for override in parse_overrides(overrides) if is_group(override)]
    for override in groups:
        check_choice(override)
    try:
        config = compose(config_name, overrides)
    except MissingConfigException as error:
        if instead := REMOVED.get(str(error.missing_cfg_file)):
            choice = "=".join(str(error.missing_cfg_file).rsplit("/", 1))
            raise UserError(f"{choice}: this option was removed. {instead}") from None
        if extra := EXTRAS.get(str(error.missing_cfg_file)):
            group, _, name = str(error.missing_cfg_file).rpartition("/")
            raise UserError(
                f"{group}={name}: this plugin of Hydra is not installed. pip install 'vaezoo[{extra}]' brings it."
            ) from None
        group, name, options = describe_missing(str(error.missing_cfg_file), error.options or [])
        raise UserError(
            f"{group}={name}: there is no such {group}.{nearest(name, options) or nearest(name, list_files(group))}"
            f" Known: {', '.join(options)}."
        ) from None
    except (HydraException, OmegaConfBaseException) as error:
        dictionary = next((override for override in groups if isinstance(override.value(), dict)), None)
        hint = f" An option is chosen by its name, such as {dictionary.key_or_group}=NAME." if dictionary else ""
        raise UserError(f"{str(error).splitlines()[0]}{hint}") from None
    for override in groups:
        if override.is_delete() and "/" not in (group := override.key_or_group) and group not in config:
            raise UserError(f"{override.input_line}: it cannot be left out. Choose another one: {group}=NAME.")
    return config


def list_single_groups() -> frozenset[str]:
    """Return the groups of vaezoo of which a run has one option."""
    return frozenset(name for name in list_folders(Path(DIRECTORY)) if name.partition("/")[0] not in SEVERAL)


def check_choice(override: Override) -> None:
    """Raise UserError unless the option of a group is named by a text or by a list of texts.

    Hydra ends with a traceback for null and for numbers, and mixes the files of a list. A dictionary changes values of
    the group.
    """
    value = override.value()
    names = value if isinstance(value, list) else [value]
    group = override.key_or_group
    if isinstance(value, list) and len(value) > 1 and group in list_single_groups():
        raise UserError(
            f"{override.input_line}: one {group} is chosen for a run. A study of several: -m {group}="
            f"{','.join(map(str, value))}."
        )
    if override.is_delete() or all(isinstance(name, str | dict) for name in names):
        return
    files = sorted(file for file in list_files(group) if not file.startswith("base/"))
    none = f" {group}=none leaves it out." if "none" in files else ""
    known = f" Known: {', '.join(files)}." if files else ""
    raise UserError(f"{override.input_line}: there is no such {group}.{none}{known}")


def describe_missing(path: str, options: Sequence[str]) -> tuple[str, str, list[str]]:
    """Return the group and the name of a missing file, as the command line has them, and the names that exist."""
    if path.startswith("hydra/"):
        group, _, name = path.rpartition("/")
        return group, name, sorted(options)
    group, _, name = path.partition("/")
    files = sorted(file for file in list_files(group) if not file.startswith("base/"))
    below = [file for file in files if file.startswith(f"{name}/")]
    beside = [file for file in files if Path(file).parent == Path(name).parent]
    return group, name, below or beside or files
