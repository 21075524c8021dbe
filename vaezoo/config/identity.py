"""The identity of a training: a hash of all values that determine its result."""

import hashlib
import json
from collections.abc import Callable
from fnmatch import fnmatchcase
from functools import cache
from typing import Any

from omegaconf import DictConfig, OmegaConf

from vaezoo.config.overrides import leaves

# What cannot change the weights that a training ends with: where it runs, what is looked at on the way and afterwards.
# The result of several processes is that of one.
NEUTRAL = (
    *("folder", "log_every", "val_every", "logger*", "callbacks*", "sweep*", "launcher*", "hydra*"),
    *("dataset.download", "dataset.verify", "dataset.residence"),
    *("trainer._target_", "trainer.accelerator", "trainer.devices", "trainer.strategy*", "trainer.plugins"),
    *("trainer.engine", "trainer.chunk", "trainer.deterministic", "trainer.benchmark", "trainer.profiler*"),
    *("trainer.enable_*", "trainer.detect_anomaly"),
)

# Scores and pictures can be made later.
AFTERWARDS = ("metric*", "figure*")


@cache
def is_neutral(key: str) -> bool:
    """Whether the training is the same whatever this key says."""
    return is_for_later(key) or any(fnmatchcase(key, pattern) for pattern in NEUTRAL)


def identity(config: DictConfig) -> str:
    """Of a training: the hash of everything in its configuration that determines the weights, the seed included."""
    return fingerprint(config, lambda key: not is_neutral(key))


def afterwards(config: DictConfig) -> str:
    """The hash of what is to be done with the trained model: scores and figures."""
    return fingerprint(config, is_for_later)


@cache
def is_for_later(key: str) -> bool:
    return any(fnmatchcase(key, pattern) for pattern in AFTERWARDS)


def fingerprint(config: DictConfig, counts: Callable[[str], bool]) -> str:
    """1 and 1.0 are the same number; a value that is set to its default is the default."""
    container: Any = OmegaConf.to_container(config, resolve=False)
    values = {
        key: comparable(OmegaConf.select(config, key) if "${" in str(written) else written)
        for key, written in leaves(container)
        if counts(key)
    }
    return hashlib.sha256(json.dumps(values, sort_keys=True, default=str).encode()).hexdigest()[:16]


def comparable(value: Any) -> Any:
    if OmegaConf.is_config(value):
        value = OmegaConf.to_container(value, resolve=True)
    if isinstance(value, dict):
        return {key: comparable(item) for key, item in value.items()}
    if isinstance(value, list):
        return [comparable(item) for item in value]
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value
