"""Overrides of the command line, and the keys and values of a configuration."""

import re
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import OverrideParseException
from omegaconf import DictConfig, OmegaConf

from vaezoo.errors import UserError


def leaves(config: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted keys and their values as written, interpolations unresolved; lists count as values."""
    for key, value in config.items():
        name = f"{prefix}{key}"
        if isinstance(value, dict) and value:
            yield from leaves(value, f"{name}.")
        else:
            yield name, value


def as_written(value: Any) -> Any:
    """Return a value as it is written on the command line, for messages: null, true, false."""
    return {None: "null", True: "true", False: "false"}[value] if value is None or isinstance(value, bool) else value


def branches(config: Any, prefix: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the dotted keys of the nodes that hold values, and what they hold."""
    for key, value in config.items():
        if isinstance(value, dict) and value:
            yield f"{prefix}{key}", value
            yield from branches(value, f"{prefix}{key}.")


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


def key_of(override: Override) -> str:
    """As it is written, such as schedule@model.beta, without the signs in front."""
    return override.get_key_element().lstrip("+~")
