"""Engines: however the steps of a run are made, its weights and its rows of metrics are the same."""

import os
import signal
from pathlib import Path

import pytest
import torch

import vaezoo.training.fit
from tests.support.command_line import BARE, QUICK, rows, same_weights, state, train, train_in
from tests.support.configuration import FEW, MODELS, SMALL, build_model, check_line, choose_line
from tests.support.devices import Replayed
from tests.support.models import fit
from tests.support.together import CASES
from vaezoo.errors import UserError
from vaezoo.training.clock import Clock
from vaezoo.training.engines import Eager
from vaezoo.training.terms import TermSums


def trained(folder: str, *line: str) -> Path:
    return train_in(folder, "max_batches=23", *QUICK, *BARE, *line)


def assert_same(one: Path, other: Path) -> None:
    assert same_weights(one, other)
    assert rows(one) == rows(other)


# ---- chunks ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("line", [FEW["dipvae"], FEW["dec"]])
def test_nothing_depends_on_the_length_of_a_chunk(line, in_tmp):
    single = trained("single", *line, "trainer.chunk=1")
    for name, chunk in (("several", "7"), ("whatever fits", "null")):
        assert_same(trained(name, *line, f"trainer.chunk={chunk}"), single)


def test_chunks_grow_to_a_tenth_of_a_second(monkeypatch):
    engine = Eager(build_model("model=vae", *SMALL), None, Clock(10_000, seed=0), TermSums())
    passed, seconds = [0.0], [0.001]
    monkeypatch.setattr("vaezoo.training.engines.time.perf_counter", lambda: passed[0])
    engine.advance = lambda rows: passed.__setitem__(0, passed[0] + seconds[0])
    paces = []
    for _ in range(9):
        length = engine.pace
        engine.run(torch.zeros(length, 2))
        paces.append(engine.pace)
    assert paces[:6] == [2, 4, 8, 16, 32, 64]
    assert 90 <= paces[-1] <= 100
    seconds[0] = 0.2
    engine.run(torch.zeros(engine.pace, 2))
    assert engine.pace == 1


def test_a_signal_is_seen_between_the_steps_of_a_chunk(in_tmp, monkeypatch):
    whole = trained("whole", "model=vae")
    seed_noise = Clock.seed_noise

    def interrupted(clock):
        seed_noise(clock)
        if clock.batches == 13:
            os.kill(os.getpid(), signal.SIGTERM)

    with monkeypatch.context() as patched:
        patched.setattr(Clock, "seed_noise", interrupted)
        line = ["hydra.run.dir=cut", "max_batches=23", "model=vae", "trainer.chunk=5"]
        assert train(patched, *line, *QUICK, *BARE) == 128 + signal.SIGTERM
    assert state(Path("cut"))["state_dict"]["batches"] == 14, "of the chunk 10 ... 14"
    assert train(monkeypatch, "run=cut") == 0
    assert_same(Path("cut"), whole)


# ---- one step --------------------------------------------------------------------------------------------------


def test_gradients_are_clipped_to_their_norm(monkeypatch):
    """Plain gradient descent: the weights move by no more than lr times the norm."""
    line = ["optimizer._target_=torch.optim.SGD", "optimizer.lr=1.0", "~optimizer.betas", "~optimizer.eps"]
    moved = []
    for clip in ("null", "0.01"):
        model = build_model("model=vae", *SMALL, *line, f"model.gradient_clip={clip}")
        before = [parameter.detach().clone() for parameter in model.parameters()]
        fit(model, 1)
        moved.append(sum((p - b).square().sum() for p, b in zip(model.parameters(), before, strict=True)).sqrt().item())
    assert moved[0] > 0.1
    assert moved[1] == pytest.approx(0.01, rel=1e-3)


# ---- compiled --------------------------------------------------------------------------------------------------


def assert_close(one: Path, other: Path) -> None:
    a, b = state(one)["state_dict"], state(other)["state_dict"]
    for name, value in a.items():
        torch.testing.assert_close(b[name], value, rtol=1e-9, atol=1e-9, msg=name)
    for mine, yours in zip(rows(one), rows(other), strict=True):
        assert mine.keys() == yours.keys()
        for key in mine:
            if mine[key]:
                assert float(yours[key]) == pytest.approx(float(mine[key]), rel=1e-9, abs=1e-9), key


def same_compiled(line, monkeypatch) -> None:
    """Step by step: each has a row of its terms."""
    line = [*line, "trainer.precision=64-true", "dataset.batch_size=16", "log_every=1"]
    eager = trained("eager", *line)
    assert_close(trained("compiled", *line, "trainer.engine=compiled"), eager)


