"""Configurations and models as the command line composes and builds them."""

from pathlib import Path

import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from omegaconf import DictConfig

from vaezoo.config.directory import DIRECTORY

MODELS = sorted(path.stem for path in (Path(DIRECTORY) / "model").glob("*.yaml"))


def compose_train(*overrides: str) -> DictConfig:
    """The training configuration as the command line composes it."""
    with initialize_config_dir(DIRECTORY, version_base="1.3"):
        return compose("train", list(overrides))


def build_model(*overrides: str):
    """The model that `python -m vaezoo.train` would build."""

    torch.manual_seed(0)
    return instantiate(compose_train(*overrides).model)


SMALL = ("dataset=digits", "metric=none", "figure=none", "logger=csv")
