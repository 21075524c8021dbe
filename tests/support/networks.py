"""Networks as the configuration has them, and their sizes."""

from functools import cache
from pathlib import Path
from typing import Any

import torch
import yaml
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from torch import nn

from vaezoo.config.directory import DIRECTORY

MNIST, GREY, RGB = (1, 28, 28), (1, 64, 64), (3, 64, 64)
NETWORKS = sorted(path.stem for path in (Path(DIRECTORY) / "network").glob("*.yaml"))


def read_side(name: str) -> int | None:
    """Return the side of the images of a network that takes one size alone."""
    return yaml.safe_load((Path(DIRECTORY) / "network" / f"{name}.yaml").read_text()).get("image_side")


SIDES = {name: read_side(name) for name in NETWORKS}


@cache
def composed(network: str) -> DictConfig:
    """Compose the file of a network alone, a tenth of the work of a whole configuration."""
    with initialize_config_dir(DIRECTORY, version_base="1.3"):
        return compose(f"network/{network}")


def choose(network: str, latents: int = 10) -> DictConfig:
    """Return the networks that `network=...` chooses."""
    return OmegaConf.merge({"latent": {"dim": latents}}, composed(network)).network


def thin(network: DictConfig) -> DictConfig:
    """Return a network of the same layers, kernels and norms with an eighth of the units, but eight at least."""

    def fewer(value: Any, key: str) -> Any:
        if isinstance(value, dict):
            return {inner: fewer(part, inner) for inner, part in value.items()}
        if key == "convolutions":
            return [[fewer(filters, "channels"), *kernel_and_stride] for filters, *kernel_and_stride in value]
        if key in ("hidden", "code_hidden", "channels", "bottom"):
            return [fewer(units, key) for units in value] if isinstance(value, list) else max(8, value // 8)
        return value

    return OmegaConf.create(fewer(OmegaConf.to_container(network, resolve=True), ""))


def build(
    network: str, shape: tuple[int, int, int], latents: int, *, params: int | None = None, **options: int
) -> tuple[nn.Module, nn.Module]:
    """Return an encoder and a decoder; a Gaussian needs 2 J `params`, other latents other numbers."""
    config = choose(network, latents)
    return (
        instantiate(config.encoder)(shape, params or 2 * latents, **options),
        instantiate(config.decoder)(latents, shape),
    )


def parameters(*modules: nn.Module) -> int:
    return sum(parameter.numel() for module in modules for parameter in module.parameters())


def without_memory() -> torch.device:
    """Return the context in which networks have sizes and no numbers, since their parameters are only counted."""
    return torch.device("meta")
