"""Check a command line before torch is imported and before anything is written.

Its keys must exist, its values must fit their types (vaezoo.config.values), and its parts must work together
(vaezoo.config.requirements). A mistake is answered in one or two lines: what is wrong, where, and what is allowed.
"""

import sys
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.override_parser.types import Override
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from vaezoo.config.compose import Composer, is_group, list_groups
from vaezoo.config.directory import DIRECTORY
from vaezoo.config.overrides import branches, leaves, parse_overrides, read_key
from vaezoo.config.plugins import list_files
from vaezoo.config.reference import answer_help
from vaezoo.config.requirements import OUR_CALLBACKS
from vaezoo.config.secrets import check_secret
from vaezoo.config.type_rules import is_schedule
from vaezoo.config.values import check_config, takes_schedule
from vaezoo.errors import UserError, nearest, simplify

# Groups whose files list all of their keys: a key that is not there is a mistake, even when it is added with `+`.
CLOSED: tuple[str, ...] = ("", "model", "latent", "likelihood", "network", "dataset", "callbacks", "metric", "figure")
CLOSED += ("sweep", "launcher")

NAMED = ("model", "dataset", "experiment", "network")  # groups whose options a user may name alone by mistake

# What other programs call a key of ours, and the line that is meant.
OTHER_WORDS = {
    **dict.fromkeys(("device", "accelerator", "cuda", "gpu", "gpus"), "trainer=gpu"),
    **dict.fromkeys(("learning_rate", "rate"), "optimizer.lr={}"),
    **dict.fromkeys(("steps", "max_steps", "iterations", "num_steps"), "max_batches={}"),
    **dict.fromkeys(("z_dim", "latent_size", "code_dim"), "latent.dim={}"),
}

# Flags of Hydra that name another configuration than that of vaezoo.
OTHER_CONFIGURATION = ("--config", "-cp", "-cn", "--experimental-rerun")

# Flags with which no job begins, or several.
HELP = ("-h", "--help", "--hydra-help")
NOT_ONE_JOB = (*HELP, "-m", "--multirun", "-c", "--cfg", "-i", "--info", "-sc", "--shell")


def check_command_line(
    config_name: str, arguments: Sequence[str], composer: Composer | None = None
) -> DictConfig | None:
    """Check a command line, with each value of a sweep, before Hydra makes a folder.

    A composer of earlier lines saves time where they select the same groups.

    Returns the configuration of the first job; None if the user names another configuration than that of vaezoo, whose
    values are checked once Hydra has composed it, or asks for the flags of Hydra. Any other request for help is
    answered, and ends the process. Raises UserError for the first mistake.
    """
    if "--hydra-help" in arguments or any(argument.startswith(OTHER_CONFIGURATION) for argument in arguments):
        return None
    if any(argument in HELP for argument in arguments):
        print(answer_help(config_name, [argument for argument in arguments if not argument.startswith("-")]))
        sys.exit()
    check_words(arguments)
    job = [(override, as_single_run(override)) for override in parse_overrides(arguments)]
    for override, line in job:
        value = override.value() if isinstance(override.value(), dict | list) else line.partition("=")[2]
        check_secret(read_key(override), value)
    with initialize_config_dir(DIRECTORY, version_base="1.3"):
        composer = composer or Composer(config_name)
        check_keys(composer, job)
        check_launcher(config_name, job, arguments)
        check_shared_keys(composer, job)
        return check_values(composer, job)


def check_words(arguments: Sequence[str]) -> None:
    """Raise UserError for a word that is neither a flag, nor the value of one, nor an override."""
    for before, word in pairwise(["", *arguments]):
        follows_flag = before.startswith("-") and before not in ("-m", "--multirun") and "=" not in before
        if word.startswith("-") or "=" in word or "~" in word or follows_flag:
            continue
        options = [f"{group}={name}" for group in NAMED for name in list_files(group)]
        meant = next((line for line in options if simplify(line.partition("=")[2]) == simplify(word)), None)
        hint = f" Did you mean {meant}?" if meant else " A value is given as key=value, such as seed=1."
        raise UserError(f"'{word}' alone says nothing.{hint}")


def check_grid(config_name: str, line: Sequence[str]) -> None:
    """Check the command line that a grid of a sweep stands for. Raises UserError for the first mistake.

    Keys that are fixed may come with a swept group, because Hydra gets the jobs of a grid one by one.
    """
    job = [(override, as_single_run(override)) for override in parse_overrides(line)]
    with initialize_config_dir(DIRECTORY, version_base="1.3"):
        composer = Composer(config_name)
        check_keys(composer, job)
        check_values(composer, job)


def check_values(composer: Composer, job: Sequence[tuple[Override, str]]) -> DictConfig:
    """Check the first job of a sweep, then each swept value in it, and return the configuration of the first job.

    `job` pairs each override with its line in the first job. Values of two keys are not tried in all combinations,
    because there may be thousands. Raises UserError for the first mistake.
    """
    config = composer([line for _, line in job])
    check_config(config)
    for swept, _ in job:
        if not swept.is_choice_sweep():
            continue
        for value in list(swept.sweep_string_iterator())[1:]:
            other = [(override, assign(override, value) if override is swept else line) for override, line in job]
            if is_group(swept):
                check_keys(composer, other)
            check_config(composer([line for _, line in other]))
    return config


