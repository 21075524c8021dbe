"""Experiments of papers as their files have them; composing a job takes a third of a second."""

from pathlib import Path
from typing import Any

import yaml

from vaezoo.config.directory import DIRECTORY

CONF = Path(DIRECTORY)
ABOVE = {"smoke": "small", "small": "paper"}  # the size that a size begins with


def written(name: str, size: str) -> dict[str, Any]:
    return yaml.safe_load((CONF / "experiment" / name / f"{size}.yaml").read_text())


def grids(name: str, size: str) -> list[dict[str, Any]]:
    return written(name, size)["sweep"].get("grids") or grids(name, ABOVE[size])


def chosen(name: str, size: str, group: str) -> str | None:
    """What the experiment chooses for all of its jobs."""
    told = [line[f"override /{group}"] for line in written(name, size)["defaults"] if f"override /{group}" in line]
    return told[0] if told else chosen(name, ABOVE[size], group) if size in ABOVE else None
