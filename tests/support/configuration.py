"""Configurations and models as the command line composes and builds them."""

import copy
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from hydra import initialize_config_dir
from omegaconf import DictConfig

from vaezoo.config.command_line import check_command_line
from vaezoo.config.compose import Composer
from vaezoo.config.directory import DIRECTORY
from vaezoo.config.plugins import list_roots

MODELS = sorted(path.stem for path in (Path(DIRECTORY) / "model").glob("*.yaml"))
# What a test of models shows for all of them is shown for these in whole runs: running moments, two phases, a gate,
# two batches a step, a mixture, four players. The slow tests take every model.
FEW = {
    "dipvae": ["model=dipvae", "model.cov=running"],
    "dec": ["model=dec", "model.pretrain_batches=7", "model.refresh=4"],
    "vaegan": ["model=vaegan", "model.margin=0.01", "model.equilibrium=0.68"],
    "factorvae": ["model=factorvae", "model.discriminator.hidden=[50,50]"],
    "gmvae": ["model=gmvae"],
    "infovaegan": ["model=infovaegan"],
}
SMALL = ("dataset=digits", "metric=none", "figure=none", "logger=csv")


def choose_line(name: str) -> list[str]:
    """Return the words that train a model on small images: on digits, or where it sees pairs on images with factors.

    They come after a word that names digits.
    """
    pairs = ["dataset=rotateddigits", "dataset.size=8", "dataset.count=60"] if name in ("adagvae", "adamlvae") else []
    return [f"model={name}", *pairs]


# Hydra takes a quarter of a second for a configuration, so lines with the same groups share one. tests/conftest.py
# forgets them after each file of tests.
compose_line = Composer("train")
composers: dict[tuple[Path, ...], Composer] = {}  # of the command lines that are checked, by the folders of conf files


@cache
def composed(overrides: tuple[str, ...]) -> DictConfig:
    """Compose the training configuration of a line, once for all tests; nobody may change it."""
    with initialize_config_dir(DIRECTORY, version_base="1.3"):
        return compose_line(overrides)


def compose_train(*overrides: str) -> DictConfig:
    """Return the training configuration as the command line composes it."""
    return copy.deepcopy(composed(overrides))


def check_line(words: Sequence[str]) -> DictConfig | None:
    """Check a command line of `python -m vaezoo.train`, without scores and figures where it chooses none.

    They are half of a configuration, and their defaults have no part in the mistakes of other groups.
    """
    chooses = any(word.startswith(("metric", "figure", "experiment", "sweep")) for word in words)
    line = [*words, *([] if chooses else ["metric=none", "figure=none"])]
    return check_command_line("train", line, composers.setdefault(tuple(list_roots()), Composer("train")))


def forget_lines() -> None:
    """Free the configurations that lines share."""
    compose_line.bases.clear()
    composers.clear()


def build_model(*overrides: str):
    """Return the model that `python -m vaezoo.train` would build, for a thousand training images."""
    import torch
    from hydra.utils import instantiate

    torch.manual_seed(0)
    return instantiate(compose_train(*overrides).model, train_images=1000)
