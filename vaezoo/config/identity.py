"""Hash the values of a configuration that determine the result of a training, and those of its evaluation."""

import hashlib
import json
import os
import re
from collections.abc import Callable
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Any

from hydra.utils import to_absolute_path
from omegaconf import DictConfig, OmegaConf

from vaezoo.config.overrides import leaves
from vaezoo.errors import UserError

# Keys that cannot change the weights that a training ends with: where it runs, and what is logged and drawn. Several
# processes train the weights that one process trains.
NEUTRAL = (
    *("folder", "log_every", "val_every", "logger*", "sweep*", "launcher*", "hydra*"),
    *("callbacks.checkpoints.*", "callbacks.samples", "callbacks.progress"),
    *("dataset.download", "dataset.verify", "dataset.residence"),
    *("trainer._target_", "trainer.accelerator", "trainer.devices", "trainer.strategy*", "trainer.plugins"),
    *("trainer.engine", "trainer.chunk", "trainer.deterministic", "trainer.benchmark", "trainer.profiler*"),
    *("trainer.enable_*", "trainer.detect_anomaly", "trainer.max_time"),
)

# Keys that a run can change when it goes on. All others are in its checkpoint, or in the parts that it has built.
CHANGEABLE = (
    *("max_batches", "max_epochs", "log_every", "val_every", "trainer*", "logger*"),
    *("callbacks", "callbacks.checkpoints.*", "callbacks.samples", "callbacks.progress"),
    *("dataset.path", "dataset.download", "dataset.verify", "dataset.residence", "metric*", "figure*"),
)

# Keys that earlier versions did not have, and the values with which a run is what it was without them. Such a value is
# no part of the identity, so that the runs of earlier versions keep theirs.
ADDED_LATER = {"lr_schedule.warmup": 0, "init_from": None, "model.init": None, "figure.format": "png"}

# Where the data lie. They may be moved while their bytes stay the same (vaezoo.runs.provenance.check_data).
PATH = "dataset.path"

# The run whose weights this one begins with: a folder, or, as a run records it, FOLDER@HASH.
SOURCE = "init_from"
RECORDED_SOURCE = re.compile(r"(.+)@([0-9a-f]{16})")
LAST = Path("checkpoints") / "last.ckpt"  # the newest weights of a run

# Keys of the evaluation, which can be done later.
EVALUATION = ("metric*", "figure*")


@cache
def is_neutral(key: str) -> bool:
    """Return whether the training is the same for all values of this key."""
    return belongs_to_evaluation(key) or any(fnmatchcase(key, pattern) for pattern in NEUTRAL)


@cache
def is_changeable(key: str) -> bool:
    """Return whether a run that goes on can take another value of this key."""
    return any(fnmatchcase(key, pattern) for pattern in CHANGEABLE)


def hash_training(config: DictConfig) -> str:
    """Return the hash of all values that determine the trained weights, the seed included."""
    return hash_values(config, lambda key: not is_neutral(key))


def hash_evaluation(config: DictConfig) -> str:
    """Return the hash of what is requested of the trained model: scores and figures."""
    return hash_values(config, belongs_to_evaluation)


@cache
def belongs_to_evaluation(key: str) -> bool:
    """Return whether the key is about scores or figures."""
    return any(fnmatchcase(key, pattern) for pattern in EVALUATION)


def list_conflicts(trained: DictConfig, config: DictConfig) -> list[str]:
    """Return the keys that make two configurations different jobs, which cannot be one run that goes on."""

    def decides(key: str) -> bool:
        return not is_neutral(key) and not is_changeable(key)

    before, now = select_values(trained, decides), select_values(config, decides)
    return [key for key in {**now, **before} if before.get(key, ...) != now.get(key, ...)]


def hash_values(config: DictConfig, selects: Callable[[str], bool]) -> str:
    """Return 16 hexadecimal digits: the hash of the values of the selected keys.

    1 and 1.0 have the same hash, and so have a default and the same value on the command line.
    """
    values = select_values(config, selects)
    return hashlib.sha256(json.dumps(values, sort_keys=True, default=str).encode()).hexdigest()[:16]


def select_values(config: DictConfig, selects: Callable[[str], bool]) -> dict[str, Any]:
    """Return the values of the selected keys, by dotted key, in the form in which equal values are equal.

    They are those of the resolved configuration, so that a job has one hash when it is composed and when its folder is
    read: a reference such as ${latent} stands for several values.
    """
    container: Any = OmegaConf.to_container(config, resolve=False)
    values = {
        key: unify(OmegaConf.select(config, key) if "${" in str(written) else written)
        for key, written in leaves(container)
        if selects(key) and ADDED_LATER.get(key, ...) != written
    }
    if PATH in values:
        values[PATH] = make_absolute(values[PATH])
    if SOURCE in values:
        values[SOURCE] = split_source(values[SOURCE])[1]
    return dict(leaves(values))


def make_absolute(path: str | None) -> str | None:
    """Return the path relative to nothing, as it is from the folder in which the command was given."""
    return to_absolute_path(os.path.expanduser(path)) if path else path


def make_path_absolute(config: DictConfig) -> None:
    """Make the path of the data absolute, in place, because the run may be continued from another folder."""
    if path := OmegaConf.select(config, PATH):
        OmegaConf.update(config, PATH, make_absolute(path))


def record_source(config: DictConfig) -> None:
    """Add the hash of its weights to the source of a run, in place, because its folder may be moved or trained on."""
    if source := config.get(SOURCE):
        folder, weights_hash = split_source(source)
        config[SOURCE] = f"{folder}@{weights_hash}"


def split_source(source: str) -> tuple[Path, str]:
    """Return the folder of a source run, and the hash of its weights: as recorded, or else of its newest checkpoint.

    Raises UserError where there is no checkpoint to read.
    """
    if recorded := RECORDED_SOURCE.fullmatch(source):
        return Path(recorded[1]), recorded[2]
    folder = Path(str(make_absolute(source)))
    return folder, hash_weights(folder)


def hash_weights(folder: Path) -> str:
    """Return 16 hexadecimal digits of the newest checkpoint of a run. Raises UserError where it cannot be read."""
    try:
        state = (folder / LAST).stat()
        return hash_file(folder / LAST, state.st_mtime_ns, state.st_size)
    except OSError as error:
        raise UserError(f"{SOURCE}={folder}: {LAST} cannot be read there ({error.strerror}).") from None


@cache
def hash_file(path: Path, changed: int, size: int) -> str:
    """Return 16 hexadecimal digits of the content of a file, once for each time and size of it."""
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


def unify(value: Any) -> Any:
    """Return the value with references resolved and whole numbers as floats, so that equal values have equal hashes."""
    if OmegaConf.is_config(value):
        value = OmegaConf.to_container(value, resolve=True)
    if isinstance(value, dict):
        return {key: unify(item) for key, item in value.items()}
    if isinstance(value, list):
        return [unify(item) for item in value]
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value
