"""Compute metrics from their inputs, and keep each score with its protocol."""

import inspect
import logging
import time
from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from vaezoo.errors import UserError
from vaezoo.evaluation.floors import Floor, draws, find_floors
from vaezoo.evaluation.inputs import Inputs, Missing, constants, find_arguments
from vaezoo.metrics.array_checks import check_finite, varies
from vaezoo.metrics.directions import CONTINUOUS, Better, Direction, declaration_of
from vaezoo.metrics.protocol import Result, Skip
from vaezoo.progress import progress
from vaezoo.seeds import derive

log = logging.getLogger(__name__)

Metrics = Mapping[str, Callable[..., Result]]


@dataclass
class Scores:
    """Scores: `values` by dashboard key, `protocols` and `skipped` by metric, `arrays` by metric and name.

    `metrics` has the metric that a value comes from, `directions` the better end of it, `floors` what codes without
    information get.
    """

    values: dict[str, float] = field(default_factory=dict)
    metrics: dict[str, str] = field(default_factory=dict)
    protocols: dict[str, dict[str, Any]] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    arrays: dict[str, dict[str, np.ndarray]] = field(default_factory=dict)
    directions: dict[str, Direction] = field(default_factory=dict)
    floors: dict[str, Floor] = field(default_factory=dict)

    def is_at_floor(self, key: str) -> bool:
        """Return whether a value is no better than that of codes without information."""
        return key in self.floors and self.floors[key].is_reached(self.values[key], self.directions[key])

    @property
    def tables(self) -> dict[str, dict[str, dict[str, float]]]:
        """Return the arrays of shape (K,) by metric, name and column, of metrics that have an array `names` (K,)."""
        tables = {}
        for metric, arrays in self.arrays.items():
            if "names" in arrays:
                names = arrays["names"]
                columns = {
                    key: column for key, column in arrays.items() if key != "names" and column.shape == names.shape
                }
                tables[metric] = {
                    str(name): {key: float(column[k]) for key, column in columns.items()}
                    for k, name in enumerate(names)
                }
        return tables

    def without(self, skipped: Container[str]) -> "Scores":
        """Return the same scores without the reasons of these skipped metrics, which are known already."""
        return replace(self, skipped={name: reason for name, reason in self.skipped.items() if name not in skipped})

    def replaced_by(self, newer: "Scores") -> "Scores":
        """Return the scores of both, without old scores of a metric that `newer` has computed or skipped."""
        redone = {*newer.protocols, *newer.skipped}

        def select(by_metric: dict[str, Any]) -> dict[str, Any]:
            return {metric: entry for metric, entry in by_metric.items() if metric not in redone}

        def is_old(key: str) -> bool:
            return self.metrics[key.removesuffix("/sd")] not in redone

        both = Scores(
            {key: value for key, value in self.values.items() if is_old(key)},
            {key: metric for key, metric in self.metrics.items() if is_old(key)},
            select(self.protocols),
            select(self.skipped),
            select(self.arrays),
            {key: direction for key, direction in self.directions.items() if is_old(key)},
            {key: floor for key, floor in self.floors.items() if is_old(key)},
        )
        both.add(newer)
        both.skipped.update(newer.skipped)
        return both

    def add(self, others: "Scores") -> None:
        """Add the scores of other metrics, without what these skipped, because the reasons are there already."""
        for name in ("values", "metrics", "protocols", "arrays", "directions", "floors"):
            getattr(self, name).update(getattr(others, name))


