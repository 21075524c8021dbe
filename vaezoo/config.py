"""Where the configuration lies, and what runs, folders and dashboards are called after it.

Nothing here imports torch: `--cfg job` and a slip on the command line are answered in a second.
"""

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import OverrideParseException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from vaezoo.errors import UserError

# Inside an installed wheel the configuration travels in the package; in a checkout it lies beside it.
_packaged = Path(__file__).parent / "conf"
DIRECTORY = str(_packaged if _packaged.is_dir() else Path(__file__).parents[1] / "conf")


def leaves(config: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted keys and their values as written, interpolations unresolved; lists count as values."""
    for key, value in config.items():
        name = f"{prefix}{key}"
        if isinstance(value, dict) and value:
            yield from leaves(value, f"{name}.")
        else:
            yield name, value


def parse_overrides(arguments: Sequence[str]) -> list[Override]:
    """The arguments that set something; flags and their values are Hydra's."""
    return [parsed(argument) for argument in arguments if not argument.startswith("-") and re.search("[=~]", argument)]


@cache  # the jobs of a study share most of their lines, and the parser takes its time
def parsed(line: str) -> Override:
    try:
        return OverridesParser.create().parse_overrides([line])[0]
    except OverrideParseException as error:
        raise UserError(
            f"'{error.override}' cannot be read as key=value ({str(error).splitlines()[0]})."
            " A text with spaces or signs needs quotes inside the shell's: \"key='a != 1'\"."
        ) from None


def flatten(config: DictConfig) -> dict[str, Any]:
    """The resolved configuration as dotted keys, for dashboards that group and plot by one of them."""
    container = OmegaConf.to_container(config, resolve=True)
    return dict(leaves(container)) if isinstance(container, dict) else {}


def folder_name(overrides: str) -> str:
    """A job's overrides as the name of its folder, without '=' and ','."""
    name = re.sub(r"[^\w.+\-]+", "_", overrides.replace("=", "-")).strip("_") or "defaults"
    if len(name) > 150:  # file systems allow 255 bytes
        name = f"{name[:140]}-{hashlib.sha256(name.encode()).hexdigest()[:9]}"
    return name


# What cannot change the weights that a training ends with: where it runs, what is looked at on the way and afterwards.
# The result of several processes is that of one.
NEUTRAL = (
    *("folder", "log_every", "val_every", "logger*", "callbacks*", "sweep*", "launcher*", "hydra*"),
    *("dataset.download", "dataset.verify", "dataset.residence"),
    *("trainer._target_", "trainer.accelerator", "trainer.devices", "trainer.strategy*", "trainer.plugins"),
    *("trainer.engine", "trainer.chunk", "trainer.deterministic", "trainer.benchmark", "trainer.profiler*"),
    *("trainer.enable_*", "trainer.detect_anomaly"),
)
# Scores and pictures can be made later.
AFTERWARDS = ("metric*", "figure*")


@cache
def is_neutral(key: str) -> bool:
    """Whether the training is the same whatever this key says."""
    return is_for_later(key) or any(fnmatchcase(key, pattern) for pattern in NEUTRAL)


def identity(config: DictConfig) -> str:
    """Of a training: the hash of everything in its configuration that determines the weights, the seed included."""
    return fingerprint(config, lambda key: not is_neutral(key))


def afterwards(config: DictConfig) -> str:
    """The hash of what is to be done with the trained model: scores and figures."""
    return fingerprint(config, is_for_later)


@cache
def is_for_later(key: str) -> bool:
    return any(fnmatchcase(key, pattern) for pattern in AFTERWARDS)


def fingerprint(config: DictConfig, counts: Callable[[str], bool]) -> str:
    """1 and 1.0 are the same number; a value that is set to its default is the default."""
    container: Any = OmegaConf.to_container(config, resolve=False)
    values = {
        key: comparable(OmegaConf.select(config, key) if "${" in str(written) else written)
        for key, written in leaves(container)
        if counts(key)
    }
    return hashlib.sha256(json.dumps(values, sort_keys=True, default=str).encode()).hexdigest()[:16]


def comparable(value: Any) -> Any:
    if OmegaConf.is_config(value):
        value = OmegaConf.to_container(value, resolve=True)
    if isinstance(value, dict):
        return {key: comparable(item) for key, item in value.items()}
    if isinstance(value, list):
        return [comparable(item) for item in value]
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


def key_of(override: Override) -> str:
    """As it is written, such as schedule@model.beta, without the signs in front."""
    return override.get_key_element().lstrip("+~")


def job_name(lines: Sequence[str], keys: Sequence[str]) -> str:
    """Those of its overrides that tell a job from the others of its study."""
    return ",".join(line for line in lines if line.partition("=")[0].lstrip("+~") in keys)


def job_folder(name: str, identity: str) -> str:
    """Its name, and eight digits of its identity: what was trained otherwise lies elsewhere."""
    return f"{folder_name(name)}-{identity[:8]}"


def own_name(config: DictConfig) -> str:
    """The name of the job that is going on; that of a single run has all its overrides."""
    lines = list(HydraConfig.get().overrides.task)
    return job_name(lines, config.sweep.over) if in_study() else ",".join(lines)


def in_study() -> bool:
    return HydraConfig.get().mode == RunMode.MULTIRUN


def parallel_job_number() -> int | None:
    """Return the number of this job among the jobs that a launcher runs at the same time; None for any other run."""
    if not HydraConfig.initialized() or not in_study():
        return None
    hydra = HydraConfig.get()
    return None if hydra.runtime.choices["hydra/launcher"] == "basic" else hydra.job.num


def study_name() -> str | None:
    """What the jobs of one multirun have in common, its folder; None for a single run."""
    return Path(HydraConfig.get().sweep.dir).name if in_study() else None


def call(function: str, *arguments: Any) -> Any:
    """What a function of ours says, such as the shape of the images in a user's file."""
    from hydra.utils import get_method

    return get_method(function)(*arguments)


def choose(key: Any, table: Mapping[Any, Any], default: Any = None) -> Any:
    """What follows from another value: ${choose:${dataset.mode},{rgb:3},1}."""
    return table.get(key, default)


OmegaConf.register_new_resolver("call", call, replace=True)
OmegaConf.register_new_resolver("choose", choose, replace=True)
OmegaConf.register_new_resolver("job_name", lambda *_, _root_: own_name(_root_), replace=True)
OmegaConf.register_new_resolver(
    "job_folder", lambda *_, _root_: job_folder(own_name(_root_), identity(_root_)), replace=True
)
OmegaConf.register_new_resolver("study_name", lambda *_: study_name(), replace=True)
