"""Compose configurations as Hydra does, and refuse what does not exist with the nearest name."""

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
from vaezoo.errors import UserError, nearest

# Hydra's plugins: the extra that brings each.
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


@cache
def groups() -> frozenset[str]:
    """Names of the configuration groups, such as "model" and "metric/score"."""
    root = Path(DIRECTORY)
    return frozenset(str(path.relative_to(root)) for path in root.rglob("*") if path.is_dir())


def is_group(override: Override) -> bool:
    """Return whether an override decides which files are composed; folders of a user's own files do, too."""
    key = override.key_or_group
    return key in groups() or key.startswith("hydra/") or key == "hydra.searchpath"


def is_plain(override: Override) -> bool:
    """Whether it gives a value to a key of ours that is there already, so that nothing else changes with it."""
    sign = override.is_add() or override.is_force_add() or override.is_delete()
    return not (sign or is_group(override) or override.key_or_group.startswith("hydra."))


class Composer:
    """Configurations of jobs as Hydra composes them; groups that several have in common are composed once.

    `search_path` are folders of a user's own files, for lines that do not name them with hydra.searchpath.
    """

    def __init__(self, config_name: str, search_path: Sequence[str] = ()) -> None:
        self.config_name = config_name
        self.common = [f"hydra.searchpath={[str(folder) for folder in search_path]}"] if search_path else []
        self.bases: dict[tuple[str, ...], DictConfig] = {}

    def __call__(self, lines: Sequence[str]) -> DictConfig:
        values: list[Override] = []
        others: list[Override] = []
        for override in parse_overrides(lines):
            (values if is_plain(override) else others).append(override)
        shared = (*self.common, *(override.input_line or "" for override in others))
        if shared not in self.bases:
            self.bases[shared] = compose_or_refuse(self.config_name, list(shared))
        config = copy.deepcopy(self.bases[shared])
        for override in values:
            try:
                OmegaConf.update(config, override.key_or_group, override.value(), merge=True)
            except OmegaConfBaseException as error:
                raise UserError(str(error).splitlines()[0]) from None
        return config


def compose_or_refuse(config_name: str, overrides: list[str]) -> DictConfig:
    try:
        return compose(config_name, overrides)
    except MissingConfigException as error:
        if instead := REMOVED.get(str(error.missing_cfg_file)):
            choice = "=".join(str(error.missing_cfg_file).rsplit("/", 1))
            raise UserError(f"{choice}: this option was removed. {instead}") from None
        if extra := EXTRAS.get(str(error.missing_cfg_file)):
            group, _, name = str(error.missing_cfg_file).rpartition("/")
            raise UserError(
                f"{group}={name}: this plugin of Hydra is not installed. pip install 'vaezoo[{extra}]' brings it."
            ) from None
        group, name, options = missing(str(error.missing_cfg_file), error.options or [])
        raise UserError(
            f"{group}={name}: there is no such {group}.{nearest(name, options)} Known: {', '.join(options)}."
        ) from None
    except (HydraException, OmegaConfBaseException) as error:
        raise UserError(str(error).splitlines()[0]) from None


def missing(path: str, options: Sequence[str]) -> tuple[str, str, list[str]]:
    """The group and the name of a file that is not there, as the command line has them, and which names there are."""
    if path.startswith("hydra/"):
        group, _, name = path.rpartition("/")
        return group, name, sorted(options)
    group, _, name = path.partition("/")
    place = Path(DIRECTORY) / group
    known = sorted(str(found.relative_to(place).with_suffix("")) for found in place.rglob("*.yaml"))
    below = [other for other in known if other.startswith(f"{name}/")]
    beside = [other for other in known if Path(other).parent == Path(name).parent]
    return group, name, below or beside or [other for other in known if not other.startswith("base/")]
