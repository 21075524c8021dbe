"""launcher=packed: jobs in one process, in turns, to the numbers that each has alone; whoever fails, fails alone."""

import logging
import os
import signal
import sys
import time
from functools import partial
from pathlib import Path

import pytest
import torch
from hydra.core.hydra_config import HydraConfig

import vaezoo.train
from tests.test_train import rows, run, state
from vaezoo import pack, packing, room, runs
from vaezoo.checks import check_command_line
from vaezoo.data.module import ImageDataModule
from vaezoo.errors import UserError
from vaezoo.packing import Pack

CPU = torch.device("cpu")
QUICK = ("dataset=digits", "network=mlpk", "figure=none", "callbacks.progress=false", "log_every=2", "val_every=4")
SCORES = ("metric=score/reconstruction", "metric.test_rows=50")
# A weight and the size of the latents, two players, running moments; the last one diverges.
BETA = "{model:betavae,model.beta:'1,8',latent.dim:3}"
GRIDS = f"sweep.grids=[{BETA},{{model:aae,seed:1}},{{model:dipvae,model.cov:running}},{{optimizer.lr:1e18}}]"


def train(monkeypatch, *line: str) -> int:
    return run(vaezoo.train.main, monkeypatch, "-m", *QUICK, *line)


def flat(value, key=""):
    """Leaves of nested lists and dicts by their place."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list | tuple) else None
    if inside is None:
        return {key: value}
    return {place: leaf for name, item in inside for place, leaf in flat(item, f"{key}/{name}").items()}


def assert_same(one: Path, other: Path) -> None:
    """What was logged, the weights, the state of the optimisers, the scores, and what is in the folder."""
    assert rows(one) == rows(other)
    first, second = flat(state(one)), flat(state(other))
    assert first.keys() == second.keys()
    for key, value in first.items():
        same = torch.equal(value, second[key]) if torch.is_tensor(value) else value == second[key]
        assert same, key
    assert runs.final_scores(one) == runs.final_scores(other)
    assert (one / "train.log").read_text() == (other / "train.log").read_text()
    assert {path.name for path in one.iterdir()} == {path.name for path in other.iterdir()}


def folders(study: str) -> dict[str, Path]:
    return {path.name: path for path in Path(study).iterdir() if path.is_dir()}


# ---- turns -----------------------------------------------------------------------------------------------------


def steps(name: str, count: int, told: list[str], fails: BaseException | None = None):
    """A work that takes so many turns."""

    def work() -> str:
        logging.root.handlers[:] = [logging.NullHandler()]
        HydraConfig.instance().cfg = name
        for step in range(count):
            pack.turn(step, count)
            assert HydraConfig.instance().cfg == name
            told.append(f"{name}{step}")
        if fails is not None:
            raise fails
        return name

    return work


def test_jobs_take_turns_and_the_next_takes_the_place_of_one_that_has_ended():
    told: list[str] = []
    before = HydraConfig.instance().cfg, logging.root.handlers[:]
    works = [steps("a", 2, told), steps("b", 1, told), steps("c", 2, told)]
    assert Pack(works, 2, progress=False).run() == ["a", "b", "c"]
    assert told == ["a0", "b0", "a1", "c0", "c1"]
    assert (HydraConfig.instance().cfg, logging.root.handlers) == before
    assert not pack.joined()
    pack.turn(0, 1)  # means nothing here


def test_what_a_job_raises_ends_all_and_the_others_are_told():
    """Such as a search without its score; a job that merely fails returns that."""
    told, received = [], []

    def other() -> None:
        pack.listen(lambda number, _: received.append(number))
        while not received:
            pack.turn(0, 1)

    works = [other, steps("a", 2, told, SystemExit(2)), steps("b", 1, told)]
    with pytest.raises(SystemExit, match="2"):
        Pack(works, 2, progress=False).run()
    assert received == [signal.SIGTERM]
    assert told == ["a0", "a1"], "b has not begun"


def test_a_signal_reaches_every_job_and_throws_out_those_that_would_act_at_once():
    """The first is kept, as between two batches; the second raises, in a job that computes and in one that waits."""
    ended: list[str] = []

    def work(name: str, act) -> None:
        def receive(number: int, _) -> None:
            if received:
                raise KeyboardInterrupt(name)
            received.append(number)

        received: list[int] = []
        pack.listen(receive)
        pack.turn(0, 2)
        try:
            act(received)
        except KeyboardInterrupt as error:
            ended.append(str(error))
            raise

    def wait(_) -> None:
        pack.turn(1, 2)

    def compute(received: list[int]) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        while not received:
            time.sleep(0.001)
        os.kill(os.getpid(), signal.SIGINT)
        end = time.monotonic() + 60
        while time.monotonic() < end:
            time.sleep(0.001)

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(SystemExit, match=str(128 + signal.SIGINT)):
        Pack([partial(work, "waits", wait), partial(work, "computes", compute)], 2, progress=False).run()
    assert sorted(ended) == ["computes", "waits"]
    assert signal.getsignal(signal.SIGINT) == before


# ---- how many --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("memory", "most"), [(1000, 3), (10**9, 8), (0, 1)])
def test_memory_says_how_many(memory, most, monkeypatch):
    """Jobs of 300 bytes, where `memory` are free at first: one more begins where 360 are left."""
    training: list[int] = []
    seen: list[int] = []
    held, steps = 0, packing.SETTLED * (most + 1)

    def work() -> None:
        nonlocal held
        pack.settle(CPU)
        training.append(1)
        held += 300
        for step in range(steps):
            seen.append(len(training))
            pack.turn(step, steps)
        held -= 300
        training.pop()

    monkeypatch.setattr("gc.collect", lambda: None)  # of a process full of tests
    monkeypatch.setattr(room, "peak", lambda device: held)
    monkeypatch.setattr(room, "free", lambda device: memory - held)
    Pack([work] * (most + 1), None, progress=False).run()
    assert max(seen) == most
    assert seen[: packing.SETTLED] == [1] * packing.SETTLED, "the first one is weighed before the second begins"


def test_free_memory_is_that_of_the_machine_or_of_the_container(tmp_path):
    (tmp_path / "meminfo").write_text("MemTotal: 900 kB\nMemFree: 100 kB\nMemAvailable: 700 kB\n")
    assert room.free_in_machine(tmp_path / "meminfo") == 700 * 1024
    assert room.free_in_machine(tmp_path / "none") == sys.maxsize
    for name, text in (("max", "1000\n"), ("current", "600\n"), ("stat", "anon 100\ninactive_file 200\n")):
        (tmp_path / f"memory.{name}").write_text(text)
    assert room.free_in_group(tmp_path) == 600
    (tmp_path / "memory.max").write_text("max\n")
    assert room.free_in_group(tmp_path) == room.free_in_group(tmp_path / "none") == sys.maxsize
    assert 0 < room.free(CPU) < sys.maxsize
    assert room.peak(CPU) > 10**7


# ---- data ------------------------------------------------------------------------------------------------------


def test_jobs_share_the_arrays_of_a_data_set_as_long_as_they_use_them():
    from tests.conftest import squares

    loads: list[int] = []
    seen = []

    def source(side: int):
        loads.append(side)
        return squares(side)

    def work(side: int, batch_size: int) -> None:
        data = ImageDataModule(
            name="squares", shape=(1, side, side), source=source, batch_size=batch_size, split="all", val_images=16,
            split_seed=0, seed=batch_size, side=side,
        )  # fmt: skip
        data.place(CPU)
        seen.append((data.source, data.store))
        pack.turn(0, 1)

    Pack([partial(work, 16, 8), partial(work, 16, 4), partial(work, 32, 8)], 3, progress=False).run()
    assert loads == [16, 32]
    assert seen[0][0] is seen[1][0]
    assert seen[0][1] is seen[1][1]
    assert seen[0][1] is not seen[2][1]
    seen.clear()
    assert not list(pack._things)


# ---- studies ---------------------------------------------------------------------------------------------------


def test_packed_jobs_are_those_alone_and_one_that_diverges_leaves_alone(in_tmp, monkeypatch, capsys):
    line = ("max_batches=5", GRIDS, *SCORES, "logger=csv", "callbacks.samples=false")
    assert train(monkeypatch, *line, "hydra.sweep.dir=alone") == 1
    capsys.readouterr()
    assert train(monkeypatch, *line, "launcher=packed", "launcher.jobs=2", "hydra.sweep.dir=packed") == 1
    said = capsys.readouterr()
    assert "vaezoo: optimizer.lr=1e+18: The term" in said.err
    assert "5: 4 finished, 1 failed" in said.err
    alone, packed = folders("alone"), folders("packed")
    assert alone.keys() == packed.keys()
    assert len(alone) == 5
    for name in alone:
        failed = name.startswith("optimizer")
        assert (packed[name] / "bad_batch.npz").exists() == (packed[name] / "error.txt").exists() == failed
        if not failed:
            assert_same(packed[name], alone[name])


def test_every_job_has_its_own_run_on_wandb(in_tmp, monkeypatch, capsys):
    """And one bar is enough for all."""
    line = ("model=betavae", "model.beta=1,8", "max_batches=4", "metric=none", "launcher=packed", "launcher.jobs=2")
    assert train(monkeypatch, *line, "callbacks.progress=true", "hydra.sweep.dir=study") == 0
    assert "2.0/2 jobs" in capsys.readouterr().err
    for folder in folders("study").values():
        (file,) = folder.glob("wandb/offline-run-*/*.wandb")
        last = max(int(row["batches"]) for row in rows(folder))
        assert (file.parent / "next_step").read_text() == str(last + 1), "the record has all rows"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (("launcher=packed", "trainer=ddp"), "launcher=packed trains all jobs in one process"),
        (("launcher=packed", "trainer=auto,ddp"), "launcher=packed trains all jobs in one process"),
        (("launcher=packed", "launcher.jobs=0"), "launcher.jobs=0: must be a whole number of at least 1"),
        (("launcher.jobs=null",), "launcher.jobs=null: must be a whole number of at least 1"),
        (("launcher=packed", "sweep.objective=eval/elbo"), "launcher.jobs=null: a search proposes so many"),
    ],
)
def test_what_cannot_be_packed_is_refused(line, message):
    with pytest.raises(UserError, match=message):
        check_command_line("train", ["-m", "dataset=digits", *line])


def test_what_belongs_to_a_process_is_refused(in_tmp, monkeypatch, capsys):
    assert train(monkeypatch, "launcher=packed", "seed=0,1", "hydra.job.chdir=true", "hydra.sweep.dir=study") == 1
    assert "hydra.job.chdir and env_set belong to a process" in capsys.readouterr().err
    assert not folders("study")
