"""Callbacks of Lightning and of the user: what they monitor, when they are called, and that their state goes on."""

import copy
import json
import os
import signal
from pathlib import Path

import pytest
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf
from pytorch_lightning import Callback
from pytorch_lightning.callbacks import EMAWeightAveraging

from tests.support.command_line import BARE, QUICK, rows, same_weights, state, train, train_in
from tests.support.configuration import FEW, SMALL, build_model, check_line, compose_train
from vaezoo.config.identity import hash_training
from vaezoo.errors import UserError
from vaezoo.reporting.reading import read_run
from vaezoo.runs.folder import read_state
from vaezoo.training.clock import Clock
from vaezoo.training.fit import fit, make_trainer
from vaezoo.training.user_callbacks import build_callbacks

LINE = ["model=betavae", *QUICK, *BARE]
LIGHTNING = "pytorch_lightning.callbacks"
HERE = "tests.training.test_user_callbacks"


class Recorder(Callback):
    """Notes its calls."""

    def __init__(self) -> None:
        self.calls = []

    def on_train_batch_start(self, trainer, module, batch, batch_idx):
        self.calls.append(("start", module.clock.batches, batch_idx, batch.images.shape))

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
        self.calls.append(("end", trainer.global_step, batch_idx, sorted(outputs)))

    def on_validation_end(self, trainer, module):
        self.calls.append(("val", trainer.global_step, trainer.current_epoch, sorted(trainer.callback_metrics)))


class ZeroGrad(Callback):
    def on_before_zero_grad(self, *_):
        pass


class Stopper(Callback):
    """Ends the training at a validation, without a reason."""

    def on_validation_end(self, trainer, module):
        trainer.should_stop = trainer.should_stop or module.clock.batches >= 20


def cut(monkeypatch, batch: int, *line: str) -> Path:
    """Interrupt the run of a line before that batch, and let it go on."""
    seed_noise = Clock.seed_noise

    def interrupted(clock):
        seed_noise(clock)
        if clock.batches == batch:
            os.kill(os.getpid(), signal.SIGTERM)

    with monkeypatch.context() as patched:
        patched.setattr(Clock, "seed_noise", interrupted)
        assert train(patched, "hydra.run.dir=cut", *line) == 128 + signal.SIGTERM
    assert train(monkeypatch, "run=cut") == 0
    return Path("cut")


# ---- early stopping --------------------------------------------------------------------------------------------

STOPPING = ["callbacks=early_stopping", "callbacks.early_stopping.patience=2", "callbacks.early_stopping.min_delta=1e9"]


def test_an_early_stop_finishes_the_run_also_after_a_kill(in_tmp, monkeypatch, capsys):
    line = [*LINE, "max_batches=1000", *STOPPING]
    assert train(monkeypatch, "hydra.run.dir=whole", *line) == 0
    folder = Path("whole")
    note = "early by callbacks.early_stopping after 30 batches: Monitored metric val/loss did not improve"
    assert f"stopped   {note}" in capsys.readouterr().out
    assert read_state(folder) == "finished"
    assert json.loads((folder / "done.json").read_text())["stopped_early"].startswith(note)
    assert read_run(folder).early.startswith(note)
    before, logged = state(folder), rows(folder)
    assert train(monkeypatch, "hydra.run.dir=whole", *line) == 0
    assert "whole is finished" in capsys.readouterr().out
    train_in("whole", *line, "figure=none", "metric=score/active_units", "metric.rows=50")
    assert state(folder)["global_step"] == before["global_step"] == 30, "other scores train nothing"
    assert same_weights(cut(monkeypatch, 25, *line), folder)
    assert rows(Path("cut")) == logged
    assert state(Path("cut"))["callbacks"]["StopRecord"] == before["callbacks"]["StopRecord"]


def test_a_callback_that_gives_no_reason_is_named(in_tmp):
    folder = train_in("a", *LINE, "max_batches=1000", f"+callbacks.mine._target_={HERE}.Stopper")
    assert read_run(folder).early == "early by callbacks.mine after 20 batches"
    with pytest.raises(UserError, match="interrupted by trainer"):
        train_in("b", *LINE, "max_batches=1000000", "+trainer.max_time='00:00:00:01'", "val_every=1000000", *STOPPING)


