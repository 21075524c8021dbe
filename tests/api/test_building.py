"""Models from a few plain values: what they are built from, and what is refused."""

import doctest
import inspect

import pytest
import torch
from hydra.utils import instantiate
from pytorch_lightning import Trainer
from torch import nn
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

import vaezoo
from tests.support.configuration import MODELS, compose_train
from vaezoo.api import new_model
from vaezoo.models import building
from vaezoo.models.betatcvae import BetaTCVAE
from vaezoo.models.betavae import BetaVAE
from vaezoo.models.dipvae import DIPVAE

QUIET = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False, "accelerator": "cpu"}


def trainer_in(folder, **flags):
    return Trainer(default_root_dir=folder, enable_checkpointing=False, **QUIET, **flags)


@pytest.mark.parametrize("name", MODELS)
def test_a_model_is_the_one_of_the_command_line(name):
    """The same class, with the same values and the same initial weights."""
    line = [f"model={name}", "dataset=digits", "network=mlp002", "metric=none", "figure=none"]
    torch.manual_seed(0)
    expected = instantiate(compose_train(*line).model)
    torch.manual_seed(0)
    model = vaezoo.build(name, image_shape=(1, 8, 8), classes=10)
    assert type(model) is type(expected)
    assert model.state_dict().keys() == expected.state_dict().keys()
    assert all(torch.equal(model.state_dict()[key], value) for key, value in expected.state_dict().items())


def test_values_reach_the_model():
    model = DIPVAE(image_shape=(3, 64, 64), latent_dim=4, kind="ii", lambda_od=7.0, likelihood="gaussian")
    assert (model.latent.dim, model.kind, model.lambda_od) == (4, "ii", 7.0)
    assert type(model.encoder).__name__ == "ConvEncoder"
    assert model.decode(torch.zeros(2, 4)).mean.shape == (2, 3, 64, 64)
    assert type(model.likelihood(torch.zeros(1, 3, 64, 64))).__name__ == "Gaussian"


@pytest.mark.parametrize(
    ("shape", "network"),
    [((1, 64, 64), "convh"), ((3, 128, 64), "convh"), ((3, 32, 32), "convj32"), ((1, 28, 28), "mlp002")],
)
def test_the_network_follows_the_size(shape, network):
    assert building.choose_network(shape) == network


def test_objects_of_the_caller_are_used():
    def encoder(shape, count):
        return nn.Sequential(nn.Flatten(), nn.Linear(64, count))

    model = BetaVAE(image_shape=(1, 8, 8), latent_dim=3, encoder=encoder, beta=lambda batches: batches * 2.0)
    assert isinstance(model.encoder, nn.Sequential)
    assert "encoder" not in model.recipe
    assert model.now(model.beta) == 0


def test_a_subclass_takes_the_values_of_its_parent_and_its_own():
    class Mine(BetaVAE):
        def __init__(self, *, extra: int = 3, **parts):
            super().__init__(**parts)
            self.extra = extra

    model = Mine(image_shape=(1, 8, 8), extra=5)
    assert (model.extra, model.beta) == (5, 4.0)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"bta": 3}, "takes no bta. Did you mean 'beta'?"),
        ({"beta": -1}, "model.beta=-1: must be a number of at least 0"),
        ({"image_shape": (28, 28)}, "must be \\(C, H, W\\)"),
        ({"image_shape": None}, "must be \\(C, H, W\\)"),
        ({"network": "convh"}, "divisible by 16"),
        ({"network": "convhh"}, "Did you mean 'convh'"),
        ({"latent_dim": 0}, "at least 1"),
        ({"optimizer": {"_target_": "os.system"}}, "os.system"),
    ],
)
def test_mistakes(values, message):
    with pytest.raises(vaezoo.UserError, match=message):
        BetaVAE(**{"image_shape": (1, 28, 28), **values})


def test_a_model_without_an_image_shape_or_of_an_unknown_name():
    with pytest.raises(TypeError, match="'image_shape'"):
        BetaVAE(beta=4)
    with pytest.raises(vaezoo.UserError, match="needs image_shape"):
        vaezoo.build("betavae", beta=4)
    with pytest.raises(vaezoo.UserError, match="Did you mean 'dipvae'"):
        vaezoo.build("dipva", image_shape=(1, 8, 8))


def test_the_signature_is_that_of_the_constructor():
    assert list(inspect.signature(BetaVAE).parameters) == ["beta", "parts"]


def test_a_checkpoint_of_any_trainer_is_loaded_by_the_class(tmp_path):
    model = DIPVAE(image_shape=(1, 8, 8), latent_dim=3, lambda_od=7.0)
    trainer = trainer_in(tmp_path, max_epochs=1)
    trainer.fit(model, DataLoader(TensorDataset(torch.rand(32, 1, 8, 8)), batch_size=16))
    trainer.save_checkpoint(tmp_path / "x.ckpt")
    loaded = DIPVAE.load_from_checkpoint(tmp_path / "x.ckpt", weights_only=True)
    assert (loaded.lambda_od, loaded.latent.dim, loaded.batches) == (7.0, 3, 2)
    assert all(torch.equal(loaded.state_dict()[key], value) for key, value in model.state_dict().items())


class Endless(IterableDataset):
    """Images without a length."""

    def __iter__(self):
        return iter(torch.rand(32, 1, 8, 8))


def test_the_number_of_training_images_is_never_guessed(tmp_path):
    loader = DataLoader(Endless(), batch_size=16)
    with pytest.raises(vaezoo.UserError, match="train_images=N"):
        trainer_in(tmp_path, max_epochs=1).fit(BetaTCVAE(image_shape=(1, 8, 8), latent_dim=3), loader)
    model = BetaTCVAE(image_shape=(1, 8, 8), latent_dim=3)
    assert model.objective(torch.rand(4, 1, 8, 8))["loss"].isnan()
    model = BetaTCVAE(image_shape=(1, 8, 8), latent_dim=3, train_images=1000)
    trainer_in(tmp_path, max_epochs=1).fit(model, loader)
    assert model.train_images == 1000
    assert model.objective(torch.rand(4, 1, 8, 8))["loss"].isfinite()


def test_the_example():
    assert doctest.testmod(new_model).failed == 0
