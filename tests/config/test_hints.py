"""Slips that people make who come from other programs: each is answered with what works."""

import re

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


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("trainer=gpu", "trainer.accelerator=gpu: PyTorch .* finds no GPU here"),
        ("trainer=ddp trainer.accelerator=gpu", "trainer.accelerator=gpu: PyTorch .* finds no GPU here"),
        ("-m trainer=gpu seed=0,1", "trainer.accelerator=gpu: PyTorch .* finds no GPU here"),
        ("-m trainer=gpu seed=0,1 launcher=joblib", "trainer.accelerator=gpu: PyTorch .* finds no GPU here"),
        ("trainer.engine=graphed", "trainer.engine=graphed: CUDA graphs need a GPU of NVIDIA, and there is none"),
    ],
)
def test_a_gpu_that_is_not_there_is_missed_before_anything_is_made(line, message, in_tmp, monkeypatch, capsys):
    monkeypatch.setattr("torch.accelerator.is_available", lambda: False)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert run(vaezoo.train.main, monkeypatch, *line.split(), "model=vae", "dataset=digits") == 2
    assert re.search(message, capsys.readouterr().err)
    assert not list(in_tmp.iterdir())


def test_nobody_misses_a_gpu_where_none_is_used(monkeypatch):
    monkeypatch.setattr("torch.accelerator.is_available", lambda: pytest.fail("no job runs here"))
    assert vaezoo.train.complete_arguments(["trainer=gpu", "--cfg", "job"])
    assert vaezoo.train.complete_arguments(["-m", "trainer=gpu", "launcher=slurm", "seed=0,1"])
