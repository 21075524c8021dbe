"""Check the values of a configuration for their type and range before anything is imported or written.

The value of a key in a node with a `_target_` must fit the parameter of that name (vaezoo.config.signatures); the keys
of the commands themselves have a table (vaezoo.config.command_keys). Both say in words what a value must be.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import InterpolationKeyError, OmegaConfBaseException

from vaezoo.config.command_keys import rule_of_command, type_of_command_key
from vaezoo.config.overrides import as_written, branches, leaves
from vaezoo.config.requirements import find_mismatch
from vaezoo.config.secrets import check_secret
from vaezoo.config.signatures import REQUIRED, Parameter, Signature, describe_missing, read_signature
from vaezoo.config.type_rules import alternatives, rule_of_type
from vaezoo.errors import UserError, nearest
from vaezoo.ranges import Rule, Schedule

# The beginnings of OmegaConf's messages for a value that refers to itself: directly, by its parent, or by other values.
CIRCLES = ("Recursive interpolation", "Interpolation to parent node", "RecursionError")
HYDRA_KEYS = ("_target_", "_partial_", "_convert_", "_recursive_", "_args_")


def check_config(config: DictConfig) -> None:
    """Raise UserError for the first value of the wrong type or range, and for parts that cannot work together."""
    container: Any = OmegaConf.to_container(config, resolve=False)
    # Values without references come first, because a wrong value also makes those wrong that refer to it, and because
    # most mistakes are then answered before the sources of later parts are read.
    for key, written in sorted(leaves(container), key=lambda leaf: "${" in str(leaf[1])):
        check_secret(key, written)
        if written == "???":  # A missing value is often a key of another class, which has a better message.
            parent = key.rpartition(".")[0]
            check_parameters(parent, find_node(container, parent))
        if rule := find_rule(container, key):
            check_value(config, key, written, rule)
    for key, node in branches(container):
        if (rule := find_rule(container, key)) and (wanted := rule(node)):
            raise UserError(f"{key}={{{', '.join(map(str, node))}}}: {must_be(wanted)}")
        if key == "lr_schedule":  # whose warm-up is not of torch, and which gets an optimiser where it is built
            check_parameters(key, {name: value for name, value in node.items() if name != "warmup"}, ["optimizer"])
        elif key == "trainer":  # the file of the Trainer is long to read, so only for flags that have no rule here
            others = {name: value for name, value in node.items() if type_of_command_key(f"trainer.{name}") is Any}
            if others:
                check_parameters(key, {"_target_": node["_target_"], **others})
        elif "_target_" in node:
            check_parameters(key, node)
        if is_target(node) and (reason := describe_missing(node["_target_"])):
            raise UserError(f"{key}._target_={node['_target_']}: {reason}")
    if mismatch := find_mismatch(config):
        raise UserError(mismatch)


def check_value(config: DictConfig, key: str, written: Any, rule: Rule) -> None:
    """Raise UserError where the value of that key, with its references resolved, is not what the rule wants."""
    try:
        value = OmegaConf.select(config, key)
        if OmegaConf.is_config(value):
            value = OmegaConf.to_container(value, resolve=True)
    except InterpolationKeyError:
        raise UserError(f"{key}={written}: it refers to a key that does not exist.") from None
    except OmegaConfBaseException as error:
        if mistake := find_user_error(error):
            raise mistake from None
        if str(error).startswith(CIRCLES):
            raise UserError(f"{key}={written}: it refers to itself.") from None
        return  # such a value, for example the folder, is known only once Hydra runs the job
    if wanted := rule(value):
        raise UserError(f"{key}={as_written(written)}: {must_be(wanted)}")


def must_be(wanted: str) -> str:
    """Return the sentence; a hint such as " Did you mean 'relu'?" ends it by itself."""
    return f"must be {wanted}" if wanted.endswith("?") else f"must be {wanted}."


def find_user_error(error: BaseException | None) -> UserError | None:
    """Return the UserError of a function that the configuration calls, because OmegaConf wraps it more than once."""
    while error is not None and not isinstance(error, UserError):
        error = error.__cause__ or error.__context__
    return error


# ---- which rule a key has ---------------------------------------------------------------------------------------


def find_rule(container: Mapping[str, Any], key: str) -> Rule | None:
    """Return the rule for the value of a dotted key; None where every value is accepted."""
    if type_of_command_key(key) is not None:
        return rule_of_command(key)
    parameter = find_parameter(container, key)
    return None if parameter is None else rule_of_type(parameter.type)


def find_node(container: Mapping[str, Any], key: str) -> Any:
    """Return what a configuration holds at a dotted key; None where it has no such key."""
    node: Any = container
    for name in key.split(".") if key else ():
        node = node.get(name) if isinstance(node, dict) else None
    return node


def find_parameter(container: Mapping[str, Any], key: str) -> Parameter | None:
    """Return the parameter of a class that a dotted key gives a value; None where its node builds none."""
    parent, _, name = key.rpartition(".")
    node = find_node(container, parent)
    return signature_of_node(node).parameters.get(name) if isinstance(node, dict) else None


def signature_of_node(node: Mapping[str, Any]) -> Signature:
    """Return the signature of the class that a node builds; that of a data set has the options of its source, too."""
    signature = read_signature(node["_target_"]) if is_target(node) else Signature()
    source = node.get("source")
    if signature.is_open and isinstance(source, dict) and is_target(source):
        of_source = read_signature(source["_target_"])
        return Signature({**of_source.parameters, **signature.parameters}, of_source.is_open)
    return signature


def is_target(node: Mapping[str, Any]) -> bool:
    """Return whether the node names a class or function to build."""
    target = node.get("_target_")
    return isinstance(target, str) and "${" not in target


def check_parameters(key: str, node: Mapping[str, Any], supplied: Sequence[str] = ()) -> None:
    """Raise UserError where a node has keys that its class does not take, or lacks keys that it needs.

    `supplied` are arguments that the class gets besides those of the node.
    """
    signature = signature_of_node(node)
    if signature.is_open:
        return
    keys = [name for name in node if name not in HYDRA_KEYS]
    lacking = [name for name, parameter in signature.parameters.items() if parameter.default is REQUIRED]
    lacking = [] if node.get("_partial_") else [name for name in lacking if name not in (*node, *supplied)]
    unknown = [name for name in keys if name not in signature.parameters or name in supplied]
    if unknown or lacking:
        takes = [name for name in signature.parameters if name not in (*supplied, "params")]
        mistakes = [f"does not take {', '.join(unknown)}"] if unknown else []
        mistakes += [f"needs {', '.join(lacking)}"] if lacking else []
        hint = nearest(unknown[0], takes) if len(unknown) == 1 else ""
        leave_out = f" '~{key}.{unknown[0]}' leaves a key out." if unknown and not hint else ""
        name = node["_target_"].rpartition(".")[2]
        raise UserError(f"{key}: {name} {' and '.join(mistakes)}.{hint} It takes {', '.join(takes)}.{leave_out}")


def takes_schedule(container: Mapping[str, Any], key: str) -> bool:
    """Return whether the key is that of a weight, such as model.beta."""
    parameter = find_parameter(container, key)
    return parameter is not None and Schedule in alternatives(parameter.type)
