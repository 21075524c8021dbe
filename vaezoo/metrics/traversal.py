"""How much each latent changes an image, and how many latents change nothing.

One latent at a time is set to ten values of its range while the others stay at the code of a held-out image, as in the
figures of traversals. The range goes from the 5 % to the 95 % quantile of the prior N(0, 1), from -1 to 1 for a uniform
prior, and from the 1 % to the 99 % quantile of the codes where there is no density.
"""

from collections.abc import Callable

import numpy as np

from vaezoo.metrics.directions import Better
from vaezoo.metrics.protocol import Result


@Better()
def traversal_effect(
    traversals: Callable[[int], tuple[np.ndarray, np.ndarray]], *, rows: int = 16, neutral: float = 1e-4
) -> Result:
    """Compute the effect of each of R latents: the mean squared change of a pixel value in [0, 1].

    `traversals(rows)` returns the images of the codes themselves (B, C, H, W) and with each latent changed
    (B, R, V, C, H, W). The mean is over V values, pixels and images. A latent with an effect below `neutral` counts as
    neutral: its row of the figure looks constant.
    """
    originals, changed = traversals(rows)
    # The latents are processed one after the other, because the differences of all of them may need much memory.
    changes = (images - originals[:, None] for images in changed.swapaxes(0, 1))
    effect = np.array([np.square(change).mean(dtype=np.float64) for change in changes])
    return {"neutral_latents": int((effect < neutral).sum()), "effect": effect}
