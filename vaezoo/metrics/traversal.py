"""How much of an image each latent changes, and how many latents change nothing.

One latent at a time is moved over its range while the others stay at the code of a held-out image, as in pictures of
traversals. Its effect is the mean squared change of a pixel value against the image of the unmoved code, over the
values it takes, the pixels and the images; pixels are in [0, 1]. A latent below 1e-4 is counted as neutral: on the
picture its row looks constant.

The range goes from the 5 % to the 95 % quantile of the prior N(0, 1), from -1 to 1 where the prior is uniform, and from
the 1 % to the 99 % quantile of the codes where there is no density; ten values.
"""

from collections.abc import Callable

import numpy as np

from vaezoo.metrics.protocol import Result


def traversal_effect(
    traversals: Callable[[int], tuple[np.ndarray, np.ndarray]], *, rows: int = 16, neutral: float = 1e-4
) -> Result:
    """`traversals` of `rows` images: unmoved (B, C, H, W), and each latent moved (B, R, V, C, H, W)."""
    unmoved, moved = traversals(rows)
    # One latent after the other, since all of them at once may be large.
    effect = np.array([np.square(images - unmoved[:, None]).mean(dtype=np.float64) for images in moved.swapaxes(0, 1)])
    return {"neutral_latents": int((effect < neutral).sum()), "effect": effect}
