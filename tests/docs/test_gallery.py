"""The gallery: each packed model is what the command on the page makes, and all files together are small."""

from types import ModuleType

import pytest
from omegaconf import OmegaConf

import vaezoo
from tests.support.configuration import check_line
from tests.support.paths import ROOT
from tests.support.scripts import load_script

MOST_BYTES = 10e6  # of docs/gallery


@pytest.fixture(scope="module")
def gallery() -> ModuleType:
    """Return docs/make_gallery.py as a module."""
    return load_script(ROOT / "docs" / "make_gallery.py")


def test_the_page_has_every_model_with_its_command(gallery):
    page = (ROOT / "docs" / "gallery.md").read_text(encoding="utf-8")
    for name in gallery.MODELS:
        assert f"\n## {name}\n" in page
        assert f"`{gallery.describe_training(name)}`" in page
        assert f"(gallery/{name}.zip)" in page
        assert (gallery.PACKED / f"{name}_traversals.png").is_file()


def test_the_packed_models_are_those_of_the_commands(gallery):
    for name in gallery.MODELS:
        config = check_line(gallery.list_training(name)[3:])
        packed = vaezoo.load(gallery.PACKED / f"{name}.zip").config
        for group in ("model", "latent", "network", "max_batches"):
            value = config[group]
            assert (OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value) == packed[
                group
            ]
        assert config.dataset.shape == packed["dataset"]["shape"]


def test_the_gallery_is_small(gallery):
    assert sum(path.stat().st_size for path in gallery.PACKED.iterdir()) < MOST_BYTES