def test_an_objective_is_captured_whole_and_draws_the_same_noise(in_tmp, monkeypatch):
    """torch.compile without its last stage, which takes a C++ compiler tens of seconds."""
    compile_, whole = torch.compile, []

    def captured(function, *, dynamic, options):
        assert options == {"fallback_random": True}
        whole.append(function)
        return compile_(function, dynamic=dynamic, fullgraph=True, backend="aot_eager")

    monkeypatch.setattr(torch, "compile", captured)
    same_compiled(["model=betatcvae"], monkeypatch)
    assert len(whole) == 1


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_every_model_compiled_trains_as_eager(case, in_tmp, monkeypatch):
    same_compiled(CASES[case], monkeypatch)


@pytest.mark.slow
def test_a_compiled_run_can_be_repeated_bit_for_bit(in_tmp, monkeypatch):
    runs = [trained(name, "model=betatcvae", "trainer.engine=compiled") for name in ("one", "again")]
    assert_same(*runs)


def test_a_run_goes_on_with_another_engine(in_tmp, monkeypatch):
    """Optimisers are given the flags of the engine, whatever a checkpoint says."""
    whole = trained("whole", "model=vae")
    train_in("cut", "max_batches=10", "model=vae", *QUICK, *BARE)
    saved = state(Path("cut"))
    for optimizer in saved["optimizer_states"]:
        optimizer["param_groups"][0]["capturable"] = True
    torch.save(saved, "cut/checkpoints/last.ckpt")
    assert train(monkeypatch, "run=cut", "max_batches=23") == 0
    assert_same(Path("cut"), whole)


def test_a_machine_without_a_compiler_is_told(in_tmp, monkeypatch, capsys):
    def fails(*_, **__):
        raise torch._dynamo.exc.BackendCompilerFailed(lambda: None, RuntimeError("no compiler here"), None)

    monkeypatch.setattr(torch, "compile", lambda function, **_: fails)
    line = ["trainer.engine=compiled", "max_batches=2", "hydra.run.dir=run"]
    assert train(monkeypatch, *line, *QUICK, *BARE) == 2
    told = capsys.readouterr().err
    assert "trainer.engine=compiled: torch.compile failed" in told
    assert "no compiler here" in told
    assert "Traceback" not in told


# ---- graphed ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "graphs"),
    [(FEW["dipvae"], 1), (FEW["dec"], 2), (FEW["vaegan"], None)],
    ids=["dipvae", "dec", "vaegan"],
)
def test_recorded_steps_train_as_eager_ones(line, graphs, in_tmp, monkeypatch):
    eager = trained("eager", *line)
    monkeypatch.setattr(vaezoo.training.fit, "choose_engine", lambda _: Replayed)
    for resident in (True, False):
        monkeypatch.setattr(Replayed, "resident", resident)
        monkeypatch.setattr(Replayed, "recorded", 0)
        assert_same(trained(f"graphed {resident}", *line), eager)
        assert Replayed.recorded == graphs or (graphs is None and Replayed.recorded > 0)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="CUDA graphs need a GPU")
@pytest.mark.parametrize("engine", ["graphed", "compiled"])
@pytest.mark.parametrize("name", MODELS)
def test_engines_train_as_eager_on_a_gpu(name, engine, in_tmp, monkeypatch):
    line = [*choose_line(name), "trainer.precision=64-true", "dataset.batch_size=16"]
    eager = trained("eager", *line)
    assert_close(trained("other", *line, f"trainer.engine={engine}"), eager)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (["trainer.engine=graphed", "trainer.accelerator=cpu"], "CUDA graphs need a GPU; on a CPU compiled"),
        (["trainer.engine=graphed", "trainer.precision=16-mixed"], "take bf16-mixed"),
        (["trainer.engine=graphed", "optimizer=adagrad"], "Adagrad cannot be recorded; optimizer=adam can"),
        (["trainer.engine=compiled", "trainer=ddp"], "trainer=ddp trains with eager"),
        (["trainer.engine=fast"], "must be one of eager, compiled, graphed"),
        (["trainer.chunk=0"], "trainer.chunk=0: must be a whole number of at least 1"),
        (["+trainer.gradient_clip_val=1"], "model.gradient_clip clips"),
        (["+trainer.accumulate_grad_batches=2"], "each batch is a training step"),
    ],
)
def test_what_engines_cannot_do_is_refused(line, message):
    with pytest.raises(UserError, match=message):
        check_line([*line, *SMALL])
