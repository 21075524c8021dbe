"""End to end: train, evaluate, report and resume as a user would, on small data, in folders of their own."""

import csv
import json
import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from PIL import Image

import vaezoo.evaluate
import vaezoo.report
import vaezoo.train
from tests.support.command_line import (
    BARE,
    QUICK,
    SCORES,
    rows,
    run,
    same_weights,
    start_train,
    state,
    train,
    train_in,
    wait_for,
)
from tests.support.configuration import FEW, MODELS, choose_line


def test_a_run_leaves_a_complete_folder(in_tmp, monkeypatch, capsys):
    folder = Path("run")
    status = train(monkeypatch, "model=dipvae", "max_batches=20", f"hydra.run.dir={folder}", *QUICK, *SCORES)
    assert status == 0
    config = OmegaConf.load(folder / ".hydra" / "config.yaml")
    assert config.model.lambda_od == 10
    assert "${" not in (folder / ".hydra" / "config.yaml").read_text()
    environment = json.loads((folder / "environment.json").read_text())
    assert environment["seed"] == 0
    assert environment["packages"]["torch"] == torch.__version__
    assert environment["data"]["sha256"]
    assert state(folder)["state_dict"]["batches"] == 20
    assert (folder / "checkpoints" / "best.ckpt").is_file()
    logged = rows(folder)
    assert [row["batches"] for row in logged if row["train/loss"]] == ["5", "10", "15", "20"]
    assert [row["batches"] for row in logged if row["val/loss"]] == ["10", "20"]
    assert {"train/rec", "train/kl", "train/elbo", "train/dip_od", "val/kl_per_dim/9"} <= set(logged[0])
    final = json.loads((folder / "metrics.json").read_text())
    assert {"eval/elbo", "eval/rec", "eval/kl", "eval/recon_mse", "eval/active_units"} <= set(final["scores"])
    assert final["protocols"]["elbo"]["seconds"] >= 0
    assert final["skipped"]["factor_vae"] == "the data set has no ground-truth factors"
    assert final["about"]["batches"] == 20
    assert np.load(folder / "latents.npz")["codes"].shape[1] == 10
    for figure in ("reconstructions", "samples", "traversals", "curves", "kl_per_dim", "code_correlation"):
        picture = np.asarray(Image.open(folder / "figures" / f"{figure}.png").convert("L"))
        assert picture.std() > 5, f"{figure} is empty"
        assert (folder / "figures" / f"{figure}.npz").is_file()
    assert len(list(folder.glob("wandb/offline-run-*/*.wandb"))) == 1
    assert not list(folder.rglob("*partial*"))
    assert not (folder / "error.txt").exists()
    out = capsys.readouterr().out
    assert out.startswith("log       run/metrics.csv, W&B offline\n")
    assert f"figures   {folder / 'figures'}" in out
    assert "wandb sync run/wandb/offline-run-" in out
    assert "recon_mse" in out


def test_dsprites_from_the_command_line(in_tmp, monkeypatch):
    """The main job in miniature: rendered sprites, factor scores, all figures."""
    budget = ["max_batches=3", "val_every=3", "metric.rows=3000", "metric.test_rows=100", "dataset.val_images=32"]
    line = ["model=dipvae", "dataset=dsprites", "network=convh", "logger=csv", "callbacks.progress=false"]
    assert train(monkeypatch, *line, *budget, "hydra.run.dir=run") == 0
    scores = json.loads(Path("run/metrics.json").read_text(encoding="utf-8"))["scores"]
    names = ["higgins_logistic", "factor_vae", "mig_hist", "sap_continuous", "gtc"]
    assert all(f"eval/{name}" in scores for name in names)
    assert json.loads(Path("run/environment.json").read_text(encoding="utf-8"))["data"]["origin"] == "rendered"
    assert Path("run/figures/mutual_information.png").is_file()
    assert Path("run/figures/factor_correlation.png").is_file()


@pytest.mark.parametrize(
    "line",
    [
        *(pytest.param(line, id=name) for name, line in FEW.items()),
        *(pytest.param(choose_line(name), id=f"every {name}", marks=pytest.mark.slow) for name in MODELS),
    ],
)
def test_the_seed_decides_a_run_however_it_is_cut(line, in_tmp, monkeypatch):
    """A run that is resumed ends where an unbroken run of the same seed ends, bit for bit."""
    whole = train_in("whole", *QUICK, *line, *BARE, "max_batches=12")
    parts = train_in("parts", *QUICK, *line, *BARE, "max_batches=5")
    assert not same_weights(parts, whole)
    assert train(monkeypatch, "run=parts", "max_batches=12") == 0
    assert same_weights(parts, whole)
    assert logged_at_the_end(parts) == logged_at_the_end(whole)
    assert not same_weights(train_in("other", *QUICK, *line, *BARE, "max_batches=12", "seed=1"), whole)


