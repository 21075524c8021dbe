"""Sparseness of codes, an example of a metric (Hoyer, JMLR 2004, section 3.1).

    sparseness(z) = (√D - Σ_j |z_j| / √(Σ_j z_j²)) / (√D - 1)

It is 1 where one of the D numbers is not zero, and 0 where all have the same absolute value.
"""

import numpy as np

from vaezoo.metrics.directions import Better
from vaezoo.metrics.protocol import Result, Skip


@Better(higher=("score",))
def hoyer(test_codes: np.ndarray, *, normalise: bool = True) -> Result:
    """Return the mean over held-out images; with `normalise`, each column is divided by its standard deviation."""
    stds = test_codes.std(axis=0, dtype=np.float64)
    codes = test_codes[:, stds > 0] / (stds[stds > 0] if normalise else 1.0)
    width = codes.shape[1]
    if width < 2:
        raise Skip("sparseness needs two codes that are not constant")
    ratios = np.abs(codes).sum(axis=1) / np.sqrt((codes**2).sum(axis=1))
    sparseness = (np.sqrt(width) - ratios) / (np.sqrt(width) - 1)
    return {"score": float(sparseness.mean()), "used_codes": width, "of_images": sparseness}
