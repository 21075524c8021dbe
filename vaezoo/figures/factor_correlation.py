"""Which latent follows which factor, linearly."""

from collections.abc import Sequence
from typing import Annotated

import numpy as np
from matplotlib.figure import Figure

from vaezoo.figures import Computed
from vaezoo.figures.heatmap import heatmap
from vaezoo.figures.style import DIVERGING, number, span

CYCLIC = ("orientation", "azimuth", "angle", "rotation", "hue")


def factor_correlation(
    factor_correlation: Annotated[np.ndarray, Computed("correlation", "factors")],
    factor_names: Sequence[str],
    title: str,
) -> Figure:
    """Pearson r (K, D); levels count as numbers, which says little for a factor that closes on itself."""
    factors, latents = factor_correlation.shape
    best = np.abs(factor_correlation).argmax(1)
    largest = [f"z{j}  {number(abs(row[j]))}" for row, j in zip(factor_correlation, best, strict=True)]
    caption = f"{title} · {factors} factors, {latents} latents · r {span(factor_correlation)}"
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