def logged_at_the_end(folder: Path) -> list[dict[str, str]]:
    """Return the rows of metrics.csv after the cut of the test above; a run also logs where it ends."""
    return [row for row in rows(folder) if int(row["batches"]) > 5]


def test_validation_and_figures_do_not_disturb_training(in_tmp):
    quiet = train_in("a", *QUICK, *BARE, "max_batches=12")
    assert same_weights(quiet, train_in("b", *QUICK, *BARE, "max_batches=12", "val_every=3", "log_every=2"))


def test_deterministic_algorithms_change_nothing_on_a_cpu(in_tmp):
    line = ["model=factorvae", "max_batches=12", "trainer.accelerator=cpu", *QUICK, *BARE]
    free = train_in("a", *line, "trainer.deterministic=false")
    bound = train_in("b", *line, "trainer.deterministic=true")
    assert same_weights(free, bound)
    assert rows(free) == rows(bound)


def test_the_loss_falls(in_tmp):
    folder = train_in("a", *QUICK, *BARE, "max_batches=300", "val_every=100")
    values = [float(row["val/loss"]) for row in rows(folder) if row["val/loss"]]
    assert values[-1] < values[0] < 44  # a uniform guess costs 64 ln 2 = 44.4 nats


def test_max_epochs_replaces_max_batches(in_tmp):
    folder = train_in("a", "max_epochs=2", "dataset.batch_size=500", *QUICK, *BARE)
    assert state(folder)["state_dict"]["batches"] == 2 * (1490 // 500)


@pytest.mark.parametrize("precision", ["bf16-mixed", "64-true"])
def test_other_precisions_train_resume_and_score(precision, in_tmp, monkeypatch):
    line = ["model=dipvae", f"trainer.precision={precision}", "logger=csv", "figure=none", *QUICK, *SCORES]
    train_in("a", *line, "max_batches=20")
    assert train(monkeypatch, "run=a", "max_batches=30") == 0
    assert json.loads(Path("a/metrics.json").read_text(encoding="utf-8"))["about"]["batches"] == 30
    assert all(np.isfinite(float(row["train/loss"])) for row in rows(Path("a")) if row["train/loss"])
    kept = state(Path("a"))["state_dict"]["encoder.layers.0.weight"].dtype
    assert kept == {"bf16-mixed": torch.float32, "64-true": torch.float64}[precision]


# ---- evaluate and report ---------------------------------------------------------------------------------------


def test_evaluate_scores_again_without_training(in_tmp, monkeypatch, capsys):
    train_in("a", "model=betavae", "max_batches=12", *QUICK, *BARE)
    assert not Path("a/latents.npz").exists()
    before = sorted(Path(".").iterdir())
    assert run(vaezoo.evaluate.main, monkeypatch, "run=a", *SCORES) == 0
    first = json.loads(Path("a/metrics.json").read_text(encoding="utf-8"))
    assert first["scores"]["eval/elbo"] < 0
    assert Path("a/figures/traversals.png").is_file()
    assert sorted(Path(".").iterdir()) == before, "evaluate leaves nothing outside the run folder"
    assert run(vaezoo.evaluate.main, monkeypatch, "run=a", "checkpoint=best", *SCORES, "figure=none") == 0
    assert json.loads(Path("a/metrics.json").read_text(encoding="utf-8"))["about"]["checkpoint_file"] == "best"


def test_a_moved_run_folder_still_works(in_tmp, monkeypatch):
    train_in("a", "max_batches=6", *QUICK, *BARE)
    Path("a").rename("b")
    assert run(vaezoo.evaluate.main, monkeypatch, "run=b", *SCORES, "figure=none") == 0
    assert Path("b/metrics.json").is_file()
    assert not Path("a").exists()
    assert train(monkeypatch, "run=b", "max_batches=8") == 0
    assert state(Path("b"))["state_dict"]["batches"] == 8
    assert not Path("a").exists()


def test_run_folders_of_a_removed_launcher_are_read_and_resumed(in_tmp, monkeypatch):
    train_in("a", "max_batches=6", *QUICK, *BARE)
    path = Path("a/.hydra/config.yaml")
    config = OmegaConf.load(path)
    OmegaConf.save(OmegaConf.merge(config, {"launcher": {"packed": True, "jobs": None}}), path)
    assert run(vaezoo.evaluate.main, monkeypatch, "run=a", *SCORES, "figure=none") == 0
    assert run(vaezoo.report.main, monkeypatch, "runs=a") == 0
    assert train(monkeypatch, "run=a", "max_batches=8") == 0
    assert state(Path("a"))["state_dict"]["batches"] == 8


def test_report_puts_many_runs_on_one_page(in_tmp, monkeypatch):
    for seed in (10, 9):
        line = ["model=betavae", f"seed={seed}", "max_batches=6", "figure=none", "logger=csv"]
        train_in(f"runs/{seed}", *line, *QUICK, *SCORES)
    Path("runs/9/done.json").unlink()
    Path("runs/9/error.txt").write_text("Traceback\nValueError: made up\n", encoding="utf-8")
    assert run(vaezoo.report.main, monkeypatch, "runs=runs") == 0
    page = Path("runs/report.html").read_text(encoding="utf-8")
    assert "ValueError: made up" in page
    assert 'href="10/"' in page
    table = list(csv.DictReader(Path("runs/report.csv").read_text(encoding="utf-8").splitlines()))
    assert [(row["run"], row["seed"], row["state"]) for row in table] == [
        ("9", "9", "failed"),
        ("10", "10", "finished"),
    ]
    (setting,) = csv.DictReader(Path("runs/report_settings.csv").read_text(encoding="utf-8").splitlines())
    assert (setting["seeds"], setting["elbo"]) == ("1", table[1]["elbo"]), "one that ended badly does not count"


# ---- sweeps ----------------------------------------------------------------------------------------------------


def test_a_sweep_leaves_one_folder_and_one_wandb_run_a_job_and_survives_a_failure(in_tmp, monkeypatch, capsys):
    """The second job cannot train: its weights overflow."""
    line = ["-m", "model=betavae", "optimizer.lr=1e-3,1e30,1e-4", "max_batches=8", "hydra.sweep.dir=sweep"]
    assert train(monkeypatch, *line, *QUICK, *SCORES, "figure=none") != 0
    jobs = sorted(path.name for path in Path("sweep").iterdir() if path.is_dir())
    assert [job[:-9] for job in jobs] == ["optimizer.lr-0.0001", "optimizer.lr-0.001", "optimizer.lr-1e+30"]
    good, bad = [Path("sweep") / name for name in jobs[:2]], Path("sweep") / jobs[2]
    assert len(good) == 2
    for folder in good:
        assert json.loads((folder / "metrics.json").read_text())["scores"]["eval/elbo"] < 0
        assert state(folder)["state_dict"]["batches"] == 8
    rates = {OmegaConf.load(folder / ".hydra" / "config.yaml").optimizer.lr for folder in good}
    assert rates == {1e-3, 1e-4}
    assert "was not finite at batch" in (bad / "error.txt").read_text()
    error = capsys.readouterr().err
    assert "vaezoo: optimizer.lr=1e+30: The term" in error
    assert "Traceback" not in error
    wandb_runs = list(Path("sweep").rglob("*.wandb"))
    assert len({path.parent.name for path in wandb_runs}) == 3


# ---- resuming --------------------------------------------------------------------------------------------------

RESUMED = [
    "callbacks.progress=false",
    "model=dipvae",
    "model.cov=running",
    "val_every=40",
    "log_every=7",
    "dataset=digits",
    *BARE,
]


@pytest.mark.parametrize(
    "number", [signal.SIGKILL, pytest.param(signal.SIGTERM, marks=pytest.mark.slow), signal.SIGINT]
)
def test_a_killed_process_goes_on_to_the_same_weights(number, in_tmp, monkeypatch):
    """A process is killed at a moment of its own; resumed, it ends where an unbroken run ends, bit for bit."""
    line = [*RESUMED, "max_batches=1000000", "callbacks.checkpoints.batches=33", "hydra.run.dir=cut"]
    process = start_train(*line, errors=Path("errors.txt"))
    wait_for(Path("cut/checkpoints/last.ckpt"), process)
    time.sleep(0.3)
    os.kill(process.pid, number)
    process.join(60)
    assert process.exitcode == (-9 if number == signal.SIGKILL else 128 + number)
    if number != signal.SIGKILL:
        assert "go on with: python -m vaezoo.train run=cut" in Path("errors.txt").read_text(encoding="utf-8")
        assert number.name in Path("cut/error.txt").read_text(encoding="utf-8")
    reached = int(state(Path("cut"))["state_dict"]["batches"])
    assert reached > 0
    budget = f"max_batches={reached + 45}"
    assert train(monkeypatch, "run=cut", budget) == 0
    assert not Path("cut/error.txt").exists()
    train_in("whole", *RESUMED, budget)
    assert same_weights(Path("cut"), Path("whole"))
    assert rows(Path("cut")) == rows(Path("whole"))
    a, b = (state(Path(folder))["optimizer_states"][0]["state"] for folder in ("cut", "whole"))
    assert all(torch.equal(a[index][key], b[index][key]) for index in a for key in a[index])


def test_a_finished_run_is_not_trained_again(in_tmp, monkeypatch, capsys):
    train_in("a", "max_batches=6", *QUICK, *BARE)
    stamp = Path("a/checkpoints/last.ckpt").stat().st_mtime_ns
    assert train(monkeypatch, "run=a") == 0
    assert Path("a/checkpoints/last.ckpt").stat().st_mtime_ns == stamp
    assert capsys.readouterr().out.endswith("a is finished\n")


# ---- what goes wrong -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("main", "line", "message"),
    [
        ("train", ["run=nowhere"], "nowhere: not a run folder, .hydra/config.yaml is missing"),
        ("train", ["run=a", "model.beta=3"], "'model.beta=3' cannot be changed when a run goes on"),
        ("train", ["run=a", "max_batches=many"], "max_batches=many: must be a whole number"),
        ("train", ["model=dipva"], "there is no such model. Did you mean 'dipvae'?"),
        ("evaluate", ["run=nowhere"], "run=nowhere: must be a file or folder that exists"),
        ("evaluate", ["run=a", "checkpoint=first"], "checkpoint=first: must be one of last, previous, best"),
        ("evaluate", ["run=."], "It holds runs, such as run="),
        ("evaluate", [], "run=null: must be"),
        ("report", ["runs=empty"], "no run folder in it or below it"),
    ],
)
def test_messages_of_the_entry_points(main, line, message, in_tmp, monkeypatch, capsys):
    Path("empty").mkdir()
    train_in("a", "max_batches=2", *QUICK, *BARE)
    capsys.readouterr()
    before = sorted(Path(".").rglob("*"))
    modules = {"train": vaezoo.train, "evaluate": vaezoo.evaluate, "report": vaezoo.report}
    assert run(modules[main].main, monkeypatch, *line) == 2
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error
    assert sorted(Path(".").rglob("*")) == before, "nothing is left behind"


