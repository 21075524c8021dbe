"""Complete the configuration of a run that an earlier version wrote, from the defaults of today.

A key that cannot change what is trained gets its default. Every other missing key is refused by its name, because the
run would go on as another one.
"""

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from vaezoo.config.directory import DIRECTORY
from vaezoo.config.identity import ADDED_LATER, is_neutral
from vaezoo.config.overrides import branches, leaves
from vaezoo.config.signatures import REQUIRED, read_signature
from vaezoo.errors import UserError

# The files with the defaults of the keys that are the same for all choices of parts; "" are the keys of the command.
FILES = {
    "": "train.yaml",
    "lr_schedule": "lr_schedule/none.yaml",
    "callbacks": "callbacks/base/options.yaml",
    "metric": "metric/base/options.yaml",
    "figure": "figure/base/options.yaml",
    "launcher": "launcher/local.yaml",
    "trainer": "trainer/auto.yaml",
}
PARTS = ("optimizer", "latent", "likelihood", "network", "dataset", "model")  # which have no default
NEEDED = ("dataset.name", "dataset.shape", "dataset.classes")  # which no class takes, but titles and checks do


@cache
def list_defaults() -> dict[str, Any]:
    """Return today's defaults by their dotted keys, as far as they are values and no references."""
    defaults: dict[str, Any] = {}
    for group, file in FILES.items():
        content = yaml.safe_load(Path(DIRECTORY, file).read_text(encoding="utf-8"))
        values = {key: value for key, value in content.items() if key not in ("defaults", "hydra")}
        defaults |= leaves({group: values} if group else values)
    sweep = yaml.safe_load(Path(DIRECTORY, "sweep/base/options.yaml").read_text(encoding="utf-8"))["sweep"]
    defaults |= leaves({"sweep": sweep})
    return {key: value for key, value in defaults.items() if "${" not in str(value)}


def complete_config(config: dict[str, Any], place: str) -> None:
    """Add the missing keys to the configuration of a run, in place.

    Raises UserError, which names the keys, where a key that changes the training is missing, or where a part is no
    dictionary. `place` names the configuration in messages.
    """
    for name in (*PARTS, *(group for group in FILES if group), "sweep", "logger"):
        # Version 0.1.0 recorded the text of `metric=fast` in place of the group; `change_config` replaces it.
        kinds = dict if name in PARTS else (dict, str)
        if not isinstance(config.get(name, {}), kinds):
            raise UserError(f"{place}: {name} is {config[name]!r}, expected keys with values. The file is damaged.")
    lacking = [name for name in PARTS if name not in config]
    for key, default in list_defaults().items():
        node, name = find_parent(config, key)
        if node is None or name in node:
            continue
        if default is None or is_neutral(key) or key in ADDED_LATER:
            node[name] = default
        else:
            lacking.append(key)
    config.setdefault("logger", {"csv": {"_target_": "vaezoo.loggers.csv.CSVFile"}})
    lacking += [] if lacking else list_lacking(config)
    if lacking:
        raise UserError(
            f"{place}: it lacks {', '.join(lacking)}, which the training depends on. The file was written by another"
            " version, or it is damaged. Write the values of the run into it."
        )


def check_complete(config: Any, place: str) -> None:
    """Raise UserError where a training would go on with a default that the run may not have begun with.

    The files of vaezoo list all parameters of these parts, so that a run that lacks one is of another version.
    """
    for part in ("model", "latent", "likelihood"):
        parameters = read_signature(config[part]["_target_"]).parameters.items()
        new = {name: parameter.default for name, parameter in parameters if name not in config[part]}
        for name, default in new.items():
            if default not in (None, ..., REQUIRED):
                raise UserError(
                    f"{place}: it lacks {part}.{name}, which the training depends on. Write {name}: {default} into"
                    f" {part} if the run had today's default, or else its value."
                )


def find_parent(config: dict[str, Any], key: str) -> tuple[Any, str]:
    """Return the node that holds a dotted key, made where it is missing, and the last part of the key.

    The node is None where something else stands in its place.
    """
    *path, name = key.split(".")
    node: Any = config
    for part in path:
        node = node.setdefault(part, {}) if isinstance(node, dict) else None
    return (node if isinstance(node, dict) else None), name


def list_lacking(config: dict[str, Any]) -> Iterator[str]:
    """Yield the keys that a part needs, because its class has no default for them."""
    yield from (key for key in NEEDED if key.split(".")[1] not in config["dataset"])
    yield from (f"{part}._target_" for part in PARTS if part != "network" and "_target_" not in config[part])
    for key, node in branches({part: config[part] for part in PARTS}):
        target = node.get("_target_")
        if isinstance(target, str) and not node.get("_partial_"):
            parameters = read_signature(target).parameters.items()
            yield from (
                f"{key}.{name}" for name, parameter in parameters if parameter.default is REQUIRED and name not in node
            )
