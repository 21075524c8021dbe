"""Mean mutual information between different codes, in nats; 0 for independent ones, lower is better.

From the large-scale study (Locatello et al., ICML 2019): posterior means of 10 000 rows, 20 bins of equal width a code,
plug-in estimate, mean over the ordered pairs i ≠ j. Independent codes do not get 0 but the bias of the estimate, about
(bins - 1)² / 2n: 0.018 at 10 000 rows and 0.18 at 1 000. `rows=None` takes the whole table as it is.
"""

import numpy as np

from vaezoo.metrics.directions import Better
from vaezoo.metrics.entropies import discretise, mutual_information
from vaezoo.metrics.protocol import Result, Skip


@Better(lower=("score",), group="easy")
def mis(codes: np.ndarray, rng: np.random.Generator, *, rows: int | None = 10_000, bins: int = 20) -> Result:
    d = codes.shape[1]
    if d < 2:
        raise Skip("information between codes needs two codes or more")
    if rows is not None:
        codes = codes[rng.integers(len(codes), size=rows)]
    binned = discretise(codes, bins)
    information = mutual_information(binned, binned)
    return {"score": float(information[~np.eye(d, dtype=bool)].mean()), "information": information}