def test_a_damaged_checkpoint_is_named(in_tmp, monkeypatch, capsys):
    train_in("a", "max_batches=2", *QUICK, *BARE)
    path = Path("a/checkpoints/last.ckpt")
    path.write_bytes(path.read_bytes()[:1000])
    assert run(vaezoo.evaluate.main, monkeypatch, "run=a") == 2
    assert "last.ckpt cannot be read, it is damaged or not a checkpoint" in capsys.readouterr().err


def test_a_checkpoint_of_another_model_is_refused(in_tmp, monkeypatch, capsys):
    train_in("a", "max_batches=2", *QUICK, *BARE)
    train_in("b", "max_batches=2", "latent.dim=3", *QUICK, *BARE)
    Path("b/checkpoints/last.ckpt").replace("a/checkpoints/last.ckpt")
    assert run(vaezoo.evaluate.main, monkeypatch, "run=a") == 2
    assert "the weights do not belong to this VAE" in capsys.readouterr().err


class Trap:
    """Unpickling this would write a file."""

    def __reduce__(self):
        return (os.system, ("touch trapped",))


def test_a_malicious_checkpoint_is_not_executed(in_tmp, monkeypatch, capsys):
    train_in("a", "max_batches=2", *QUICK, *BARE)
    torch.save({"state_dict": Trap()}, "a/checkpoints/last.ckpt")
    assert run(vaezoo.evaluate.main, monkeypatch, "run=a") == 2
    assert train(monkeypatch, "run=a", "max_batches=4") == 2
    assert not Path("trapped").exists()


