"""`import vaezoo`: training, loading and evaluating without a command."""

import doctest
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import vaezoo
from tests.support.command_line import rows
from tests.support.command_line import train as train_by_command
from tests.support.paths import ROOT
from vaezoo.api import commands, tables, trained_run
from vaezoo.config.overrides import parse_override, quote
from vaezoo.models.betavae import BetaVAE

QUICK = ("dataset=digits", "logger=csv", "callbacks.progress=false", "metric=none", "figure=none")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A beta-VAE on digits, trained, scored and drawn by the functions."""
    folder = tmp_path_factory.mktemp("door") / "my run"
    run = vaezoo.train("model=betavae", *QUICK, max_batches=20, log_every=5, **{"hydra.run.dir": folder})
    vaezoo.evaluate(run, "figure=samples", metric=["score/elbo", "score/active_units"])
    return run


def test_a_gpu_that_is_missing_is_missed_when_a_run_is_opened(run, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(vaezoo.UserError, match=r"device=cuda: PyTorch .* finds no GPU here"):
        vaezoo.load(run.folder, device="cuda")


def images(count: int) -> np.ndarray:
    return np.random.default_rng(0).random((count, 1, 8, 8), np.float32)


def test_the_names_load_late():
    script = "import sys, vaezoo; print('torch' in sys.modules, 'hydra' in sys.modules, sorted(dir(vaezoo)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.startswith("False False")
    assert all(f"'{name}'" in done.stdout for name in vaezoo.__all__)
    with pytest.raises(AttributeError, match="'trian'"):
        _ = vaezoo.trian


def test_a_command_can_be_called_and_still_is_a_module():
    assert vaezoo.train is sys.modules["vaezoo.train"]
    assert callable(vaezoo.train)
    assert callable(vaezoo.evaluate)
    assert callable(vaezoo.train.main)


def test_a_run_is_the_one_of_the_command(run, in_tmp, monkeypatch):
    """The same weights, and the same files but for the log, which Hydra writes."""
    line = ["model=betavae", *QUICK, "max_batches=20", "log_every=5", "hydra.run.dir=run"]
    assert train_by_command(monkeypatch, *line) == 0
    other = vaezoo.load("run")
    for key, value in run.model.state_dict().items():
        assert torch.equal(other.model.state_dict()[key], value), key
    files = {path.relative_to("run") for path in Path("run").rglob("*")} - {Path("train.log")}
    assert files <= {path.relative_to(run.folder) for path in run.folder.rglob("*")}
    assert (run.folder / ".hydra" / "overrides.yaml").read_text(encoding="utf-8").startswith("- model=betavae")


def test_what_a_run_says(run):
    assert run.state == "finished"
    assert "BetaVAE (beta 2) on digits" in run.title
    assert run.title in repr(run)
    assert run.config["model"]["beta"] == 2.0
    assert run.scores["active_units"] >= 0
    assert run.protocols["elbo"]["rows"] == 179
    assert run.figures == ["samples"]
    assert isinstance(run.figure("samples"), Image.Image)
    logged = rows(run.folder)
    history = tables.join_columns(trained_run.read_history(run.folder))
    assert history["batches"].tolist() == sorted({int(row["batches"]) for row in logged})
    losses = [float(row["train/loss"]) for row in logged if row["train/loss"]]
    assert history["train/loss"][~np.isnan(history["train/loss"])].tolist() == losses
    assert len(run.history["batches"]) == len(history["batches"])


def test_codes_are_those_that_were_scored(run):
    table = run.latents
    from sklearn.datasets import load_digits

    pixels = load_digits().images[table.index] / 16
    assert np.allclose(run.encode(pixels), table.codes, atol=1e-5)
    assert np.allclose(run.encode((pixels * 255).round().astype(np.uint8)), table.codes, atol=0.05)


def test_arrays_give_arrays_and_tensors_tensors(run):
    x = images(70)  # more than a batch
    codes = run.encode(x)
    assert (codes.shape, codes.dtype, type(codes)) == ((70, 10), np.float32, np.ndarray)
    assert torch.equal(run.encode(torch.from_numpy(x)), torch.from_numpy(codes))
    assert np.array_equal(run.encode(x[:, 0]), codes)
    assert np.array_equal(run.encode(x.transpose(0, 2, 3, 1)), codes)
    assert np.allclose(np.concatenate([run.encode(x[:1]), run.encode(x[1:])]), codes, atol=1e-6)
    assert run.encode(x[:0]).shape == (0, 10)
    rebuilt = run.decode(codes)
    assert rebuilt.shape == x.shape
    assert np.array_equal(run.reconstruct(x), rebuilt)
    assert run.encode(torch.from_numpy(x)).requires_grad is False
    run.encode(torch.from_numpy(x)).mul(torch.ones(1, requires_grad=True)).sum().backward()  # no inference tensors


def test_a_traversal_changes_one_latent(run):
    x, values = images(1)[0], [-1.0, 0.0, 2.0]
    codes = np.repeat(run.encode(x[None]), 3, axis=0)
    codes[:, 4] = values
    assert np.array_equal(run.traverse(x, 4, values), run.decode(codes))
    assert run.traverse(torch.from_numpy(x), 4).shape == (10, 1, 8, 8)


def test_samples_depend_on_the_seed(run):
    assert np.array_equal(run.sample(5), run.sample(5))
    assert not np.array_equal(run.sample(5), run.sample(5, seed=1))


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda run: run.encode(images(2) * 16), "must be in \\[0, 1\\]"),
        (lambda run: run.encode(images(2)[:, :, :5]), "images of shape"),
        (lambda run: run.encode(np.full((1, 1, 8, 8), np.nan)), "not finite"),
        (lambda run: run.decode(np.zeros((2, 3))), "codes of shape"),
        (lambda run: run.traverse(images(1)[0], 10), "10 continuous latents"),
        (lambda run: run.figure("sample"), "Did you mean 'samples'"),
        (lambda run: vaezoo.load(run.folder.parent), "not a run folder"),
        (lambda run: vaezoo.load(run.folder, checkpoint="worst").model, "worst.ckpt is missing"),
        (lambda run: vaezoo.train("model=betavaee"), "Did you mean 'betavae'"),
        (lambda run: vaezoo.train("-m", "seed=0,1"), "python -m vaezoo.train -m seed=0,1"),
        (lambda run: vaezoo.train("seed=0,1"), "one run"),
        (lambda run: vaezoo.train(3), "must be an override"),
        (lambda run: vaezoo.train(model=object()), "must be None, a number"),
        (lambda run: vaezoo.train("dataset=digits", "hydra.job.chdir=true"), "no effect"),
        (lambda run: vaezoo.train(run=run, seed=3), "cannot be changed"),
        (lambda run: vaezoo.evaluate(run, metric="fats"), "metric=fats"),
        (lambda run: vaezoo.study(run.folder / "figures"), "no run folder"),
        (lambda run: vaezoo.train("--help"), "--help: is a flag of the commands alone"),
    ],
)
def test_mistakes_are_answered(act, message, run, in_tmp):
    with pytest.raises(vaezoo.UserError, match=message):
        act(run)
    assert not list(Path().iterdir()), "nothing was written"


def test_a_run_goes_on(run, tmp_path):
    folder = tmp_path / "longer"
    first = vaezoo.train("model=vae", *QUICK, max_batches=4, **{"hydra.run.dir": folder})
    assert first.model.batches == 4
    assert vaezoo.train(run=first, max_batches=6).model.batches == 6


def test_a_conditional_model_needs_labels(tmp_path):
    run = vaezoo.train("model=cvae", *QUICK, max_batches=2, **{"hydra.run.dir": tmp_path / "run"})
    x = images(3)
    assert run.reconstruct(x, labels=[0, 1, 2]).shape == x.shape
    assert run.traverse(x[0], 2, label=5).shape == (10, 1, 8, 8)
    assert run.sample(4).shape == (4, 1, 8, 8)
    for labels in (None, [0, 1], [0, 1, 10]):
        with pytest.raises(vaezoo.UserError, match="3 numbers from 0 to 9"):
            run.encode(x, labels)


def test_a_model_of_generated_images_has_the_codes_that_were_scored(tmp_path):
    """Its batch statistics are those of real images."""
    run = vaezoo.train("model=infovaegan", *QUICK, max_batches=2, **{"hydra.run.dir": tmp_path / "run"})
    vaezoo.evaluate(run, metric="score/elbo", figure="none")
    from sklearn.datasets import load_digits

    table = run.latents
    assert np.allclose(run.encode(load_digits().images[table.index] / 16), table.codes, atol=1e-4)
    assert run.sample(3).shape == (3, 1, 8, 8)


def test_a_checkpoint_of_a_run_is_loaded_by_the_class(run):
    model = BetaVAE.load_from_checkpoint(run.folder / "checkpoints" / "last.ckpt", weights_only=True)
    assert torch.equal(model.eval()(torch.from_numpy(images(2))), run.encode(torch.from_numpy(images(2))))


def test_a_class_of_a_stranger_is_not_built(tmp_path, run):
    (tmp_path / ".hydra").mkdir()
    text = (run.folder / ".hydra" / "config.yaml").read_text(encoding="utf-8")
    (tmp_path / ".hydra" / "config.yaml").write_text(
        text.replace("vaezoo.latents.gaussian.Gaussian", "my_package.Space"), encoding="utf-8"
    )
    with pytest.raises(vaezoo.UserError, match="trust=my_package"):
        vaezoo.load(tmp_path)
    vaezoo.load(tmp_path, trust="my_package")


def test_a_table_of_runs(run):
    table = vaezoo.study(run.folder.parent)
    assert list(table["run"]) == [str(run.folder)]
    assert list(table["active_units"]) == [run.scores["active_units"]]


@pytest.mark.parametrize("text", ["a'b", "a\\", "a\\'b", "x=1, y", "\\\\", "$a ${b}", "ü {a}[b]", "", "1e3", "null"])
def test_texts_survive_the_command_line(text):
    assert parse_override(f"key={quote(text)}").value() == text
    assert parse_override(f"key={commands.write_value(text)}").value() == text


@pytest.mark.parametrize("value", [None, True, 3, -2.5e-7, [1, "a b"], {"a": [1, {"b": None}]}])
def test_values_survive_the_command_line(value):
    assert parse_override(f"key={commands.write_value(value)}").value() == value


@pytest.mark.parametrize("module", [commands, tables, trained_run])
def test_the_examples(module, in_tmp):
    assert doctest.testmod(module).failed == 0
