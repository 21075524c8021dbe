"""Title runs in tables and figures."""

from functools import cache
from pathlib import Path
from typing import Any

import yaml
from omegaconf import DictConfig, OmegaConf

from vaezoo.config.directory import DIRECTORY

TITLE_KEYS = ("model", "dataset", "dataset.name", "latent.dim", "seed")  # keys that stand in every title
MAX_NUMBERS = 3  # of a model


def describe_run(config: DictConfig) -> str:
    """Return the title of a run, such as "DIPVAE (lambda_od 10) on dsprites, 10 latents, seed 0".

    In brackets are the swept keys of a study, or else the first numbers that belong to this model alone.
    """
    model = config.model["_target_"].rpartition(".")[2]
    details = describe_swept_keys(config) or describe_numbers(config.model)
    name = f"{model} ({', '.join(details)})" if details else model
    size = f"{config.latent.dim} latents" if config.latent.dim else f"{config.latent.categories[0]} categories"
    return f"{name} on {config.dataset.name}, {size}, seed {config.seed}"


def describe_swept_keys(config: DictConfig) -> list[str]:
    """Return the swept keys with their values, such as "beta 4"; a part is described by its class."""
    details = []
    for key in OmegaConf.select(config, "sweep.over", default=None) or []:
        value = OmegaConf.select(config, key)
        if isinstance(value, DictConfig):
            value = value.get("_target_", "").rpartition(".")[2]
        if key not in TITLE_KEYS and value not in (None, ""):
            details.append(f"{key.rpartition('.')[2]} {format_value(value)}")
    return details


def describe_numbers(model: DictConfig) -> list[str]:
    """Return the first numbers of a model that are no options of all models, such as "lambda_od 10"."""
    own = {str(name): model.get(name) for name in model if name not in read_base_options()}
    numbers = {name: value for name, value in own.items() if type(value) in (int, float)}
    return [f"{name} {format_value(value)}" for name, value in numbers.items()][:MAX_NUMBERS]


@cache
def read_base_options() -> frozenset[str]:
    """Return the names of the options of all models, from conf/model/base."""
    files = (Path(DIRECTORY) / "model" / "base").glob("*.yaml")
    return frozenset(name for path in files for name in yaml.safe_load(path.read_text(encoding="utf-8")))


def format_value(value: Any) -> str:
    """Return a value as text: six digits of a number."""
    return f"{value:g}" if type(value) in (int, float) else str(value)
