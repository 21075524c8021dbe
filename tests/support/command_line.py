"""Runs of the commands within this process, and what they leave in their folders."""

import csv
import json
import logging
import os
import sys
import time
from collections.abc import Callable
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from pathlib import Path

import torch

import vaezoo.train
from tests.support.configuration import compose_train
from vaezoo.training.run import train as train_job

QUICK = ["dataset=digits", "callbacks.progress=false", "val_every=10", "log_every=5"]
SCORES = ["metric=fast", "metric.rows=300", "metric.test_rows=50"]
BARE = ["metric=none", "figure=none", "logger=csv"]


def run(main, monkeypatch, *arguments: str) -> int:
    """Call an entry point as the shell would and return its exit status."""
    monkeypatch.setattr(sys, "argv", ["vaezoo", *arguments])
    handlers = logging.root.handlers[:]
    try:
        main()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    finally:
        logging.root.handlers[:] = handlers  # Hydra's would write to the closed output of this test in later tests.
    return 0


def train(monkeypatch, *arguments: str) -> int:
    """Call `python -m vaezoo.train` and return its exit status."""
    return run(vaezoo.train.main, monkeypatch, *arguments)


def start_train(*arguments: str, errors: Path, before: Callable[[], None] = lambda: None) -> BaseProcess:
    """Start `python -m vaezoo.train` in a process of its own, a copy of this one, which has imported torch already.

    Its standard error goes into the file `errors`. `before` is called in the process before the command.
    """

    def act() -> None:
        with errors.open("w", encoding="utf-8") as file:
            os.dup2(file.fileno(), sys.__stderr__.fileno() if sys.__stderr__ else 2)
            sys.stderr = file
            sys.argv = ["vaezoo", *arguments]
            before()
            vaezoo.train.main()

    process = get_context("fork").Process(target=act)
    process.start()
    return process


def wait_for(path: Path, process: BaseProcess, seconds: float = 60) -> None:
    """Wait until a process has written a file."""
    deadline = time.monotonic() + seconds
    while not path.exists():
        assert process.is_alive(), process.exitcode
        assert time.monotonic() < deadline, f"{path} did not come"
        time.sleep(0.02)


def train_in(folder: str | Path, *overrides: str) -> Path:
    """Run the job of a configuration in a folder, without the command's parsing, which takes longer than ten steps."""
    train_job(compose_train(*overrides, f"folder={folder}"))
    return Path(folder)


def state(folder: Path, name: str = "last") -> dict:
    return torch.load(folder / "checkpoints" / f"{name}.ckpt", weights_only=True)


def same_weights(a: Path, b: Path) -> bool:
    first, second = state(a)["state_dict"], state(b)["state_dict"]
    return first.keys() == second.keys() and all(torch.equal(first[key], second[key]) for key in first)


def rows(folder: Path) -> list[dict[str, str]]:
    """Return the rows of metrics.csv without the speeds."""
    with (folder / "metrics.csv").open(newline="") as file:
        return [{k: v for k, v in row.items() if not k.startswith("perf/")} for row in csv.DictReader(file)]


def run_briefly(folder: Path, name: str, *overrides: str) -> dict:
    """Return metrics.json of a run of a few batches that is evaluated and drawn."""
    line = [f"model={name}", "dataset=digits", "max_batches=4", "val_every=2", "logger=csv"]
    train_in(folder, *line, "callbacks.progress=false", *overrides)
    drawn = {path.stem for path in (folder / "figures").iterdir()}
    assert {"samples", "reconstructions", "traversals", "class_grid"} <= drawn
    return json.loads((folder / "metrics.json").read_text())
