"""The correlations of factors with latents."""

from collections.abc import Sequence
from typing import Annotated

import numpy as np
from matplotlib.figure import Figure

from vaezoo.figures import Computed
from vaezoo.figures.heatmap import heatmap
from vaezoo.figures.style import DIVERGING, format_number, format_range

CYCLIC = ("orientation", "azimuth", "angle", "rotation", "hue")


def factor_correlation(
    factor_correlation: Annotated[np.ndarray, Computed("correlation", "factors")],
    factor_names: Sequence[str],
    title: str,
) -> Figure:
    """Draw Pearson's r (K, D) of K factors with D latents; levels count as numbers.

    The caption names the factors that look cyclic by their names, for which r has no meaning.
    """
    factors, latents = factor_correlation.shape
    best = np.abs(factor_correlation).argmax(1)
    largest = [f"z{j}  {format_number(abs(row[j]))}" for row, j in zip(factor_correlation, best, strict=True)]
    caption = f"{title} · {factors} factors, {latents} latents · r {format_range(factor_correlation)}"
    cyclic = [name for name in factor_names if any(word in name.lower() for word in CYCLIC)]
    if cyclic:
        caption += f" · r is not meaningful where {', '.join(cyclic)} is cyclic"
    return heatmap(
        factor_correlation,
        factor_names,
        "Correlation of factors with latents",
        caption,
        colormap=DIVERGING,
        scale="Pearson r",
        height=40 if factors <= 20 else 24,
        outlined="the largest |r| of each factor",
        notes={"largest |r|": largest},
    )