def evaluate_metrics(metrics: Metrics, inputs: Inputs, *, seed: int, repeats: int, floors: bool = False) -> Scores:
    """Return the scores of metrics, each with a generator from (seed, its name), so that none changes another.

    Metrics that draw are repeated `repeats` times: the mean is the score, and the standard deviation over the repeats
    is beside it. A metric that does not apply is skipped with the reason, and so is a metric that fails. `floors` adds
    what codes without information get. Raise UserError for an array that no metric can use, such as codes that are not
    finite.
    """
    scores = Scores()
    with progress("scoring", len(metrics), "metric") as bar:
        for name, metric in metrics.items():
            began = time.perf_counter()
            try:
                arguments = find_arguments(metric, inputs)
                check_variance(arguments)
                results = run_metric(name, metric, arguments, seed, repeats)
            except Skip as reason:
                scores.skipped[name] = str(reason)
            except Missing as missing:
                scores.skipped[name] = str(missing)
            except UserError:
                raise
            except Exception as error:
                log.exception("The metric %s failed; the others go on.", name)
                scores.skipped[name] = f"failed: {type(error).__name__}: {error}"
            else:
                facts = record_results(scores, name, results, declaration_of(metric))
                protocol = constants(metric, inputs)
                protocol["rows"] = protocol.get("rows") or count_rows(arguments)
                if draws(metric):
                    protocol |= {"seed": seed, "repeats": len(results)}
                seconds = round(time.perf_counter() - began, 3)
                scores.protocols[name] = {**protocol, **facts, "seconds": seconds}
                if floors:
                    has_score = "score" in results[0]
                    for key, floor in find_floors(metric, arguments, constants(metric, inputs)).items():
                        if (full := f"eval/{name_score(name, key, has_score)}") in scores.directions:
                            scores.floors[full] = floor
            bar.update()
    return scores


def check_variance(arguments: Mapping[str, Any]) -> None:
    """Raise Skip where all codes are the same, because any number that a metric gives for them is its own property."""
    for name in ("codes", "means", "test_codes", "train_codes"):
        if name not in arguments:
            continue
        check_finite(name, arguments[name])
        if not varies(arguments[name]):
            raise Skip(f"the codes have no variance: all {len(arguments[name])} rows are the same")


def select_continuous(metrics: Metrics) -> Metrics:
    """Return the metrics of codes as NAME_continuous, to be computed once more from the continuous latents alone.

    The probabilities of categories sum to 1, so a total correlation with them is no finding. Metrics of log variances
    are left out, because categories have none.
    """
    names = {name: set(inspect.signature(metric).parameters) for name, metric in metrics.items()}
    return {
        f"{name}{CONTINUOUS}": metric
        for name, metric in metrics.items()
        if names[name] & {"codes", "test_codes"} and not names[name] & {"logvars", "test_logvars"}
    }


def run_metric(
    name: str, metric: Callable[..., Result], arguments: dict[str, Any], seed: int, repeats: int
) -> list[Result]:
    """Return the result of a metric, or those of all repeats if it draws."""
    if not draws(metric):
        return [metric(**arguments)]
    generators = (np.random.default_rng(derive(seed, name, repeat)) for repeat in range(repeats))
    return [metric(**arguments, rng=rng) for rng in generators]


def record_results(scores: Scores, name: str, results: list[Result], better: Better) -> dict[str, bool | str]:
    """Add the numbers and arrays of a metric to the scores; return its facts, which belong to the protocol."""
    facts = {}
    for key, first in results[0].items():
        if isinstance(first, bool | str):
            facts[key] = first
        elif isinstance(first, np.ndarray):
            scores.arrays.setdefault(name, {})[key] = first
        else:
            full = f"eval/{name_score(name, key, has_score='score' in results[0])}"
            values = np.array([result[key] for result in results], np.float64)
            scores.values[full] = float(values.mean())
            scores.metrics[full] = name
            if direction := better.find(key):
                scores.directions[full] = direction
            if (values != values[0]).any() and np.isfinite(values).all():
                scores.values[f"{full}/sd"] = float(values.std(ddof=1))
    return facts


def name_score(metric: str, key: str, has_score: bool) -> str:
    """Return the name of a number in the result of a metric.

    A metric without a "score" reports several quantities of equal rank, each under its own name.
    """
    if key == "score":
        return metric
    if has_score:
        return f"{metric}/{key}"
    return f"{key}{CONTINUOUS}" if metric.endswith(CONTINUOUS) else key


def count_rows(arguments: Mapping[str, Any]) -> int | None:
    """Return the number of rows of the first array among the arguments."""
    return next((len(value) for value in arguments.values() if isinstance(value, np.ndarray)), None)
