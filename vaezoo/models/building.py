"""Build models from a few plain values; everything else is what the configuration of the command line would choose.

vaezoo.build("dipvae", image_shape=(1, 64, 64), latent_dim=10, lambda_od=50.0)
DIPVAE(image_shape=(1, 64, 64), latent_dim=10, lambda_od=50.0)
"""

import inspect
from collections.abc import Mapping, Sequence, Set
from functools import cache
from pathlib import Path
from typing import Any

from hydra import initialize_config_dir
from hydra.utils import instantiate
from omegaconf import OmegaConf

from vaezoo.config.compose import Composer
from vaezoo.config.directory import DIRECTORY
from vaezoo.config.plugins import list_roots
from vaezoo.config.trust import check_trust
from vaezoo.config.values import check_config
from vaezoo.errors import UserError, nearest

PARTS = {"image_shape", "latent", "likelihood", "encoder", "decoder", "optimizer"}  # that no model can do without
GROUPS = ("network", "latent", "likelihood", "optimizer")  # for which the name of an option is a value, too
BARE = ("metric=none", "figure=none", "logger=csv")  # half of a configuration that has no part in a model


class Buildable(type):
    """The type of models: a class that is called without its networks takes them from the configuration.

    The file of conf/model that names the class, or else the nearest of its parents, has the values that the call leaves
    out. The values that a model was built from are kept as its `recipe`, which its checkpoints hold.
    """

    def __call__(cls, *arguments: Any, **values: Any) -> Any:
        is_whole = values.keys() >= PARTS and not any(map(is_node, values.values()))
        if arguments or is_whole or "image_shape" not in values:  # A subclass may make all parts by itself.
            return super().__call__(*arguments, **values)
        recipe = values if values.keys() >= PARTS else choose_values(find_file(cls), values, list_parameters(cls))
        recipe.pop("_target_", None)  # The file may be that of a parent.
        check_trust(keep_plain(recipe), cls.__name__)
        return make(cls, recipe)

    @property
    def __signature__(cls) -> inspect.Signature:
        """Return the signature of the constructor, which `help` and notebooks show."""
        constructor = next(vars(parent)["__init__"] for parent in cls.__mro__ if "__init__" in vars(parent))
        return inspect.Signature(list(inspect.signature(constructor).parameters.values())[1:])


def make(cls: Any, recipe: Mapping[str, Any]) -> Any:
    """Return a model of the class from values and nodes with a `_target_`; it keeps the plain ones as its `recipe`."""
    plain = keep_plain(recipe)
    built = instantiate({**plain, "_convert_": "all"})
    model = type.__call__(cls, **{**recipe, **built})
    model.recipe = plain
    return model


def choose_values(name: str, values: Mapping[str, Any], parameters: Set[str] | None = None) -> dict[str, Any]:
    """Return the values of conf/model/`name`.yaml with these in their place, and `_target_`; all references resolved.

    Objects, such as a network of the caller's own, are passed on. `parameters` are those of the class; None stands for
    the keys of the file. Raises UserError for values that do not exist or fit.
    """
    if "image_shape" not in values:
        raise UserError(f"{name}: needs image_shape=(C, H, W), such as (1, 28, 28).")
    shape = read_shape(values["image_shape"])
    plain = {key: value for key, value in keep_plain(values).items() if key != "image_shape"}
    options = {key: plain.pop(key) for key in GROUPS if isinstance(plain.get(key), str)}
    options.setdefault("network", choose_network(shape))
    lines = [f"model={name}", "dataset=digits", *(f"{group}={option}" for group, option in options.items()), *BARE]
    classes = plain.pop("classes", None)
    lines += [
        "dataset.name=arrays",
        f"dataset.shape={list(shape)}",
        f"dataset.classes={'null' if classes is None else classes}",
    ]
    with initialize_config_dir(DIRECTORY, version_base="1.3"):
        config = share_composer(tuple(list_roots()))(lines)
    if (dim := plain.pop("latent_dim", None)) is not None:
        if "dim" not in config.latent:
            raise UserError(f"latent_dim={dim}: the latents of {name} have no such number; see latent=.")
        config.latent.dim = dim
    own = [str(key) for key in config.model if not str(key).startswith("_")]
    takes = [key for key in own if parameters is None or key in parameters]
    takes += sorted((parameters or set()) - {*own, "self"})
    for key in values:
        if key not in (*takes, "image_shape", "latent_dim", "classes", "network"):
            raise UserError(f"{name} takes no {key}.{nearest(key, takes)} It takes {', '.join(takes)}, latent_dim.")
    for key, value in plain.items():
        if key in own:
            OmegaConf.update(config.model, key, value, merge=False)
    check_config(config)
    node: Any = OmegaConf.to_container(config.model, resolve=True)
    chosen = {key: node[key] for key in ("_target_", *takes) if key in node}
    others = {key: value for key, value in values.items() if key in takes and (key not in own or not is_plain(value))}
    return {**chosen, **others}


@cache
def share_composer(roots: tuple[Path, ...]) -> Composer:
    """Return the composer of all models that are built with these configuration folders.

    Hydra takes a quarter of a second for a configuration, and many models select the same groups.
    """
    return Composer("train")


def read_shape(shape: Any) -> tuple[int, ...]:
    """Return (C, H, W). Raises UserError for anything else."""
    sides = tuple(shape) if isinstance(shape, Sequence) and not isinstance(shape, str) else ()
    if len(sides) != 3 or not all(isinstance(side, int) and side > 0 for side in sides):
        raise UserError(f"image_shape={shape!r}: must be (C, H, W), such as (1, 28, 28).")
    return sides


def choose_network(shape: Sequence[int]) -> str:
    """Return the network for images (C, H, W), as `vaezoo.build` describes."""
    sides = shape[1:]
    if all(side % 16 == 0 and side >= 64 for side in sides):
        return "convh"
    return "convj32" if all(side == 32 for side in sides) else "mlp002"


def find_file(cls: type) -> str:
    """Return the name of the file in conf/model for a class, or for the nearest of its parents."""
    names = [parent.__module__.rpartition(".")[2] for parent in cls.__mro__ if parent.__module__.startswith("vaezoo.")]
    return next((name for name in names if (Path(DIRECTORY) / "model" / f"{name}.yaml").is_file()), "vae")


def list_parameters(cls: type) -> set[str]:
    """Return the names that the constructors of a class and of its parents take."""
    kinds = (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    constructors = [vars(parent)["__init__"] for parent in cls.__mro__ if "__init__" in vars(parent)]
    signatures = [inspect.signature(constructor).parameters.values() for constructor in constructors]
    return {parameter.name for parameters in signatures for parameter in parameters if parameter.kind in kinds}


def is_node(value: Any) -> bool:
    """Return whether a value is a node of the configuration, which names what it builds."""
    return isinstance(value, Mapping) and "_target_" in value


def keep_plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values that a configuration can hold, without objects."""
    return {key: value for key, value in values.items() if is_plain(value)}


def is_plain(value: Any) -> bool:
    """Return whether a configuration can hold a value: numbers, texts, None, and lists and dictionaries of them."""
    if isinstance(value, Mapping):
        return all(isinstance(key, str) for key in value) and all(map(is_plain, value.values()))
    if isinstance(value, list | tuple):
        return all(map(is_plain, value))
    return value is None or isinstance(value, bool | int | float | str)
