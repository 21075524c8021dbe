"""What the tests share: small data, models built as the command line builds them, and quiet, isolated processes."""

import os
from pathlib import Path

import numpy as np
import pytest
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig

from tests.slow import trainings
from vaezoo.config.directory import DIRECTORY
from vaezoo.data.images import ImageArrays

os.environ["WANDB_MODE"] = "offline"
os.environ["WANDB_SILENT"] = "true"
# Several test processes share the cores; small tensors gain nothing from threads that wait for one another.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["LOKY_MAX_CPU_COUNT"] = "1"  # nor do small fits gain from processes of their own

MODELS = sorted(path.stem for path in (Path(DIRECTORY) / "model").glob("*.yaml"))


def compose_train(*overrides: str) -> DictConfig:
    """The training configuration as the command line composes it."""
    with initialize_config_dir(DIRECTORY, version_base="1.3"):
        return compose("train", list(overrides))


def build_model(*overrides: str):
    """The model that `python -m vaezoo.train` would build."""
    import torch
    from hydra.utils import instantiate

    torch.manual_seed(0)
    return instantiate(compose_train(*overrides).model)


def fix_noise(monkeypatch, noise) -> None:
    """Where a model or a toy of the tests would draw N(0, 1) in the shape of a tensor, `noise` of it is used."""
    for place in ("torch.randn_like", "vaezoo.latents.gaussian.normal_like", "vaezoo.likelihoods.normal_like"):
        monkeypatch.setattr(place, noise)


def squares(side: int = 16) -> ImageArrays:
    """A tiny full product with known factors: a square of 3 sizes at 8 x 8 positions, binary, packed."""
    sizes, steps = (2, 4, 6), 8
    images = np.zeros((3, steps, steps, side, side), np.uint8)
    for s, size in enumerate(sizes):
        for y in range(steps):
            for x in range(steps):
                images[s, y, x, y : y + size, x : x + size] = 1
    images = images.reshape(-1, side * side)
    return ImageArrays(
        name="squares",
        images=np.packbits(images, axis=1),
        shape=(1, side, side),
        identity={"origin": "made by the tests"},
        scale=1,
        packed=True,
        factors=np.stack(np.unravel_index(np.arange(192), (3, 8, 8)), axis=1).astype(np.uint8),
        factor_names=("size", "y", "x"),
        factor_sizes=(3, 8, 8),
    )


@pytest.fixture(autouse=True)
def data_folder(tmp_path_factory, monkeypatch):
    """No test sees the user's data sets, or writes among them."""
    monkeypatch.setenv("VAEZOO_DATA", str(tmp_path_factory.getbasetemp() / "data"))


@pytest.fixture
def in_tmp(tmp_path, monkeypatch):
    """Run the test inside an empty folder of its own."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="session")
def train(tmp_path_factory):
    """train(*words, seeds=...) -> runs of the command line (tests/slow.py), each trained once for all tests."""
    return trainings(tmp_path_factory.mktemp("trainings"))
