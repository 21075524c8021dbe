"""Scores in a folder: metrics.json, and in metrics.npz the matrices behind them."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from vaezoo.evaluation.scores import Scores
from vaezoo.metrics.directions import Direction
from vaezoo.runs.files import write_arrays, write_json


def write(scores: Scores, about: Mapping[str, Any], folder: Path) -> None:
    """`about` says what was scored, such as the hash of the checkpoint and the data."""
    kept = {
        "scores": scores.values,
        "protocols": scores.protocols,
        "skipped": scores.skipped,
        "tables": scores.tables,
        "metrics": scores.metrics,
        "directions": {key: direction.write() for key, direction in scores.directions.items()},
        "about": about,
    }
    write_json(folder / "metrics.json", kept)
    matrices = {f"{name}/{key}": array for name, held in scores.arrays.items() for key, array in held.items()}
    write_arrays(folder / "metrics.npz", matrices)


def read(folder: Path, checkpoint: str) -> Scores:
    """What is there of these weights, given by their hash; nothing where the files are of others, or cannot be read."""
    try:
        kept = json.loads((folder / "metrics.json").read_text())
        if kept["about"]["checkpoint"] != checkpoint:
            return Scores()
        scores = Scores(
            {key: float(value) for key, value in kept["scores"].items()},  # "nan" and "inf" are texts there
            kept["metrics"],
            kept["protocols"],
            kept["skipped"],
            directions={key: Direction.read(text) for key, text in kept.get("directions", {}).items()},
        )
        with np.load(folder / "metrics.npz", allow_pickle=False) as file:
            for name in file.files:
                metric, _, key = name.partition("/")
                scores.arrays.setdefault(metric, {})[key] = file[name]
    except (OSError, ValueError, KeyError, BadZipFile):
        return Scores()
    return scores
