"""Find the metrics and figures that cannot be made, before a training begins."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from vaezoo.evaluation import figure_inputs, metric_inputs
from vaezoo.evaluation.inputs import Inputs


def foresee_skipped(metrics: Mapping[str, Any], figures: Mapping[str, Any], model: Any, data: Any) -> dict[str, str]:
    """Return the reason, by name, of each metric and figure for which this model or data set lacks something.

    What depends on the trained model, or on which rows are encoded, shows later. `data` has its source already.
    """
    absent = set()
    if data.source.factors is None:
        absent.add(metric_inputs.NO_FACTORS)
    if data.source.labels is None:
        absent.add(metric_inputs.NO_LABELS)
    if model.classifier is None:
        absent.add(metric_inputs.NO_CLASSIFIER)
    if not model.latent.categories:
        absent.add(figure_inputs.NO_CATEGORIES)
    of_metrics = find_lacking(metrics, metric_inputs.MetricInputs, absent)
    return {**of_metrics, **find_lacking(figures, figure_inputs.FigureInputs, absent)}


def find_lacking(functions: Mapping[str, Callable[..., Any]], inputs: type[Inputs], absent: set[str]) -> dict[str, str]:
    """Return, by name, the first of the `absent` reasons for which a function misses an input that it needs."""
    lacking: dict[str, str] = {}
    for name, function in functions.items():
        for parameter in inspect.signature(function).parameters.values():
            reason = getattr(getattr(inputs, parameter.name, None), "unless", "")
            if reason in absent and parameter.default is inspect.Parameter.empty:
                lacking.setdefault(name, reason)
    return lacking