def test_a_loss_that_is_not_finite_names_its_term_and_keeps_the_last_good_checkpoint(in_tmp, monkeypatch, capsys):
    line = ["optimizer.lr=1e30", "max_batches=40", "log_every=20", "callbacks.checkpoints.batches=1"]
    assert train(monkeypatch, *line, "hydra.run.dir=a", *QUICK[:2], *BARE) == 2
    error = capsys.readouterr().err
    assert "was not finite at batch" in error
    assert "Traceback" not in error
    assert error.strip().removeprefix("vaezoo: ") in Path("a/error.txt").read_text(encoding="utf-8")
    for name in Path("a/checkpoints").glob("*.ckpt"):
        weights = torch.load(name, weights_only=True)["state_dict"]
        assert all(torch.isfinite(weight).all() for weight in weights.values())


def test_an_unexpected_error_is_kept_in_the_folder(in_tmp, monkeypatch):
    def broken(*_):
        raise RuntimeError("the disk is on fire")

    monkeypatch.setattr("vaezoo.models.vae.elbo_terms", broken)
    assert train(monkeypatch, "model=vae", "max_batches=2", "hydra.run.dir=a", *QUICK, *BARE) == 1
    assert "the disk is on fire" in Path("a/error.txt").read_text(encoding="utf-8")
