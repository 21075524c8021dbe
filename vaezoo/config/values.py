"""The values of a configuration, checked for their type and range before anything is imported."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import InterpolationKeyError, OmegaConfBaseException

from vaezoo.config.directory import DIRECTORY
from vaezoo.config.overrides import leaves
from vaezoo.config.requirements import mismatch
from vaezoo.config.rules import rule_for, takes_schedule
from vaezoo.errors import UserError

# What OmegaConf says of a value that refers to itself, at once, by its parent, or round other values.
CIRCLES = ("Recursive interpolation", "Interpolation to parent node", "RecursionError")

# The source that has no data of its own.
OWN_DATA = "vaezoo.data.sources.arrays.arrays"


def branches(config: Any, prefix: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Dotted keys of the nodes that hold values, and what they hold."""
    for key, value in config.items():
        if isinstance(value, dict) and value:
            yield f"{prefix}{key}", value
            yield from branches(value, f"{prefix}{key}.")


def check_config(config: DictConfig) -> None:
    """Raise UserError for the first value of the wrong type or range, and for parts that cannot work together."""
    container = OmegaConf.to_container(config, resolve=False)
    if OmegaConf.select(config, "dataset.source._target_") == OWN_DATA and config.dataset.path is None:
        raise UserError("dataset.path=null: must be your .npz, .npy or .h5 file, or a folder of pictures.")
    for key, node in branches(container):
        rule = rule_for(key)
        if rule and (wanted := rule(node)):
            raise UserError(f"{key}={{{', '.join(node)}}}: must be {wanted}.")
        if takes_schedule(key):
            check_schedule(key, node)
    for key, written in leaves(container):
        rule = rule_for(key)
        if rule is None:
            continue
        try:
            value = OmegaConf.select(config, key)
            if OmegaConf.is_config(value):
                value = OmegaConf.to_container(value, resolve=True)
        except InterpolationKeyError:
            raise UserError(f"{key}={written}: it points to a key that does not exist.") from None
        except OmegaConfBaseException as error:
            if mistake := mistake_behind(error):
                raise mistake from None
            if str(error).startswith(CIRCLES):
                raise UserError(f"{key}={written}: it leads back to itself.") from None
            continue  # known only once Hydra runs the job, such as its folder
        if wanted := rule(value):
            raise UserError(f"{key}={written}: must be {wanted}.")
    if complaint := mismatch(config):
        raise UserError(complaint)


def mistake_behind(error: BaseException | None) -> UserError | None:
    """What a function that the configuration calls had to say; OmegaConf wraps it more than once."""
    while error is not None and not isinstance(error, UserError):
        error = error.__cause__ or error.__context__
    return error


def check_schedule(key: str, node: dict[str, Any]) -> None:
    """Our schedules take the values of their files, no more and no fewer."""
    for path in (Path(DIRECTORY) / "schedule").glob("*.yaml"):
        known: Any = OmegaConf.load(path)
        if known["_target_"] == node["_target_"] and set(known) != set(node):
            takes, given = (", ".join(name for name in names if name != "_target_") for names in (known, node))
            raise UserError(f"{key}: a {path.stem} schedule takes {takes}, not {given}.")
