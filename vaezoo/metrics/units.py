"""How many latent dimensions respond to the image.

Burda, Grosse & Salakhutdinov, "Importance weighted autoencoders", ICLR 2016, section 5: a unit d is active when

    A_d = Var_x( E_q(z|x)[z_d] ) > 0.01        (population variance over the held-out images)

The threshold presumes a prior of unit variance. It has no meaning for an autoencoder without a posterior, which is why
the log variances are asked for: a dead unit has A_d = 0 and the prior's own `posterior_variance` of 1, while a unit
that has one but not the other deserves a look.
"""

import numpy as np

from vaezoo.metrics.protocol import Result


def active_units(test_means: np.ndarray, test_logvars: np.ndarray, *, threshold: float = 0.01) -> Result:
    variance = test_means.var(axis=0, dtype=np.float64)
    active = int((variance > threshold).sum())
    return {
        "score": active,
        "share": active / len(variance),
        "variance": variance,
        "posterior_variance": np.exp(test_logvars).mean(axis=0, dtype=np.float64),
    }
