"""How many latents depend on the image.

Burda, Grosse & Salakhutdinov, "Importance weighted autoencoders", ICLR 2016, section 5: a unit d is active when

    A_d = Var_x( E_q(z|x)[z_d] ) > 0.01        (population variance over the held-out images)
"""

import numpy as np

from vaezoo.metrics.directions import Better
from vaezoo.metrics.protocol import Result


@Better()
def active_units(test_means: np.ndarray, test_logvars: np.ndarray, *, threshold: float = 0.01) -> Result:
    """Count the active units of posterior means and log variances (M, D).

    The threshold assumes a prior of unit variance, so it has no meaning for an autoencoder without a posterior; that is
    why the function needs log variances. An inactive unit has A_d = 0 and a `posterior_variance` (D,) of 1, as the
    prior; a unit for which only one of these is true may show a fault of the model.
    """
    variance = test_means.var(axis=0, dtype=np.float64)
    active = int((variance > threshold).sum())
    return {
        "score": active,
        "share": active / len(variance),
        "variance": variance,
        "posterior_variance": np.exp(test_logvars).mean(axis=0, dtype=np.float64),
    }
