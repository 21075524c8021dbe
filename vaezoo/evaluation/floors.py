"""The floor of a score: what codes without information get on the same table, with the same protocol.

Noise and constant codes of the same shape take the place of the codes; factors, labels and held-out rows stay. Noise is
drawn from N(0, 1), or as random probabilities where the codes are probabilities. The floor depends on nothing that was
trained, so it is computed once for a table and a protocol and kept in $VAEZOO_DATA/floors.
"""

import hashlib
import inspect
import json
import logging
import warnings
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from vaezoo import metrics
from vaezoo.data.files.lock import find_data_folder
from vaezoo.errors import UserError
from vaezoo.metrics.directions import EASY, Direction, declaration_of
from vaezoo.metrics.protocol import Result
from vaezoo.runs.files import write_json
from vaezoo.seeds import derive

log = logging.getLogger(__name__)

NOISES = 3  # tables of noise
REPLACED = {"codes", "means", "test_codes", "test_means", "train_codes", "test_class_logits", "train_class_logits"}
PROBABILITIES = {"test_clusters", "train_clusters"}
# The log variances of posteriors that noise has, with σ = 0.14, and of posteriors that are constant, as the prior.
LOGVARS, NOISE_LOGVAR = {"logvars", "test_logvars"}, -4.0


class Floor(NamedTuple):
    """The mean over tables of noise, their largest value minus the smallest, and the value of constant codes."""

    noise: float
    spread: float
    constant: float

    def is_reached(self, value: float, direction: Direction) -> bool:
        """Return whether a value is no better than that of noise, within the spread, or of constant codes.

        Noise has the best value of an EASY score, so there the value must be within the spread.
        """
        if direction.group == EASY:
            return abs(value - self.noise) <= self.spread
        way = 1 if direction.better == "higher" else -1
        return any(way * value <= bound for bound in (way * self.noise + self.spread, way * self.constant))


Floors = dict[str, Floor]  # by the key in the result of a metric


def find_floors(metric: Callable[..., Result], arguments: Mapping[str, Any], protocol: Mapping[str, Any]) -> Floors:
    """Return the floor of each number of a metric that has a direction; none where it does not look at codes alone.

    A split of the KL divergence has none, because it would depend on the variances that noise is given. `protocol` are
    the constants of the metric. A floor that cannot be kept is computed again the next time.
    """
    names, better = arguments.keys(), declaration_of(metric)
    if not (better.higher or better.lower):
        return {}
    if not names & (REPLACED | PROBABILITIES) or (names & LOGVARS and "factors" not in names):
        return {}
    if any(map(callable, arguments.values())):  # This metric looks at images, too.
        return {}
    path = find_data_folder() / "floors" / f"{identify(metric, arguments, protocol)}.json"
    with suppress(OSError, ValueError, TypeError):
        return {key: Floor(*map(float, entry)) for key, entry in json.loads(path.read_bytes()).items()}
    floors = measure_floors(metric, arguments)
    with suppress(OSError, UserError):
        write_json(path, floors)
    return floors


def identify(metric: Callable[..., Result], arguments: Mapping[str, Any], protocol: Mapping[str, Any]) -> str:
    """Return a hash of what a floor depends on: the metric, its constants, its arrays and the shapes of the codes."""
    while hasattr(metric, "func"):
        metric = metric.func
    sources = hash_sources(Path(inspect.getfile(inspect.unwrap(metric))))
    digest = hashlib.sha256(repr((sources, metric.__module__, metric.__qualname__, protocol)).encode())
    for name, value in sorted(arguments.items()):
        is_array = isinstance(value, np.ndarray)
        digest.update(repr((name, value.shape, value.dtype) if is_array else (name, value)).encode())
        if is_array and name not in REPLACED | PROBABILITIES | LOGVARS:
            digest.update(np.ascontiguousarray(value).tobytes())
    return digest.hexdigest()[:24]


@cache
def hash_sources(file: Path) -> str:
    """Return a hash of the source texts of a metric's file, of all metrics of this package, and of this file."""
    files = [file, Path(__file__), *sorted(Path(metrics.__file__).parent.glob("*.py"))]
    return hashlib.sha256(b"".join(file.read_bytes() for file in files if file.is_file())).hexdigest()


def measure_floors(metric: Callable[..., Result], arguments: Mapping[str, Any]) -> Floors:
    """Return the floors of a metric; none where it fails or declines for noise."""
    better = declaration_of(metric)
    results = [try_metric(metric, replace_codes(arguments, i), i) for i in range(NOISES)]
    constant = try_metric(metric, replace_codes(arguments, None), 0)
    floors = {}
    for key in results[0]:
        if better.find(key) and all(key in result for result in results):
            values = [float(result[key]) for result in results]
            floors[key] = Floor(float(np.mean(values)), max(values) - min(values), float(constant.get(key, np.nan)))
    return floors


def draws(metric: Callable[..., Result]) -> bool:
    """Return whether a metric takes a generator."""
    return "rng" in inspect.signature(metric).parameters


def try_metric(metric: Callable[..., Result], arguments: dict[str, Any], seed: int) -> Result:
    """Return the result of a metric without its warnings; empty where it declines or fails."""
    if draws(metric):
        arguments["rng"] = np.random.default_rng(derive(0, "floor", seed))
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            return metric(**arguments)
        except Exception as reason:
            log.debug("no floor: %s", reason)
            return {}


def replace_codes(arguments: Mapping[str, Any], seed: int | None) -> dict[str, Any]:
    """Return the arguments with noise in place of codes, or with constant codes where the seed is None."""
    rng = None if seed is None else np.random.default_rng(derive(0, "noise in place of codes", seed))
    replaced = dict(arguments)
    for name, value in arguments.items():
        if name in LOGVARS:
            replaced[name] = np.full_like(value, 0.0 if rng is None else NOISE_LOGVAR)
        elif name in PROBABILITIES:
            replaced[name] = draw_probabilities(value.shape, rng)
        elif name in REPLACED:
            codes = np.zeros(value.shape, np.float32) if rng is None else rng.standard_normal(value.shape, np.float32)
            first = codes.shape[1] - sum(arguments.get("categories", ()))
            for count in arguments.get("categories", ()):
                codes[:, first : first + count] = draw_probabilities((len(codes), count), rng)
                first += count
            replaced[name] = codes.astype(value.dtype, copy=False)
    return replaced


def draw_probabilities(shape: tuple[int, int], rng: np.random.Generator | None) -> np.ndarray:
    """Return probabilities (N, values), uniform over all distributions, or all equal without a generator."""
    weights = np.ones(shape, np.float32) if rng is None else rng.standard_exponential(shape, np.float32)
    return weights / weights.sum(axis=1, keepdims=True)
