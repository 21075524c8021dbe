"""The error of reconstructions of held-out images; lower is better.

The reconstruction is the mean of the decoder's distribution for the posterior mean of the image; pixels are in [0, 1].
"""

import numpy as np

from vaezoo.metrics.directions import Better
from vaezoo.metrics.protocol import Result


@Better(lower=("recon_*",), repeated=("recon_mae", "recon_bce", "recon_sse"))
def reconstruction(
    squared_error: np.ndarray, absolute_error: np.ndarray, cross_entropy: np.ndarray, pixels: int
) -> Result:
    """Compute mean errors from the errors of each image (M,), which are sums over its `pixels` values.

    `recon_mse`, `recon_mae` and `recon_bce` (binary cross-entropy, nats) are per pixel value, `recon_sse` is the sum
    of squares per image. Papers seldom say which of these their "reconstruction error" is, although they differ by
    orders of magnitude.
    """
    sse, sae, sce = (float(e.mean(dtype=np.float64)) for e in (squared_error, absolute_error, cross_entropy))
    return {
        "recon_mse": sse / pixels,
        "recon_mae": sae / pixels,
        "recon_bce": sce / pixels,
        "recon_sse": sse,
    }
