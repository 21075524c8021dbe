"""Pictures as pure functions from arrays to a matplotlib Figure. They compute no score.

A figure is a function whose parameter names say what it needs, by the rule of `vaezoo.metrics.protocol`; the class
FigureInputs of `vaezoo.evaluation.figure_inputs` has a documented method for each. What a metric has computed needs
none of these methods, because the parameter names the metric:

    def code_correlation(code_correlation: Annotated[np.ndarray, Computed("correlation", "codes")], title: str)

`style.save` writes a figure. A figure that moves is a list of frames.
"""

import inspect
from typing import NamedTuple


class Computed(NamedTuple):
    """Annotates a parameter of a figure: the array of a metric, or, without an array, the value of the score."""

    metric: str
    array: str | None = None

    @classmethod
    def of(cls, parameter: inspect.Parameter) -> "Computed | None":
        """Return what the annotation of a parameter names; None without any."""
        metadata = getattr(parameter.annotation, "__metadata__", ())
        return next((entry for entry in metadata if isinstance(entry, cls)), None)
