"""Traversals of the same latents in one image of each class."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from vaezoo.figures.blocks import blocks


def class_traversals(
    class_traversal: np.ndarray,
    class_traversal_values: np.ndarray,
    class_traversal_dims: Sequence[int],
    class_traversal_names: Sequence[str],
    class_traversal_originals: np.ndarray,
    title: str,
) -> Figure:
    """Draw images (L, R, V, C, H, W): R classes in the rows of L blocks, V values in columns, after the originals."""
    return blocks(
        class_traversal,
        class_traversal_values,
        class_traversal_dims,
        class_traversal_names,
        "Traversals of one image of each class",
        f"{title} · a row changes one latent of the image in front of it",
        class_traversal_originals,
    )
