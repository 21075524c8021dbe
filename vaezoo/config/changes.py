"""Change the configuration of a run that goes on: `python -m vaezoo.train run=DIR max_batches=20000 metric=full`.

One rule holds for all keys: what the checkpoint or the parts of the run hold already cannot be changed, and is refused.
What can be changed has an effect, and is recorded.
"""

from collections.abc import Sequence

from hydra import initialize_config_dir
from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from vaezoo.config.compose import compose_or_refuse, is_group, list_groups
from vaezoo.config.directory import DIRECTORY
from vaezoo.config.identity import CHANGEABLE, is_changeable
from vaezoo.config.overrides import parse_override
from vaezoo.config.values import check_config
from vaezoo.errors import UserError, nearest


def change_config(config: DictConfig, lines: Sequence[str]) -> None:
    """Change the configuration of a run as these overrides say, groups first, in place.

    Raises UserError for a change that a run cannot take while it goes on, and for values that are wrong.
    """
    # Version 0.1.0 recorded the text of `metric=fast` in place of the group.
    texts = {node: value for node, value in config.items() if node in list_groups() and isinstance(value, str)}
    restored = [f"{node}={value}" for node, value in texts.items() if is_changeable(str(node))]
    overrides = [parse_override(line) for line in [*restored, *lines]]
    for override in overrides:
        refuse_change(override)
    groups = [override for override in overrides if is_group(override)]
    if groups:
        with initialize_config_dir(DIRECTORY, version_base="1.3"):
            composed = compose_or_refuse("train", [override.input_line or "" for override in groups])
        for override in groups:
            replace_node(config, override, composed)
    for override in overrides:
        if override not in groups:
            change_value(config, override)
    check_config(config)


def refuse_change(override: Override) -> None:
    """Raise UserError for an override that a run cannot take while it goes on, whatever its value is."""
    line, key = override.input_line, override.key_or_group
    if not is_changeable(key):
        keys = ", ".join(pattern.rstrip("*") for pattern in CHANGEABLE)
        raise UserError(
            f"'{line}' cannot be changed when a run goes on: it would have no effect, or half of one."
            f" What can be changed: {keys}."
        )
    if override.is_sweep_override():
        raise UserError(f"'{line}': a run has one value of each key; the jobs of a study have several.")
    if override.is_delete():
        raise UserError(f"'{line}': a key of a run cannot be taken away; set it to null, or choose another group.")
    if is_group(override) and (override.is_add() or override.is_force_add() or "/" in key or override.package):
        raise UserError(f"'{line}': a run takes a group as a whole, such as metric=fast or 'metric=[fast,score/irs]'.")


def replace_node(config: DictConfig, override: Override, composed: DictConfig) -> None:
    """Replace the node of a group by that of the composed configuration; its references mean values of the run."""
    node = override.key_or_group
    OmegaConf.update(config, node, OmegaConf.to_container(composed[node], resolve=False), merge=False)
    try:
        OmegaConf.to_container(config[node], resolve=True)
    except (OmegaConfBaseException, ValueError):  # ValueError: Hydra has no settings, because no new run begins.
        raise UserError(
            f"'{override.input_line}': it refers to values that only a new run has; give it when a run begins."
        ) from None


def change_value(config: DictConfig, override: Override) -> None:
    """Change the value of a key that the run has, or add a flag of Lightning's Trainer."""
    key, line = override.key_or_group, override.input_line
    is_new = OmegaConf.select(config, key, default=...) is ...
    if is_new and not (key.startswith("trainer.") and (override.is_add() or override.is_force_add())):
        head = key.rpartition(".")[0]
        inside = OmegaConf.select(config, head) if head else config
        names = [f"{head}.{name!s}".lstrip(".") for name in inside] if OmegaConf.is_dict(inside) else []
        raise UserError(f"'{line}': the configuration of this run has no such key.{nearest(key, names)}")
    try:
        OmegaConf.update(config, key, override.value(), merge=True, force_add=is_new)
    except OmegaConfBaseException as error:
        raise UserError(f"'{line}': {str(error).splitlines()[0]}") from None
