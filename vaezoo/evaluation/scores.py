"""Runs the chosen metrics over one latent table and keeps each score with its protocol."""

import inspect
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from vaezoo.evaluation.fixtures import Missing, call, constants
from vaezoo.metrics.directions import CONTINUOUS, Better, Direction, declaration_of
from vaezoo.metrics.protocol import Result, Skip
from vaezoo.progress import progress
from vaezoo.seeds import derive

log = logging.getLogger(__name__)

# Why a metric cannot be computed when this fixture is not there.
REASONS = {
    "factors": "the data set has no ground-truth factors",
    "test_factors": "the data set has no ground-truth factors",
    "labels": "the data set has no labels",
    "held_out": "the scored rows are not both held-out images and others",
    "logvars": "the model has no Gaussian posterior with a standard normal prior",
    "test_logvars": "the model has no Gaussian posterior with a standard normal prior",
    "means": "the model has no Gaussian posterior with a standard normal prior",
    "test_means": "the model has no Gaussian posterior with a standard normal prior",
    "kl_per_dim": "the model has no density of its codes",
    "test_clusters": "the model sorts images into no clusters",
    "train_clusters": "no training images were encoded (metric.rows)",
    "test_labels": "the data set has no labels",
    "test_class_logits": "there is no classifier beside the model (model.classifier)",
    "log_likelihood": "the model has no likelihood of images, or metric.test_rows=0",
    "log_weights": "the model has no likelihood of images or no density of its codes, or metric.test_rows=0",
    "squared_error": "the model reconstructs no images, or metric.test_rows=0",
    "traversals": "the model has no continuous latents that make an image",
    "images": "no held-out images were encoded (metric.test_rows=0)",
    "test_codes": "no held-out images were encoded (metric.test_rows=0)",
    "codes": "no rows were encoded for it (metric.rows=0)",
}


@dataclass
class Scores:
    """`values` by dashboard key, `protocols` and `skipped` by metric, `arrays` by metric and name.

    `metrics` says which metric a value comes from, `directions` which end of it is better.
    """

    values: dict[str, float] = field(default_factory=dict)
    metrics: dict[str, str] = field(default_factory=dict)
    protocols: dict[str, dict[str, Any]] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    arrays: dict[str, dict[str, np.ndarray]] = field(default_factory=dict)
    directions: dict[str, Direction] = field(default_factory=dict)

    @property
    def tables(self) -> dict[str, dict[str, dict[str, float]]]:
        """By metric, name and column: the arrays of metrics that say under `names` (K,) what their entries are."""
        tables = {}
        for metric, held in self.arrays.items():
            if "names" in held:
                names = held["names"]
                columns = {
                    key: column for key, column in held.items() if key != "names" and column.shape == names.shape
                }
                tables[metric] = {
                    str(name): {key: float(column[k]) for key, column in columns.items()}
                    for k, name in enumerate(names)
                }
        return tables

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
        )
        both.add(newer)
        both.skipped.update(newer.skipped)
        return both

    def add(self, others: "Scores") -> None:
        """Add the scores of other metrics, without what these skipped, because the reasons are there already."""
        for name in ("values", "metrics", "protocols", "arrays", "directions"):
            getattr(self, name).update(getattr(others, name))


def evaluate_metrics(
    metrics: Mapping[str, Callable[..., Result]],
    fixtures: Mapping[str, Callable[[], Any]],
    *,
    seed: int,
    repeats: int,
    reasons: Mapping[str, str] = REASONS,
) -> Scores:
    """Every metric with a fresh generator from (seed, its name), so adding one never changes another.

    Those that draw are repeated `repeats` times: the mean is the score, and its standard deviation over the repeats is
    kept beside it. A metric that does not apply is skipped with a reason; one that fails does not take the others
    along.
    """
    scores = Scores()
    with progress("scoring", len(metrics), "metric") as bar:
        for name, metric in metrics.items():
            began = time.perf_counter()
            try:
                results, stochastic = run(name, metric, fixtures, seed, repeats)
            except Skip as reason:
                scores.skipped[name] = str(reason)
            except Missing as missing:
                needed = str(missing.args[0])
                scores.skipped[name] = reasons.get(needed, f"there is no {needed}")
            except Exception as error:
                log.exception("The metric %s failed; the others go on.", name)
                scores.skipped[name] = f"failed: {type(error).__name__}: {error}"
            else:
                protocol = constants(metric, [*fixtures, "rng"])
                protocol["rows"] = protocol.get("rows") or rows_used(metric, fixtures)
                if stochastic:
                    protocol |= {"seed": seed, "repeats": len(results)}
                protocol |= record(scores, name, results, declaration_of(metric))
                scores.protocols[name] = {**protocol, "seconds": round(time.perf_counter() - began, 3)}
            bar.update()
    return scores


def without_categories(
    metrics: Mapping[str, Callable[..., Result]], fixtures: Mapping[str, Callable[[], Any]]
) -> tuple[dict[str, Callable[..., Result]], dict[str, Callable[[], Any]]]:
    """The metrics of codes once more, as NAME_continuous, and fixtures whose codes are the Gaussian latents alone.

    The probabilities of categories sum to 1, so what they make of a total correlation is no finding.
    """
    codes = {"codes", "test_codes"}
    again = {
        f"{name}{CONTINUOUS}": metric
        for name, metric in metrics.items()
        if (asked := set(inspect.signature(metric).parameters)) & codes and not asked & {"logvars", "test_logvars"}
    }
    codes_alone = {"codes": fixtures["continuous_codes"], "test_codes": fixtures["test_continuous_codes"]}
    return again, {**fixtures, **codes_alone, "categories": lambda: None}


def run(
    name: str, metric: Callable[..., Result], fixtures: Mapping[str, Callable[[], Any]], seed: int, repeats: int
) -> tuple[list[Result], bool]:
    """The results of one metric, and whether it draws at all."""
    asked: list[int] = []

    def results(repeat: int) -> Result:
        def rng() -> np.random.Generator:
            asked.append(repeat)
            return np.random.default_rng(derive(seed, name, repeat))

        return call(metric, {**fixtures, "rng": rng})

    first = results(0)
    if not asked:
        return [first], False
    return [first, *(results(repeat) for repeat in range(1, repeats))], True


def record(scores: Scores, name: str, results: list[Result], better: Better) -> dict[str, bool]:
    """Put the numbers and arrays of one metric where they belong; its facts are part of the protocol."""
    facts = {}
    for key, first in results[0].items():
        if isinstance(first, bool):
            facts[key] = first
        elif isinstance(first, np.ndarray):
            scores.arrays.setdefault(name, {})[key] = first
        else:
            # A metric without a "score" reports several quantities of equal rank, each under its own name.
            alone = f"{key}{CONTINUOUS}" if name.endswith(CONTINUOUS) else key
            nested = f"{name}/{key}" if "score" in results[0] else alone
            full = f"eval/{name if key == 'score' else nested}"
            values = np.array([result[key] for result in results], np.float64)
            scores.values[full] = float(values.mean())
            scores.metrics[full] = name
            if direction := better.find(key):
                scores.directions[full] = direction
            if (values != values[0]).any() and np.isfinite(values).all():
                scores.values[f"{full}/sd"] = float(values.std(ddof=1))
    return facts


def rows_used(metric: Callable[..., Result], fixtures: Mapping[str, Callable[[], Any]]) -> int | None:
    """How many rows the first array that it asks for has."""
    for name in inspect.signature(metric).parameters:
        value = fixtures[name]() if name in fixtures else None
        if isinstance(value, np.ndarray):
            return len(value)
    return None
