"""Run folders that came from somebody else: what their configuration may build, and what is read of them."""

import copy
import importlib
import os
from itertools import pairwise

import pytest
import yaml
from omegaconf import OmegaConf

from tests.support.configuration import SMALL, compose_train
from vaezoo.config.completion import check_complete
from vaezoo.config.trust import is_trusted, list_own_targets, walk
from vaezoo.errors import UserError
from vaezoo.runs.folder import load_config

CALLS = [
    "os.system",
    "pathlib.Path.touch",
    "torch.load",
    "torch.hub.load",
    "numpy.load",
    "vaezoo.config.directory.call",
    "vaezoo.runs.provenance.os.system",
    "vaezoo.models.vae",
    "my_package.Model",
    ["os.system"],
    None,
    7,
]


def make_config(*overrides: str) -> dict:
    """Return a training configuration as a run folder has it."""
    config = compose_train(*SMALL, *overrides, "folder=x", "max_batches=4")
    return OmegaConf.to_container(config, resolve=True)


def write_config(folder, config) -> None:
    (folder / ".hydra").mkdir(parents=True, exist_ok=True)
    (folder / ".hydra" / "config.yaml").write_text(
        yaml.dump(config, Dumper=getattr(yaml, "CSafeDumper", yaml.SafeDumper))
    )


def try_to_load(folder):
    """Return the configuration of a run and "", or None and the message."""
    try:
        return load_config(folder), ""
    except UserError as error:
        return None, str(error)


@pytest.fixture(scope="module")
def config():
    return make_config("model=betavae")


def test_the_list_has_what_runs_need_and_nothing_else(config):
    targets = list_own_targets()
    assert {value for key, value in walk(config) if key.endswith("._target_")} <= targets
    assert {target.split(".")[0] for target in targets} == {"vaezoo", "torch", "pytorch_lightning"}
    assert {target.rpartition(".")[0] for target in targets if not target.startswith("vaezoo")} == {
        "torch.optim",
        "torch.optim.lr_scheduler",
        "pytorch_lightning",
        "pytorch_lightning.callbacks",
        "pytorch_lightning.strategies",
    }
    parts = {target.split(".")[1] for target in targets if target.startswith("vaezoo")}
    assert parts == {
        *("models", "latents", "likelihoods", "networks", "losses", "data", "metrics", "figures", "loggers")
    }
    for target in targets:
        module, _, name = target.rpartition(".")
        assert callable(getattr(importlib.import_module(module), name))


@pytest.mark.parametrize("target", CALLS, ids=str)
def test_anything_else_is_refused_before_it_is_built(target, config, tmp_path):
    for place in ("model", "trainer", "logger"):
        write_config(tmp_path, {**config, place: {**config[place], "more": [{"_target_": target}]}})
        with pytest.raises(UserError, match=rf"{place}\.more\.0\._target_ is .*not built from a run folder"):
            load_config(tmp_path)


def test_trust_names_a_package_a_module_or_a_class(config, tmp_path):
    config = {**config, "model": {**config["model"], "_target_": "my_package.models.Mine"}}
    write_config(tmp_path, config)
    for trust in ("my_package", "my_package.models", "my_package.models.Mine"):
        assert load_config(tmp_path, trust=[trust]).model["_target_"] == "my_package.models.Mine"
    for trust in ("my", "my_package.model", "other"):
        assert not is_trusted("my_package.models.Mine", [trust])
    with pytest.raises(UserError, match="add trust=my_package"):
        load_config(tmp_path)


@pytest.mark.parametrize(
    "reference", ["${call:os.mkdir,PLACE}", "${${name}:os.mkdir,PLACE}", "${oc.env:HOME}", "${seed}", "a ${x"]
)
def test_nothing_in_a_run_folder_is_resolved(reference, config, tmp_path):
    place = tmp_path / "made"
    for change in ({"seed": reference}, {"list": [[{"deep": reference}]]}, {reference: 1}):
        write_config(tmp_path, {**config, "name": "call", **change})
        text = (tmp_path / ".hydra" / "config.yaml").read_text().replace("PLACE", str(place))
        (tmp_path / ".hydra" / "config.yaml").write_text(text)
        with pytest.raises(UserError, match="nothing in them is resolved"):
            load_config(tmp_path)
    assert not place.exists()


def test_a_configuration_of_an_earlier_version_is_completed(config, tmp_path):
    """Every key is left out once: it is completed, its class has a default for it, or it is refused by its name."""
    keys = [key for key, _ in walk(config) if not key.startswith(("sweep", "metric.scores", "figure.figures"))]
    refused = []
    for key in keys:
        older = copy.deepcopy(config)
        *path, last = key.split(".")
        node = older
        for name in path:
            node = node[int(name)] if isinstance(node, list) else node[name]
        del node[int(last) if isinstance(node, list) else last]
        write_config(tmp_path, older)
        completed, message = try_to_load(tmp_path)
        if completed is None:
            refused.append(key)
            assert key in message or key == "folder" or key.endswith("_partial_")
        elif key.split(".")[0] in ("callbacks", "launcher", "trainer", "metric", "figure") or key.endswith("_every"):
            assert OmegaConf.select(completed, key, default=...) is not ..., key
    assert {"seed", "model", "model._target_", "dataset.shape", "optimizer", "trainer.precision"} <= set(refused)
    assert not {"log_every", "callbacks", "trainer.devices", "max_epochs", "figure.images", "logger"} & set(refused)


def test_a_training_does_not_go_on_with_a_default_that_it_may_not_have_had(config):
    check_complete(config, "run=x")
    older = {**config, "model": {key: value for key, value in config["model"].items() if key != "classifier_weight"}}
    with pytest.raises(UserError, match=r"it lacks model\.classifier_weight"):
        check_complete(older, "run=x")


def test_aliases_that_stand_for_billions_are_not_read(config, tmp_path):
    bomb = "a: &a [x, x, x]\n" + "".join(f"{b}: &{b} [*{a}, *{a}, *{a}]\n" for a, b in pairwise("abcdefghi"))
    write_config(tmp_path, config)
    with (tmp_path / ".hydra" / "config.yaml").open("a") as file:
        file.write(bomb)
    with pytest.raises(UserError, match="aliases"):
        load_config(tmp_path)


def test_a_pipe_and_a_link_out_of_the_folder_are_not_read(config, tmp_path):
    inside, outside = tmp_path / "run", tmp_path / "elsewhere"
    write_config(outside, config)
    inside.mkdir()
    (inside / ".hydra").symlink_to(outside / ".hydra")
    with pytest.raises(UserError, match="outside of its folder"):
        load_config(inside)
    write_config(outside, config)
    (outside / "figures").symlink_to(tmp_path)
    with pytest.raises(UserError, match="figures is a link"):
        load_config(outside)
    (outside / "figures").unlink()
    (outside / ".hydra" / "config.yaml").unlink()
    os.mkfifo(outside / ".hydra" / "config.yaml")
    with pytest.raises(UserError, match="is missing"):
        load_config(outside)


@pytest.mark.parametrize("name", ["figures", "checkpoints", ".lock", "metrics.json", "checkpoints/last.ckpt"])
def test_what_is_of_another_kind_is_named(name, config, tmp_path):
    write_config(tmp_path, config)
    if name in ("figures", "checkpoints"):
        (tmp_path / name).write_text("")
    else:
        (tmp_path / name).mkdir(parents=True)
    with pytest.raises(UserError, match=f"{name} (is no folder|cannot be read, because it is no regular file)"):
        load_config(tmp_path)