# ---- hooks -----------------------------------------------------------------------------------------------------


def test_hooks_are_called_for_each_batch_of_images_as_lightning_does():
    config = compose_train(*SMALL, "model=factorvae", "dataset.batch_size=16", "dataset.val_images=40", "trainer=cpu")
    recorder = Recorder()
    model = build_model("model=factorvae", "model.discriminator.hidden=[5]", "dataset.batch_size=16", *SMALL)
    trainer, data = make_trainer(config.trainer), instantiate(config.dataset)
    options = {"max_batches": 5, "seed": 0, "log_every": 2, "val_every": 3}
    fit(model, data, trainer, user_callbacks={"mine": recorder}, **options)
    starts = [call for call in recorder.calls if call[0] == "start"]
    ends = [call for call in recorder.calls if call[0] == "end"]
    assert [call[1:] for call in starts] == [(n, n % 3, (32, 1, 8, 8)) for n in range(5)], "two batches a step"
    assert [call[1:3] for call in ends] == [(2 * n + 2, n % 3) for n in range(5)], "two players, two steps"
    assert "loss" in ends[0][3]
    assert [call[1:3] for call in recorder.calls if call[0] == "val"] == [(6, 0), (10, 1)]
    assert {"train/loss", "val/loss", "val/kl"} <= set(recorder.calls[-1][3])


def test_weights_are_those_without_a_callback(in_tmp):
    plain = train_in("plain", *LINE, "max_batches=23")
    watched = train_in("watched", *LINE, "max_batches=23", f"+callbacks.mine._target_={HERE}.Recorder")
    assert same_weights(plain, watched)
    assert rows(plain) == rows(watched)


def test_rates_and_checkpoints_of_lightning_are_those_of_an_unbroken_run(in_tmp, monkeypatch):
    line = [*LINE, "max_batches=30", "lr_schedule=cosine"]
    line += [f"+callbacks.rates._target_={LIGHTNING}.LearningRateMonitor"]
    line += [f"+callbacks.top._target_={LIGHTNING}.ModelCheckpoint", "+callbacks.top.monitor=train/kl"]
    line += ["+callbacks.top.save_top_k=2", "+callbacks.top.filename='best-{step}'"]
    whole = train_in("whole", *line)
    logged = [row for row in rows(whole) if row.get("lr")]
    assert [row["batches"] for row in logged] == ["4", "9", "14", "19", "24", "29"], "counted from 0, as Lightning does"
    files = sorted(path.name for path in (whole / "checkpoints" / "top").iterdir())
    assert len(files) == 2
    again = cut(monkeypatch, 13, *line)
    assert same_weights(again, whole)
    assert rows(again) == rows(whole)
    assert sorted(path.name for path in (again / "checkpoints" / "top").iterdir()) == files
    assert (whole / "checkpoints" / "best.ckpt").is_file(), "ours is beside it"


# ---- averages of weights ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("buffers", ["false", "true"])
def test_the_average_of_weights_is_kept_and_goes_on(buffers, in_tmp, monkeypatch):
    line = [*FEW["dipvae"], *QUICK, *BARE, "max_batches=23", "callbacks=ema", f"callbacks.ema.use_buffers={buffers}"]
    line += ["callbacks.ema.decay=0.5"]
    whole, plain = train_in("whole", *line), train_in("plain", *line, "callbacks.ema=null")
    saved = state(whole)
    assert saved["state_dict"]["batches"] == 23
    assert saved["state_dict"]["train_images"] == state(plain)["state_dict"]["train_images"]
    assert not same_weights(whole, plain)
    assert all(torch.equal(value, saved["current_model_state"][name]) for name, value in saved["state_dict"].items())
    again = cut(monkeypatch, 13, *line)
    assert same_weights(again, whole)
    assert rows(again) == rows(whole)


