"""A configuration is checked before torch is imported and before anything is written.

Each value has a rule (vaezoo.config.values), and some parts cannot work together (vaezoo.config.requirements). Mistakes
are answered in one or two lines: what is wrong, where, and what is allowed.
"""

from collections.abc import Sequence
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.override_parser.types import Override
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from vaezoo.config.compose import Composer, compose_or_refuse, groups, is_group
from vaezoo.config.directory import DIRECTORY
from vaezoo.config.overrides import branches, leaves, parse_overrides
from vaezoo.config.type_rules import is_schedule
from vaezoo.config.values import check_config, takes_schedule
from vaezoo.errors import UserError, nearest

# Groups whose keys are ours: a key that is not in their yaml is a slip of the pen, even when added with `+`.
CLOSED: tuple[str, ...] = ("", "model", "latent", "likelihood", "network", "dataset", "callbacks", "metric", "figure")
CLOSED += ("sweep", "launcher")

# Hydra's flags that name another configuration than ours.
OTHER_CONFIGURATION = ("--config", "-cp", "-cn", "-cd", "--experimental-rerun")

# Those with which no job begins, or many.
NOT_ONE_JOB = ("-m", "--multirun", "-c", "--cfg", "-i", "--info", "-h", "--help", "--hydra-help", "-sc", "--shell")


def check_command_line(config_name: str, arguments: Sequence[str]) -> DictConfig | None:
    """Refuse a command line that no job can follow, before Hydra makes a folder. Each value of a sweep is tried.

    Returns the configuration of the first job; None where it is not ours to know.
    """
    if any(argument.startswith(OTHER_CONFIGURATION) for argument in arguments):
        return None  # `check` still sees the composed result
    first = [(override, plain(override)) for override in parse_overrides(arguments)]
    with initialize_config_dir(DIRECTORY, version_base="1.3"):
        check_keys(config_name, first)
        check_launcher(config_name, first, arguments)
        check_sweep(config_name, first)
        return check_values(config_name, first)


def check_grid(config_name: str, line: Sequence[str]) -> None:
    """The same for a command line that a preset of a sweep stands for; Hydra is given its jobs one by one."""
    first = [(override, plain(override)) for override in parse_overrides(line)]
    with initialize_config_dir(DIRECTORY, version_base="1.3"):
        check_keys(config_name, first)
        check_values(config_name, first)


def check_values(config_name: str, first: Sequence[tuple[Override, str]]) -> DictConfig:
    """Each value of a sweep by itself, the others being those of the first job, whose configuration is returned."""
    compose = Composer(config_name)
    config = compose([line for _, line in first])
    check_config(config)
    for swept, _ in first:
        if not swept.is_choice_sweep():
            continue
        for value in list(swept.sweep_string_iterator())[1:]:
            job = [(one, assignment(one, value) if one is swept else line) for one, line in first]
            if is_group(swept):
                check_keys(config_name, job)
            check_config(compose([line for _, line in job]))
    return config


def check_launcher(config_name: str, job: Sequence[tuple[Override, str]], arguments: Sequence[str]) -> None:
    """A single run is trained by the process that was started, wherever it was meant to be trained."""
    chosen = [line for override, line in job if override.key_or_group in ("launcher", "hydra/launcher")]
    if not chosen or any(argument.startswith(NOT_ONE_JOB) for argument in arguments):
        return
    hydra = compose(config_name, [line for _, line in job], return_hydra_config=True).hydra
    if hydra.mode != RunMode.MULTIRUN and hydra.runtime.choices["hydra/launcher"] != "basic":
        raise UserError(
            f"{chosen[-1]}: launchers start the jobs of a study; without -m this one would be trained here."
        )


