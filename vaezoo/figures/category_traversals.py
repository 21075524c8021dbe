"""The categories by rows, and the values of a continuous latent by columns."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from vaezoo.figures.blocks import blocks


def category_traversals(
    category_traversal: np.ndarray,
    category_traversal_values: np.ndarray,
    category_traversal_dims: Sequence[int],
    category_names: Sequence[str],
    title: str,
) -> Figure:
    """Draw images (L, K, V, C, H, W): K categories in the rows of L blocks, V values of a latent in the columns."""
    return blocks(
        category_traversal,
        category_traversal_values,
        category_traversal_dims,
        category_names,
        "Categories by rows, one latent by columns",
        f"{title} · the other latents are those of one test image",
    )
