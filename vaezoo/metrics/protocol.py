"""How a metric is called, and how it declines.

A metric is a function whose parameter names say what it needs, the way pytest hands out fixtures. The class
MetricInputs of `vaezoo.evaluation.metric_inputs` has a documented method for each of these names, such as `codes`,
`factors`, `labels`, `images` or `log_likelihood`; `rng` is a numpy Generator of the metric's own.

A parameter of these that has a default (`factors=None`, `factor_names=()`) is handed over where it is known; without
one, the metric is skipped where it is not. A metric that takes `rng` is stochastic: repeat it over seeds. Any other
gives the same number every time.

Everything else is a constant of the protocol and is keyword-only, with the default of the published protocol. The
result maps names to numbers (scores), booleans and texts (facts) and arrays (what lies behind them); the entry "score"
is the metric's own value. It may be nan or inf where the formula says so. `Better` of `vaezoo.metrics.directions`,
above the function, declares which end of each number is better, and checks the arrays in every call.
"""

import numpy as np

Result = dict[str, float | int | bool | str | np.ndarray]


class Skip(Exception):
    """The metric does not apply here; the message is the reason that the report gives."""
