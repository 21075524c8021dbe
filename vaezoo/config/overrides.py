"""Parse overrides of the command line, and walk over the keys and values of a configuration."""

import re
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import OverrideParseException
from omegaconf import DictConfig, OmegaConf

from vaezoo.errors import UserError


def leaves(config: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the dotted keys of all values, and the values as written, references unresolved; a list is one value."""
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


PATHS = ("run", "runs", "codes", "study", "out", "to")
PLACES = ("hydra.run.dir", "hydra.sweep.dir", "sweep.name", "dataset.path")  # may hold sweeps and references, too


def quote_paths(arguments: Sequence[str]) -> list[str]:
    """Return the arguments with quotes around paths that Hydra could not read, such as run=my runs/beta=4.

    A text that begins with a quote, a list or a reference stays as it is, and so does a place that Hydra can read.
    """
    quoted = []
    for argument in arguments:
        key, _, text = argument.partition("=")
        is_path = key in PATHS and not re.fullmatch(r"[\w./-]+", text, re.ASCII)
        unread = is_path or (key in PLACES and not can_parse(argument))
        if unread and text and text[0] not in "'\"[" and not text.startswith("${"):
            argument = f"{key}={quote(text)}"
        quoted.append(argument)
    return quoted


def can_parse(line: str) -> bool:
    """Return whether Hydra can read an override."""
    try:
        parse_override(line)
    except UserError:
        return False
    return True


def find_option(arguments: Sequence[str], name: str) -> str:
    """Return the text after `name=` among the arguments; "" where it is not there."""
    return next((line.partition("=")[2] for line in arguments if line.startswith(f"{name}=")), "")


def read_run(arguments: Sequence[str]) -> Path | None:
    """Return the run folder that `run=` names; None where the arguments name none."""
    text = find_option(arguments, "run")
    if not text:
        return None
    (place,) = quote_paths([f"run={text}"])
    return Path(str(parse_override(place).value())).expanduser().resolve()


def read_trust(arguments: Sequence[str]) -> list[str]:
    """Return the packages that `trust=` names: one, or a list as in trust=[a,b]."""
    text = find_option(arguments, "trust")
    value = parse_override(f"trust={text}").value() if text else []
    return [str(name) for name in (value if isinstance(value, list) else [value])]


def quote(text: str) -> str:
    """Return a text in quotes of Hydra."""
    escaped = re.sub(r"(\\*)('|$)", lambda end: end[1] * 2 + ("\\'" if end[2] else ""), text)
    return f"'{escaped}'"


def parse_overrides(arguments: Sequence[str]) -> list[Override]:
    """Return the overrides among the arguments, without flags. Raises UserError for one that cannot be parsed."""
    return [
        parse_override(argument)
        for argument in arguments
        if not argument.startswith("-") and re.search("[=~]", argument)
    ]


@cache  # because the parser is slow, and the jobs of a study share most of their overrides
def parse_override(line: str) -> Override:
    """Return the parsed override. Raises UserError if it cannot be parsed."""
    try:
        return OverridesParser.create().parse_overrides([line])[0]
    except OverrideParseException as error:
        raise UserError(
            f"'{error.override}' cannot be read as key=value ({str(error).splitlines()[0]})."
            " A text with spaces or signs needs quotes inside the shell's: \"key='a != 1'\"."
        ) from None


def flatten(config: DictConfig) -> dict[str, Any]:
    """Return the resolved values by their dotted keys, because dashboards group and plot by such keys."""
    container = OmegaConf.to_container(config, resolve=True)
    return dict(leaves(container)) if isinstance(container, dict) else {}


def read_key(override: Override) -> str:
    """Return the key of an override without the signs in front, such as "schedule@model.beta"."""
    return override.get_key_element().lstrip("+~")