def test_an_average_is_that_of_the_weights_of_each_batch():
    config = compose_train("model=vae", "dataset.batch_size=16", "dataset.val_images=40", "trainer=cpu", *SMALL)
    weights = []

    class Watch(Callback):
        def on_train_batch_end(self, trainer, module, *_):
            weights.append(copy.deepcopy(dict(module.model.named_parameters())))

    model = build_model("model=vae", *SMALL)
    users = {"watch": Watch(), "ema": EMAWeightAveraging(decay=0.5)}
    options = {"max_batches": 4, "seed": 0, "log_every": 2, "val_every": 2}
    fit(model, instantiate(config.dataset), make_trainer(config.trainer), user_callbacks=users, **options)
    for name, parameter in model.named_parameters():
        expected = weights[0][name]
        for later in weights[1:]:
            expected = 0.5 * expected + 0.5 * later[name]
        torch.testing.assert_close(parameter, expected, rtol=0, atol=1e-7)


# ---- the command line ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (["+callbacks.progres=false"], r"callbacks.progres=false: must be a callback: .* Did you mean 'progress'\?"),
        (["+callbacks.checkpoints.minuets=3"], r"'callbacks.checkpoints.minuets' is not a key"),
        (["+callbacks.a.monitor=val/loss"], r"must be a callback: \+callbacks.a._target_=CLASS"),
        (["callbacks=early_stoping"], r"there is no such callbacks\. Did you mean 'early_stopping'\?"),
        (["callbacks=early_stopping", "callbacks.early_stopping.patience=x"], r"patience=x: must be a whole number"),
        (
            [f"+callbacks.a._target_={LIGHTNING}.EarlyStopping", "+callbacks.a.moniter=x"],
            r"EarlyStopping does not take moniter and needs monitor\. Did you mean 'monitor'",
        ),
        (
            [f"+callbacks.a._target_={LIGHTNING}.StochasticWeightAveraging", "+callbacks.a.swa_lrs=1"],
            r"cannot be used: .*callbacks=ema",
        ),
        ([f"+callbacks.a._target_={LIGHTNING}.TQDMProgressBar"], r"callbacks.progress is the progress bar"),
        (
            [f"+callbacks.a._target_={LIGHTNING}.ModelCheckpoint", "+callbacks.a.dirpath=/tmp"],
            r"dirpath=/tmp: must be left",
        ),
        ([f"+callbacks.a._target_={LIGHTNING}.ModelCheckpoint", "+callbacks.a.filename=../x"], r"a name without \.\."),
        (["+trainer.callbacks=[x]"], r"must be left out: .*\+callbacks.NAME._target_=CLASS, adds"),
    ],
)
def test_what_cannot_work_is_refused_in_words(line, message):
    with pytest.raises(UserError, match=message):
        check_line(["dataset=digits", *line])


@pytest.mark.parametrize(
    ("node", "flags", "message"),
    [
        ({"_target_": f"{HERE}.ZeroGrad"}, {}, "does not call for manual optimisation"),
        ({"_target_": f"{HERE}.Recorder"}, {"chunk": 5}, r"acts on each batch; trainer.chunk=5 would hide most"),
        ({"_target_": "builtins.dict"}, {}, "is no callback of pytorch_lightning"),
        ({"_target_": f"{LIGHTNING}.EarlyStopping", "monitor": "x", "mode": "up"}, {}, "cannot be built .*mode"),
    ],
)
def test_a_callback_that_would_not_be_called_is_refused(node, flags, message, tmp_path):
    with pytest.raises(UserError, match=message):
        build_callbacks({"mine": node, "progress": True, "off": None}, flags, tmp_path)


def test_a_term_that_nobody_logs_is_an_error(in_tmp):
    line = [*LINE, "max_batches=20", "callbacks=early_stopping", "callbacks.early_stopping.monitor=val/los"]
    with pytest.raises(UserError, match=r"callbacks.early_stopping.monitor=val/los: .*Did you mean 'val/loss'\?"):
        train_in("a", *line)
    with pytest.raises(UserError, match=r"Lightning refuses them .*LearningRateMonitor.*no logger"):
        train_in("b", *LINE, "~logger.csv", f"+callbacks.a._target_={LIGHTNING}.LearningRateMonitor", "max_batches=4")


def test_a_callback_is_part_of_the_identity():
    ids = {hash_training(compose_train(*SMALL, *line)) for line in ([], ["callbacks=ema"], STOPPING[:1], STOPPING)}
    assert len(ids) == 4
    values = OmegaConf.to_container(compose_train(*SMALL), resolve=False)
    del values["callbacks"]
    assert hash_training(OmegaConf.create(values)) == hash_training(compose_train(*SMALL))
