"""Where the configuration lies, and what runs, folders and dashboards are called after it.

Nothing here imports torch: `--cfg job` and a slip on the command line are answered in a second.
"""

import hashlib
import os
import re
from collections.abc import Iterator, Mapping, Sequence
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
    lines = [argument for argument in arguments if not argument.startswith("-") and re.search("[=~]", argument)]
    try:
        return OverridesParser.create().parse_overrides(lines)
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


SWEPT = "VAEZOO_SWEPT"  # an environment variable, so that the workers of any launcher know it


def job_name() -> str:
    """The overrides that tell this job from the others of its sweep; of a single run all of them."""
    hydra = HydraConfig.get()
    overrides = list(hydra.overrides.task)
    swept = os.environ.get(SWEPT, "").split()
    if hydra.mode == RunMode.MULTIRUN and swept:
        overrides = [override for override in overrides if override.partition("=")[0].lstrip("+~") in swept]
    return ",".join(overrides)


def swept_keys(arguments: Sequence[str]) -> list[str]:
    """Keys that the command line gives several values, as they are written there, such as schedule@model.beta."""
    swept = [override for override in parse_overrides(arguments) if override.is_sweep_override()]
    return [override.get_key_element().lstrip("+~") for override in swept]


def sweep_name() -> str | None:
    """What the jobs of one multirun have in common: the last two parts of its folder; None for a single run."""
    hydra = HydraConfig.get()
    return "/".join(Path(hydra.sweep.dir).parts[-2:]) if hydra.mode == RunMode.MULTIRUN else None


def call(function: str, *arguments: Any) -> Any:
    """What a function of ours says, such as the shape of the images in a user's file."""
    from hydra.utils import get_method

    return get_method(function)(*arguments)


def choose(key: Any, table: Mapping[Any, Any], default: Any = None) -> Any:
    """What follows from another value: ${choose:${dataset.mode},{rgb:3},1}."""
    return table.get(key, default)


OmegaConf.register_new_resolver("call", call, replace=True)
OmegaConf.register_new_resolver("choose", choose, replace=True)
OmegaConf.register_new_resolver("folder_name", folder_name, replace=True)
OmegaConf.register_new_resolver("job_name", lambda *_: job_name(), replace=True)
OmegaConf.register_new_resolver("sweep_name", lambda *_: sweep_name(), replace=True)
