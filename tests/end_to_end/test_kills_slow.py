"""Runs that are killed again and again, at random moments of their whole life, end as one that was left alone."""

import csv
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.support.paths import ROOT

pytestmark = pytest.mark.slow

LINE = [
    "dataset=digits",
    "model=factorvae",
    "max_batches=150",
    "log_every=5",
    "val_every=20",
    "metric.rows=300",
    "metric.test_rows=50",
    "logger=csv",
    "callbacks.progress=false",
    "callbacks.checkpoints.batches=10",
]
TOGETHER = ["trainer=ddp", "trainer.devices=2", "trainer.accelerator=cpu"]
AGAIN = ("not a run folder", "it was stopped before it had begun")


def start(*line: str) -> subprocess.Popen:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "vaezoo.train", *line]
    return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def children(process: subprocess.Popen) -> list[int]:
    try:
        return [
            int(child)
            for child in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text(encoding="utf-8").split()
        ]
    except OSError:
        return []


def running(process: int) -> bool:
    """A zombie has nothing left to write."""
    try:
        return Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def phase(folder: Path) -> str:
    if not (folder / ".hydra" / "config.yaml").is_file():
        return "before there was a folder"
    if not (folder / "checkpoints" / "last.ckpt").is_file():
        return "before the first checkpoint"
    if torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]["batches"] < 150:
        return "training"
    return "scoring" if not (folder / "metrics.json").is_file() else "drawing"


def life(line: list[str], moment: float, number: int, chance: random.Random) -> tuple[int, str]:
    """Status and last words of a process that gets the signal at that moment, if it is still there.

    Of several processes SIGKILL strikes any one, as that of a system without memory does.
    """
    process = start(*line)
    workers: list[int] = []
    try:
        _, said = process.communicate(timeout=moment)
    except subprocess.TimeoutExpired:
        workers = children(process)
        victim = chance.choice([process.pid, *workers]) if number == signal.SIGKILL else process.pid
        os.kill(victim, number)
        _, said = process.communicate(timeout=120)
    deadline = time.monotonic() + 120
    while any(running(worker) for worker in workers):  # those of a killed supervisor end by themselves
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return process.returncode, said


def killed_until_it_ends(folder: Path, line: list[str], moments: list[float], number: int, seed: int) -> Counter:
    """A run that goes on after each kill; how often it was killed in which phase. Uses up the moments."""
    chance, kills = random.Random(seed), Counter()
    whole = [*LINE, *line, f"hydra.run.dir={folder}"]
    command = whole
    while True:
        moment = moments.pop() if moments else 600.0
        status, said = life(command, moment, number, chance)
        assert "Traceback" not in said, said
        if status == 0:
            return kills
        if status == 2 and any(words in said for words in AGAIN):
            command = whole
            continue
        dead = {signal.SIGKILL: (-9, 2), signal.SIGTERM: (-15, 128 + 15)}[signal.Signals(number)]
        assert status in dead, f"status {status} after {moment:.1f} s, {phase(folder)}: {said}"
        assert status != 2 or "ended with SIGKILL" in said, said
        kills[phase(folder)] += 1
        command = [f"run={folder}"] if (folder / ".hydra" / "config.yaml").is_file() else whole


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "metrics.csv").open(newline="") as file:
        return [{k: v for k, v in row.items() if not k.startswith("perf/")} for row in csv.DictReader(file)]


def assert_same(folder: Path, other: Path) -> None:
    one, two = (torch.load(f / "checkpoints" / "last.ckpt", weights_only=True) for f in (folder, other))
    assert one["state_dict"].keys() == two["state_dict"].keys()
    assert all(torch.equal(weight, two["state_dict"][name]) for name, weight in one["state_dict"].items())
    assert len(one["optimizer_states"]) == len(two["optimizer_states"]) == 2
    for a, b in zip(one["optimizer_states"], two["optimizer_states"], strict=True):
        assert all(torch.equal(a["state"][i][key], b["state"][i][key]) for i in b["state"] for key in b["state"][i])
    assert rows(folder) == rows(other)
    scores, known = (json.loads((f / "metrics.json").read_text())["scores"] for f in (folder, other))
    assert scores == known
    assert np.array_equal(*(np.load(f / "latents.npz")["codes"] for f in (folder, other)))
    left, expected = ({path.relative_to(f) for path in f.rglob("*")} for f in (folder, other))
    # `run=DIR` writes none of Hydra's files, which a process that was killed at its start may not have written.
    of_hydra = {Path("train.log"), Path(".hydra/hydra.yaml"), Path(".hydra/overrides.yaml")}
    assert {path for path in left if not path.name.startswith("process_")} - of_hydra == expected - of_hydra


@pytest.mark.parametrize(
    ("number", "line", "kills"),
    [(signal.SIGKILL, [], 20), (signal.SIGTERM, [], 20), (signal.SIGKILL, TOGETHER, 6), (signal.SIGTERM, TOGETHER, 4)],
    ids=["SIGKILL", "SIGTERM", "SIGKILL of one of two", "SIGTERM to two"],
)
def test_killed_at_random_moments(number, line, kills, tmp_path, capsys):
    began = time.monotonic()
    status, said = life([*LINE, *line, f"hydra.run.dir={tmp_path / 'whole'}"], 600, number, random.Random(0))
    lasts = time.monotonic() - began
    assert status == 0, said
    moments = [random.Random(number + kill).uniform(0, lasts) for kill in range(kills)]
    met: Counter = Counter()
    for attempt in range(kills):
        folder = tmp_path / f"cut_{attempt}"
        met += killed_until_it_ends(folder, line, moments, number, seed=attempt)
        assert_same(folder, tmp_path / "whole")
        if not moments:
            break
    with capsys.disabled():
        told = f"{signal.Signals(number).name} {' '.join(line)}: {attempt + 1} runs of {lasts:.0f} s"
        print(f"\n{told}, killed {dict(met)}")
    assert met.total() >= kills / 2, "most of them struck"
