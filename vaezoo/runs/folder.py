"""Run folders: self-contained, readable while a run goes on, and every file in them whole or not there."""

import csv
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from filelock import FileLock, Timeout
from omegaconf import DictConfig, OmegaConf

from vaezoo.errors import UserError
from vaezoo.runs.files import write_json
from vaezoo.runs.moved import update_targets

if TYPE_CHECKING:
    import numpy as np

CONFIG = Path(".hydra") / "config.yaml"
LAST = Path("checkpoints") / "last.ckpt"
DONE = Path("done.json")  # the last file of a run that has done all it was asked for
LOCK = Path(".lock")
WORKER = Path(".worker.lock")  # of the first of several processes, which may outlive the one that holds the other
ERROR = Path("error.txt")
PREVIOUS = LAST.with_name("previous.ckpt")  # the one before, for the day when the last is damaged


class Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """Plain YAML at the speed of C; a number such as 1e-3 needs no decimal point, as on the command line."""


Loader.add_implicit_resolver("tag:yaml.org,2002:float", re.compile(r"[-+]?\d+[eE][-+]?\d+$"), list("-+0123456789"))


def read_config(folder: Path) -> dict[str, Any]:
    """The resolved configuration of a run as it was written. Reports read thousands: without OmegaConf."""
    path = folder / CONFIG
    if not path.is_file():
        inside = sorted(str(found.parents[1]) for found in folder.glob(f"*/{CONFIG}"))
        hint = f" It holds runs, such as run={inside[0]}." if inside else ""
        raise UserError(f"run={folder}: not a run folder, {CONFIG} is missing.{hint}")
    try:
        config = yaml.load(path.read_text(), Loader)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise UserError(f"run={folder}: {CONFIG} cannot be read ({reason}).") from None
    # Hydra writes the configuration as it was composed, and the run then resolves it, its own folder above all.
    if not isinstance(config, dict) or "${" in str(config.get("folder", "${")):
        raise UserError(f"run={folder}: it was stopped before it had begun. Give its whole command line again.")
    update_targets(config)
    return config


def load_config(folder: Path) -> DictConfig:
    """The resolved configuration of a run, with `folder` where it lies now."""
    config = OmegaConf.create(read_config(folder))
    OmegaConf.update(config, "folder", str(folder), force_add=True)
    for logger in config.get("logger", {}).values():
        logger.folder = str(folder)
    return config


@contextmanager
def lock_folder(folder: Path, lock: Path = LOCK) -> Iterator[None]:
    """While entered, nobody else trains in the folder, on this machine or another that shares its files.

    The system gives the lock back when a process dies, however it dies.
    """
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder / lock, timeout=2):  # `is_running` takes it for an instant
            yield
    except Timeout:
        raise UserError(f"{folder}: another process is training there. Wait for it, or stop it first.") from None


def is_running(folder: Path) -> bool:
    return any(is_held(folder / lock) for lock in (LOCK, WORKER))


def is_held(lock: Path) -> bool:
    if not lock.is_file():
        return False
    try:
        with FileLock(lock, timeout=0):
            return False
    except Timeout:
        return True
    except OSError:  # in a folder of somebody else's
        return False


def mark_finished(folder: Path, identity: str, afterwards: str) -> None:
    """done.json: all that this configuration asks for is there."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    write_json(folder / DONE, {"job": identity, "afterwards": afterwards, "finished": now})


def read_scores(folder: Path) -> dict[str, float]:
    """By key, as metrics.json has them; none where nothing was scored."""
    path = folder / "metrics.json"
    scores = json.loads(path.read_text())["scores"] if path.is_file() else {}
    return {name: float(value) for name, value in scores.items()}  # "nan" and "inf" are texts there


def is_done(folder: Path, identity: str, afterwards: str) -> bool:
    """Whether this training, and what was to be done with the model then, has been finished here."""
    try:
        done = json.loads((folder / DONE).read_text())
    except (OSError, ValueError):
        return False
    return done.get("job") == identity and done.get("afterwards") == afterwards


def read_state(folder: Path) -> str:
    """What became of a run: "finished", "failed", "stopped" (it can go on), "running", or "new"."""
    if is_running(folder):
        return "running"
    if (folder / DONE).is_file():
        return "finished"
    if (said := read_reason(folder)) is not None:
        return "stopped" if said.startswith("interrupted") else "failed"
    return "stopped" if has_checkpoint(folder) else "new"


def read_reason(folder: Path) -> str | None:
    """The line of error.txt that says it: a message, or the last of a traceback. None where nothing went wrong."""
    try:
        text = (folder / ERROR).read_text(errors="replace").strip()
    except OSError:
        return None
    lines = text.splitlines() or ["it failed without a word"]
    return lines[-1] if lines[0].startswith("Traceback") else lines[0]


def has_checkpoint(folder: Path) -> bool:
    """Whether a run has left a checkpoint to go on from."""
    return any((folder / name).is_file() for name in (LAST, PREVIOUS))


def read_history(folder: Path) -> "dict[str, tuple[np.ndarray, np.ndarray]]":
    """metrics.csv by column: the batch counts at which it has a value, and the values."""
    import numpy as np  # a slip on the command line is answered without it

    path = folder / "metrics.csv"
    if not path.is_file():
        return {}
    with path.open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if (row.get("batches") or "").isdigit()]
    columns = [name for name in rows[0] if name and name != "batches"] if rows else []
    series = {}
    for name in columns:
        pairs = [(int(row["batches"]), float(row[name])) for row in rows if row.get(name)]
        if pairs:
            batches, values = zip(*pairs, strict=True)
            series[name] = (np.array(batches), np.array(values))
    return series


def relative_to_cwd(path: Path) -> Path:
    """Return the path as it can be typed in the present folder."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
