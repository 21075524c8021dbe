"""Small trainings from the command line, which slow tests hold to what models claim."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from hydra.utils import instantiate

from tests.support.paths import ROOT
from vaezoo.runs.folder import load_config
from vaezoo.runs.weights import load_weights, restore_weights

LINE = ("val_every=1000", "callbacks.progress=false", "logger=csv", "figure=none")


class Run(NamedTuple):
    scores: dict[str, float]
    table: dict[str, np.ndarray]  # of latents.npz
    folder: Path

    def restored(self) -> tuple[Any, Any]:
        """The trained model, in evaluation mode, and its data."""
        config = load_config(self.folder)
        model, data = instantiate(config.model), instantiate(config.dataset)
        restore_weights(model, load_weights(self.folder), self.folder)
        return model.eval(), data


def trainings(root: Path) -> Callable[..., list[Run]]:
    """train(*words, seeds=...) -> a run for each seed, in folders below `root`; the same words are trained once."""

    @cache
    def train(*line: str, seed: int) -> Run:
        folder = root / f"{abs(hash(line))}_{seed}"
        command = [sys.executable, "-m", "vaezoo.train", *LINE, *line, f"seed={seed}", f"hydra.run.dir='{folder}'"]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
        subprocess.run(command, check=True, capture_output=True, env=environment, cwd=root)
        scores = json.loads((folder / "metrics.json").read_text())["scores"]
        return Run(scores, dict(np.load(folder / "latents.npz")), folder)

    return lambda *line, seeds: [train(*line, seed=seed) for seed in seeds]


def values(runs: list[Run], name: str) -> np.ndarray:
    return np.array([run.scores[f"eval/{name}"] for run in runs])
