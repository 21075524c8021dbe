"""How far reconstructions are from held-out images; lower is better.

The image is encoded to its posterior mean, and the mean of the decoder's distribution is compared with it, both in
[0, 1]. `recon_mse`, `recon_mae` and `recon_bce` (binary cross-entropy, nats) are per pixel value, `recon_sse` is the
sum of squares per image. Papers seldom say which one their "reconstruction error" is; they differ by orders of
magnitude.
"""

import numpy as np

from vaezoo.metrics.directions import Better
from vaezoo.metrics.protocol import Result


@Better(lower=("recon_*",), repeated=("recon_mae", "recon_bce", "recon_sse"))
def reconstruction(
    squared_error: np.ndarray, absolute_error: np.ndarray, cross_entropy: np.ndarray, pixels: int
) -> Result:
    sse, sae, sce = (float(e.mean(dtype=np.float64)) for e in (squared_error, absolute_error, cross_entropy))
    return {
        "recon_mse": sse / pixels,
        "recon_mae": sae / pixels,
        "recon_bce": sce / pixels,
        "recon_sse": sse,
    }
