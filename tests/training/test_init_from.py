"""init_from: a run begins with the trained weights of another one, and is known by their content."""

import shutil
from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf

from tests.support.command_line import BARE, QUICK, same_weights, state, train, train_in
from tests.support.configuration import build_model, check_line, compose_train
from vaezoo.config.identity import hash_training, list_conflicts
from vaezoo.errors import UserError
from vaezoo.runs.folder import read_config
from vaezoo.runs.weights import begin_with_weights

LINE = ["model=betavae", *QUICK, *BARE]


@pytest.fixture
def source(in_tmp):
    return train_in("source", *LINE, "max_batches=6")


def test_a_model_begins_with_the_weights_and_new_counters(source):
    model = build_model("model=betavae", *QUICK, "model.beta=9")
    own = {"batches": torch.tensor(0), "train_images": torch.tensor(1000)}
    begin_with_weights(model, "source")
    saved = state(source)["state_dict"]
    assert saved["batches"] == 6
    for name, value in model.state_dict().items():
        assert torch.equal(value, own.get(name, saved[name])), name


def test_a_run_goes_on_from_the_weights_not_from_the_mean_image(source, monkeypatch):
    monkeypatch.setattr("vaezoo.models.base.LatentModel.begin_at", lambda *_: pytest.fail("it was trained before"))
    line = [*LINE, "model.beta=9", "init_from=source", "optimizer.lr=1e-30", "max_batches=3"]
    after, before = state(train_in("after", *line)), state(source)
    assert after["state_dict"]["batches"] == 3
    for name, value in before["state_dict"].items():
        if name not in ("batches", "train_images"):
            assert torch.equal(after["state_dict"][name], value), name
    assert after["optimizer_states"][0]["state"][0]["step"] == 3


def test_the_identity_is_that_of_the_weights_wherever_they_lie(source, monkeypatch, capsys):
    shutil.copytree("source", "copy")
    line = [*LINE, "max_batches=9"]
    ids = [hash_training(compose_train(*line, f"init_from={name}")) for name in ("source", "copy")]
    assert len({*ids, hash_training(compose_train(*line))}) == 2
    assert train(monkeypatch, *line, "init_from=source", "hydra.run.dir=a") == 0
    recorded = OmegaConf.create(read_config(Path("a")))
    assert recorded.init_from.startswith(f"{Path('source').resolve()}@")
    assert hash_training(recorded) == ids[0]
    shutil.rmtree("source")
    assert train(monkeypatch, *line, "init_from=copy", "hydra.run.dir=a") == 0
    assert "a is finished" in capsys.readouterr().out
    assert train(monkeypatch, "run=a", "max_batches=11") == 0, "its own checkpoint has the weights"
    train_in("copy", *LINE, "max_batches=8")
    assert "init_from" in list_conflicts(recorded, compose_train(*line, "init_from=copy"))
    with pytest.raises(UserError, match=r"its weights have changed since this run was begun"):
        begin_with_weights(build_model("model=betavae", *QUICK), recorded.init_from.replace("source@", "copy@"))
    assert not same_weights(Path("a"), Path("copy"))


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("latent.dim=3", r"encoder\.\S+ is \(\d+, \d+\) there and \(\d+, \d+\) here"),
        ("model=factorvae", r"discriminator\S+ is missing there; .*, and \d+ more\. Choose the model, network"),
    ],
)
def test_weights_that_do_not_fit_are_named_before_anything_is_written(override, message, source):
    with pytest.raises(UserError, match=message):
        train_in("a", *LINE, override, "max_batches=3", "init_from=source")
    assert not Path("a").exists()


def test_a_folder_without_weights_is_refused(in_tmp):
    with pytest.raises(UserError, match=r"init_from=nowhere: must be the folder of a run with checkpoints/last\.ckpt"):
        check_line(["dataset=digits", "init_from=nowhere"])
