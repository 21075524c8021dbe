"""Title runs in tables and figures."""

from typing import Any

from omegaconf import DictConfig, OmegaConf

from vaezoo.config.signatures import read_signature
from vaezoo.config.type_rules import alternatives
from vaezoo.ranges import Schedule

TITLE_KEYS = ("model", "dataset", "dataset.name", "latent.dim", "seed")  # keys that stand in every title
MOST = 3  # weights of a model


def describe_run(config: DictConfig) -> str:
    """Return the title of a run, such as "DIPVAE (lambda_od 10) on dsprites, 10 latents, seed 0".

    In brackets are the swept keys of a study, or else the weights of the model.
    """
    model = config.model["_target_"].rpartition(".")[2]
    details = describe_swept_keys(config) or describe_weights(config.model)
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


def describe_weights(model: DictConfig) -> list[str]:
    """Return the numbers among the weights of a model, such as "lambda_od 10"."""
    parameters = read_signature(model["_target_"]).parameters
    weights = [name for name, parameter in parameters.items() if Schedule in alternatives(parameter.type)]
    values = {name: model.get(name) for name in weights}
    return [f"{name} {format_value(value)}" for name, value in values.items() if type(value) in (int, float)][:MOST]


def format_value(value: Any) -> str:
    """Return a value as text: six digits of a number."""
    return f"{value:g}" if type(value) in (int, float) else str(value)
