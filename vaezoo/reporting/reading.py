"""What run folders hold, read once, without a model and without the data set."""

import json
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vaezoo.config.overrides import leaves
from vaezoo.errors import UserError
from vaezoo.progress import progress
from vaezoo.runs.folder import CONFIG, DONE, read_config, read_reason, read_state

# Where a run was made and what was looked at says nothing about it; the model's parts repeat the groups they come from.
IGNORED = (
    "folder",
    "logger.",
    "callbacks.",
    "figure.",
    "metric.",
    "sweep.",
    "launcher.",
    "log_every",
    "val_every",
    "dataset.seed",
    "trainer._target_",
    "trainer.accelerator",
    "trainer.devices",
    "trainer.strategy",
    "trainer.plugins",
    *(f"model.{part}" for part in ("latent.", "likelihood.", "encoder.", "decoder.", "optimizer.", "image_shape")),
)
WITHIN = {"wandb", "checkpoints", "figures", "__pycache__"}  # folders of a run that hold no other runs
OF_RUN = ("seconds", "seed", "saturated")  # in a protocol, but no choice of whoever scored
FINISHED, FAILED, STOPPED, RUNNING, NEW = "finished", "failed", "stopped", "running", "not begun"


@dataclass(frozen=True)
class Run:
    folder: Path
    state: str
    config: dict[str, Any] = field(default_factory=dict)  # dotted keys; empty where it cannot be read
    scores: dict[str, float] = field(default_factory=dict)  # without "eval/"
    tables: dict[str, Any] = field(default_factory=dict)  # by metric, name and column, such as one attribute's accuracy
    skipped: dict[str, str] = field(default_factory=dict)  # why, by metric
    protocols: dict[str, str] = field(default_factory=dict)  # by metric, what the score depends on
    data: str = ""  # which bytes
    batches: int | None = None  # of the weights that were scored
    job: str = ""  # the identity of the training
    made: dict[str, str] = field(default_factory=dict)  # commit, device, versions
    started: str = ""
    error: str = ""  # why it ended badly, in a line


def read_runs(roots: Sequence[Path]) -> list[Run]:
    """Every run folder below the roots, and the jobs of studies that have none yet."""
    folders = list(dict.fromkeys(folder for root in roots for folder in run_folders(root)))
    jobs = list(dict.fromkeys(folder for root in roots for folder in asked(root)))
    if not folders and not jobs:
        raise UserError(f"runs={shown(roots)}: no run folder in it or below it; each has a {CONFIG}.")
    table = []
    with progress("reading", len(folders), "run") as bar:
        for folder in folders:
            table.append(read_run(folder))
            bar.update()
    there = set(folders)
    return table + [Run(folder, NEW) for folder in jobs if folder not in there]


def shown(roots: Sequence[Path]) -> str:
    return str(roots[0]) if len(roots) == 1 else f"[{','.join(map(str, roots))}]"


def run_folders(root: Path) -> Iterator[Path]:
    for place, inside, _ in os.walk(root):
        if ".hydra" in inside and (Path(place) / CONFIG).is_file():
            yield Path(place)
        inside[:] = sorted(name for name in inside if name not in WITHIN and not name.startswith("."))


def asked(root: Path) -> Iterator[Path]:
    """The folders of all jobs that the studies at or below `root` were asked for."""
    for path in sorted({root / "study.json", *root.glob("*/study.json")}):
        if path.is_file():
            yield from (path.parent / job["folder"] for job in read_json(path).get("jobs", []))


def read_run(folder: Path) -> Run:
    try:
        config = named(dict(leaves(read_config(folder))))
    except UserError as mistake:
        return Run(folder, FAILED, error=str(mistake))
    state, error = state_of(folder)
    try:
        scored, made = read_json(folder / "metrics.json"), read_json(folder / "environment.json")
        about = scored.get("about", {})
        return Run(
            folder=folder,
            state=state,
            config=config,
            scores={name.removeprefix("eval/"): float(value) for name, value in scored.get("scores", {}).items()},
            tables=scored.get("tables", {}),
            skipped={metric: sys.intern(why) for metric, why in scored.get("skipped", {}).items()},
            protocols={metric: protocol(said) for metric, said in scored.get("protocols", {}).items()},
            data=sys.intern(json.dumps([about.get("dataset"), about.get("data")], sort_keys=True)),
            batches=about.get("batches"),
            job=read_json(folder / DONE).get("job", ""),
            made=origin(made),
            started=made.get("started", ""),
            error=error,
        )
    except (ValueError, AttributeError, TypeError) as damage:
        return Run(folder, FAILED, config=config, error=f"metrics.json or environment.json cannot be read ({damage})")


def read_json(path: Path) -> dict[str, Any]:
    return json.loads(path.read_bytes()) if path.is_file() else {}


def state_of(folder: Path) -> tuple[str, str]:
    """What became of a run whose configuration is there, and the line that says why it ended badly."""
    state, error = read_state(folder), read_reason(folder) or ""
    if state in (STOPPED, "new"):
        # Scores without done.json are those of a run from before there was one, or of `evaluate`.
        state = FINISHED if not error and (folder / "metrics.json").is_file() else STOPPED
    return state, error if state in (FAILED, STOPPED) else ""


def named(config: dict[str, Any]) -> dict[str, Any]:
    """Keys as the command line has them: `model` for model._target_, `dataset` for dataset.name."""
    kept = {}
    for key, value in config.items():
        if key.startswith(IGNORED) or key.endswith(("_partial_", "_convert_")):
            continue
        if key == "dataset.name":
            kept["dataset"] = value
        elif key.endswith("._target_"):
            if key != "dataset._target_":
                kept[key.removesuffix("._target_")] = short(str(value), key == "model._target_")
        else:
            kept[sys.intern(key)] = value
    return kept


def short(target: str, model: bool) -> str:
    """vaezoo.models.dipvae.DIPVAE -> dipvae; of all else the last name."""
    parts = target.split(".")
    return parts[-2] if model and parts[:2] == ["vaezoo", "models"] else parts[-1]


def protocol(said: dict[str, Any]) -> str:
    """What would make two scores of one name differ, except what belongs to the run."""
    return sys.intern(json.dumps({key: value for key, value in said.items() if key not in OF_RUN}, sort_keys=True))


def origin(made: dict[str, Any]) -> dict[str, str]:
    git = made.get("git") or {}
    changed = ", and changes since" if git.get("changed") else ""
    found = {
        "commit": f"{str(git['commit'])[:12]}{changed}" if git.get("commit") else "",
        "device": made.get("device", ""),
        "python": made.get("python", ""),
        **made.get("packages", {}),
    }
    return {sys.intern(key): sys.intern(str(value)) for key, value in found.items() if value}
