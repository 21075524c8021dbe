"""Scores in a folder: metrics.json, and the matrices behind them in metrics.npz."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vaezoo.errors import UserError
from vaezoo.evaluation.floors import Floor
from vaezoo.evaluation.scores import Scores
from vaezoo.metrics.directions import Direction
from vaezoo.runs.files import write_arrays, write_json
from vaezoo.runs.limits import UNREADABLE, read_arrays, read_bytes
from vaezoo.runs.provenance import select_identity


def write(scores: Scores, about: Mapping[str, Any], folder: Path) -> None:
    """Write the scores; `about` describes what was scored, such as the hash of the checkpoint and the data."""
    content = {
        "scores": scores.values,
        "protocols": scores.protocols,
        "skipped": scores.skipped,
        "tables": scores.tables,
        "metrics": scores.metrics,
        "floors": {
            key: {**floor._asdict(), "reached": scores.is_at_floor(key)} for key, floor in scores.floors.items()
        },
        "directions": {key: direction.write() for key, direction in scores.directions.items()},
        "about": about,
    }
    write_json(folder / "metrics.json", content)
    matrices = {f"{metric}/{name}": array for metric, held in scores.arrays.items() for name, array in held.items()}
    write_arrays(folder / "metrics.npz", matrices)


def read(folder: Path, checkpoint: str, data: Mapping[str, Any] | None = None) -> Scores:
    """Return the scores of the weights with this hash; none where the files are of other weights or cannot be read.

    With `data`, the identity of a data set, there are none of other data either.
    """
    try:
        content = json.loads(read_bytes(folder, "metrics.json") or b"{}")
        if content["about"]["checkpoint"] != checkpoint:
            return Scores()
        if data is not None and select_identity(content["about"]["data"]) != select_identity(data):
            return Scores()
        scores = Scores(
            {key: float(value) for key, value in content["scores"].items()},  # "nan" and "inf" are texts there
            dict(content["metrics"]),
            {metric: dict(protocol) for metric, protocol in content["protocols"].items()},
            {metric: str(reason) for metric, reason in content["skipped"].items()},
            directions={key: Direction.read(text) for key, text in content.get("directions", {}).items()},
            floors={
                key: Floor(*(float(entry[part]) for part in Floor._fields))
                for key, entry in content.get("floors", {}).items()
            },
        )
        for place, array in read_arrays(folder / "metrics.npz").items():
            metric, _, name = place.partition("/")
            scores.arrays.setdefault(metric, {})[name] = array
    except (*UNREADABLE, UserError):
        return Scores()
    return scores