def check_launcher(config_name: str, job: Sequence[tuple[Override, str]], arguments: Sequence[str]) -> None:
    """Raise UserError for a launcher in the command line of a single run, which the command itself would train."""
    launchers = [line for override, line in job if override.key_or_group in ("launcher", "hydra/launcher")]
    if not launchers or any(argument.startswith(NOT_ONE_JOB) for argument in arguments):
        return
    hydra = compose(config_name, [line for _, line in job], return_hydra_config=True).hydra
    if hydra.mode != RunMode.MULTIRUN and hydra.runtime.choices["hydra/launcher"] != "basic":
        raise UserError(
            f"{launchers[-1]}: launchers start the jobs of a study; without -m this one would be trained here."
        )


def check_keys(composer: Composer, job: Sequence[tuple[Override, str]]) -> None:
    """Raise UserError for a key that does not exist in the configuration that the selected groups make.

    `job` pairs each override with its line in a single run.
    """
    choices = [(override, line) for override, line in job if is_group(override)]
    schedules = [override for override, _ in choices if override.key_or_group == "schedule"]
    if schedules:
        others = [line for override, line in choices if override not in schedules]
        without_schedules = composer.compose_base(others)
        for override in schedules:
            check_schedule(override, without_schedules)
    base = composer.compose_base([line for _, line in choices])
    for override, line in job:
        if (override, line) not in choices:
            check_key(override, base)


def as_single_run(override: Override) -> str:
    """Return the override as the command line of a single run has it: with the first value of a sweep."""
    if override.is_choice_sweep() or override.is_range_sweep():
        return assign(override, next(iter(override.sweep_string_iterator())))
    if override.is_interval_sweep():
        return assign(override, str(override.value().start))  # type: ignore[union-attr]
    return override.input_line or ""


def assign(override: Override, value: str) -> str:
    """Return the override with another value."""
    return f"{(override.input_line or '').partition('=')[0]}={value}"


def check_shared_keys(composer: Composer, job: Sequence[tuple[Override, str]]) -> None:
    """Raise UserError for a key that exists only with a swept group.

    Before the jobs of a sweep Hydra composes the overrides that they share, without any option of a swept group.
    """
    if not any(is_group(override) and override.is_sweep_override() for override, _ in job):
        return
    shared = [(override, line) for override, line in job if not override.is_sweep_override()]
    keys = list_keys(composer.compose_base([line for override, line in shared if is_group(override)]))
    for override, line in shared:
        key = override.key_or_group
        has_plus = override.is_add() or override.is_force_add()
        if not (has_plus or is_group(override) or key in keys or key.startswith("hydra.")):
            raise UserError(f"'{line}': this key comes with a group that is swept; Hydra then wants ++{line}.")


def check_schedule(override: Override, base: DictConfig) -> None:
    """Raise UserError for a schedule that does not replace a weight of the model, or that has the wrong sign in front.

    `base` is the configuration without the schedules of the command line.
    """
    node: Any = OmegaConf.to_container(base, resolve=False)
    weights = {key: value for key, value in [*leaves(node), *branches(node)] if takes_schedule(node, key)}
    key = override.package
    if key not in weights:
        has = f" This model has {', '.join(weights)}." if weights else " This model has none."
        hint = nearest(key or "", weights) or has
        raise UserError(f"'{override.get_key_element()}': a schedule takes the place of a weight.{hint}")
    if not is_schedule(weights[key]) and not override.is_add():
        raise UserError(f"{key}={weights[key]} is no schedule yet; the first is added with +: +{override.input_line}.")
    if is_schedule(weights[key]) and override.is_add():
        line = (override.input_line or "").lstrip("+")
        raise UserError(f"{key} is a schedule already; another is chosen without +: {line}.")


def adds_callback(key: str) -> bool:
    """Return whether the key belongs to a callback of the user, whose class says which keys it has."""
    return key.startswith("callbacks.") and key.split(".")[1] not in OUR_CALLBACKS


def list_keys(config: DictConfig) -> list[str]:
    """Return the dotted keys of all values, then those of the nodes that hold them."""
    container: Any = OmegaConf.to_container(config, resolve=False)
    return [key for walk in (leaves, branches) for key, _ in walk(container)]


def check_key(override: Override, base: DictConfig) -> None:
    """Raise UserError if the key of an override does not exist, even where `+` would add it to a closed group."""
    key = override.key_or_group
    head = key.rpartition(".")[0]
    if key == "hydra.output_subdir":
        raise UserError(f"{override.input_line}: must be left out: vaezoo itself writes .hydra/, once a job may begin.")
    if key.startswith("hydra.") or key.split(".")[0] == "hydra":
        return
    is_closed = head.split(".")[0] in CLOSED and not adds_callback(key)
    if (override.is_add() or override.is_force_add()) and not is_closed:
        return
    keys = list_keys(base)
    if key in keys:
        return
    options = [name for name in dict.fromkeys([*keys, *list_groups()]) if "_target_" not in name]
    inside = [name for name in options if name.rpartition(".")[0] == head]
    container: Any = OmegaConf.to_container(base, resolve=False)
    if head in keys and not inside and takes_schedule(container, head):
        raise UserError(f"'{key}': {head} is a single number. A schedule has values: add +schedule@{head}=linear.")
    listed = f" {head} has {', '.join(name.rpartition('.')[2] for name in inside)}." if inside else ""
    _, _, value = (override.input_line or "").partition("=")
    if line := OTHER_WORDS.get(key):
        raise UserError(f"'{key}' is not a key of this configuration. Did you mean '{line.format(value)}'?")
    hint = nearest(key, options) or listed
    raise UserError(f"'{key}' is not a key of this configuration.{hint}")
