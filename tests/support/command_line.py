"""Runs of the commands within this process, and what they leave in their folders."""

import csv
import json
import sys
from pathlib import Path

import torch

import vaezoo.evaluate
import vaezoo.report
import vaezoo.train

QUICK = ["dataset=digits", "callbacks.progress=false", "val_every=10", "log_every=5"]


SCORES = ["metric=fast", "metric.rows=300", "metric.test_rows=50"]


BARE = ["metric=none", "figure=none", "logger=csv"]


def run(main, monkeypatch, *arguments: str) -> int:
    """Call an entry point as the shell would; its exit status."""
    monkeypatch.setattr(sys, "argv", ["vaezoo", *arguments])
    try:
        main()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    return 0


def train(monkeypatch, *arguments: str) -> int:
    return run(vaezoo.train.main, monkeypatch, *arguments)


def state(folder: Path, name: str = "last") -> dict:
    return torch.load(folder / "checkpoints" / f"{name}.ckpt", weights_only=True)


def same_weights(a: Path, b: Path) -> bool:
    first, second = state(a)["state_dict"], state(b)["state_dict"]
    return first.keys() == second.keys() and all(torch.equal(first[key], second[key]) for key in first)


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "metrics.csv").open(newline="") as file:
        return [{k: v for k, v in row.items() if not k.startswith("perf/")} for row in csv.DictReader(file)]


def run_briefly(in_tmp, monkeypatch, name: str, *overrides: str) -> dict:
    """metrics.json of a run of a few batches, evaluated and drawn."""
    from vaezoo.train import main

    line = [f"model={name}", "dataset=digits", "max_batches=4", "val_every=2", "logger=csv", "hydra.run.dir=run"]
    monkeypatch.setattr(sys, "argv", ["train", *line, "callbacks.progress=false", *overrides])
    main()
    drawn = {path.stem for path in (in_tmp / "run/figures").iterdir()}
    assert {"samples", "reconstructions", "traversals", "class_grid"} <= drawn
    return json.loads((in_tmp / "run/metrics.json").read_text())
