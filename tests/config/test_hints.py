"""Slips that people make who come from other programs: each is answered with what works."""

import pytest

import vaezoo.train
from tests.support.command_line import run
from vaezoo.config.command_line import check_words
from vaezoo.errors import UserError, find_nearest

KEYS = [
    "optimizer.lr",
    "model.beta",
    "model.optimizers.critic.lr",
    "latent.dim",
    "model.latent",
    "max_epochs",
    "betavae",
]


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("lr", "optimizer.lr"),
        ("beta", "model.beta"),
        ("model.latent.dim", "latent.dim"),
        ("latent_dim", "latent.dim"),
        ("BetaVAE", "betavae"),
        ("beta-vae", "betavae"),
        ("epochs", "max_epochs"),
        ("xyz", ""),
    ],
)
def test_what_is_meant(name, meant):
    assert find_nearest(name, KEYS) == meant


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        ("lr=1e-3", "Did you mean 'optimizer.lr'?"),
        ("device=cuda", "Did you mean 'trainer=gpu'?"),
        ("learning_rate=1e-3", "Did you mean 'optimizer.lr=1e-3'?"),
        ("metric=mig_hist", "Did you mean 'score/mig_hist'?"),
        ("model=BetaVAE", "Did you mean 'betavae'?"),
        ("seed=0,1 model=vae", "python -m vaezoo.train -m seed=0,1 model=vae"),
        ("dipvae", "Did you mean model=dipvae?"),
    ],
)
def test_a_slip_is_answered_before_anything_is_made(line, hint, in_tmp, monkeypatch, capsys):
    assert run(vaezoo.train.main, monkeypatch, *line.split()) == 2
    assert hint in capsys.readouterr().err
    assert not list(in_tmp.iterdir())


@pytest.mark.parametrize(
    "line", ["--cfg job model=vae", "-m model=vae", "--info defaults", "seed=1", "~logger", "-c job"]
)
def test_values_of_flags_are_no_words(line):
    check_words(line.split())


def test_a_word_without_a_meaning():
    with pytest.raises(UserError, match=r"'hello' alone says nothing\. A value is given as key=value"):
        check_words(["-m", "hello"])


def test_a_gpu_that_is_not_there_is_missed_before_anything_is_made(in_tmp, monkeypatch, capsys):
    monkeypatch.setattr("torch.accelerator.is_available", lambda: False)
    assert run(vaezoo.train.main, monkeypatch, "trainer=gpu", "model=vae", "dataset=digits") == 2
    assert "finds no GPU here" in capsys.readouterr().err
    assert not list(in_tmp.iterdir())
    monkeypatch.setattr("torch.accelerator.is_available", lambda: pytest.fail("--cfg needs no GPU"))
    assert vaezoo.train.complete_arguments(["trainer=gpu", "--cfg", "job"])