def check_keys(config_name: str, job: Sequence[tuple[Override, str]]) -> None:
    """What is set must exist once the groups are chosen; `job` pairs overrides with their lines in a single run."""
    choices = [(override, line) for override, line in job if is_group(override)]
    schedules = [override for override, _ in choices if override.key_or_group == "schedule"]
    if schedules:
        others = [line for override, line in choices if override not in schedules]
        before = compose_or_refuse(config_name, others)
        for override in schedules:
            check_place(override, before)
    base = compose_or_refuse(config_name, [line for _, line in choices])
    for override, line in job:
        if (override, line) not in choices:
            check_key(override, base)


def plain(override: Override) -> str:
    """The override as a single run would be given it: of a sweep, its first value."""
    if override.is_choice_sweep() or override.is_range_sweep():
        return assignment(override, next(iter(override.sweep_string_iterator())))
    if override.is_interval_sweep():
        return assignment(override, str(override.value().start))  # type: ignore[union-attr]
    return override.input_line or ""


def assignment(override: Override, value: str) -> str:
    return f"{(override.input_line or '').partition('=')[0]}={value}"


def check_sweep(config_name: str, job: Sequence[tuple[Override, str]]) -> None:
    """Before the jobs of a sweep Hydra composes what they share, without any choice of a swept group."""
    if not any(is_group(override) and override.is_sweep_override() for override, _ in job):
        return
    shared = [(override, line) for override, line in job if not override.is_sweep_override()]
    known = keys_of(compose_or_refuse(config_name, [line for override, line in shared if is_group(override)]))
    for override, line in shared:
        key = override.key_or_group
        plus = override.is_add() or override.is_force_add()
        if not (plus or is_group(override) or key in known or key.startswith("hydra.")):
            raise UserError(f"'{line}': this key comes with a group that is swept; Hydra then wants ++{line}.")


def check_place(override: Override, base: DictConfig) -> None:
    """A schedule takes the place of a weight that the model has."""
    node: Any = OmegaConf.to_container(base, resolve=False)
    now = {key: value for key, value in [*leaves(node), *branches(node)] if takes_schedule(node, key)}
    key = override.package
    if key not in now:
        has = f" This model has {', '.join(now)}." if now else " This model has none."
        hint = nearest(key or "", now) or has
        raise UserError(f"'{override.get_key_element()}': a schedule takes the place of a weight.{hint}")
    if not is_schedule(now[key]) and not override.is_add():
        raise UserError(f"{key}={now[key]} is no schedule yet; the first is added with +: +{override.input_line}.")
    if is_schedule(now[key]) and override.is_add():
        line = (override.input_line or "").lstrip("+")
        raise UserError(f"{key} is a schedule already; another is chosen without +: {line}.")


def keys_of(config: DictConfig) -> list[str]:
    """Dotted keys of all values, then of the nodes that hold them."""
    container: Any = OmegaConf.to_container(config, resolve=False)
    return [key for walk in (leaves, branches) for key, _ in walk(container)]


def check_key(override: Override, base: DictConfig) -> None:
    """The key of a value override must exist, whatever Hydra's `+` would add to our own groups."""
    key = override.key_or_group
    head = key.rpartition(".")[0]
    if key.startswith("hydra.") or key.split(".")[0] == "hydra":
        return
    closed = head.split(".")[0] in CLOSED
    if (override.is_add() or override.is_force_add()) and not closed:
        return
    known = keys_of(base)
    if key in known:
        return
    options = [name for name in dict.fromkeys([*known, *groups()]) if "_target_" not in name]
    inside = [name for name in options if name.rpartition(".")[0] == head]
    container: Any = OmegaConf.to_container(base, resolve=False)
    if head in known and not inside and takes_schedule(container, head):
        raise UserError(f"'{key}': {head} is a single number. A schedule has values: add +schedule@{head}=linear.")
    listed = f" {head} has {', '.join(name.rpartition('.')[2] for name in inside)}." if inside else ""
    hint = nearest(key, options) or listed
    raise UserError(f"'{key}' is not a key of this configuration.{hint}")
