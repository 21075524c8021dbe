"""The correlations between latents."""

from typing import Annotated

import numpy as np
from matplotlib.figure import Figure

from vaezoo.figures import Computed
from vaezoo.figures.heatmap import heatmap
from vaezoo.figures.style import DIVERGING, format_number, format_range


def code_correlation(code_correlation: Annotated[np.ndarray, Computed("correlation", "codes")], title: str) -> Figure:
    """Draw Pearson's r between latents (D, D); a constant latent has r = 0, also with itself."""
    latents = len(code_correlation)
    caption = f"{title} · {latents} latents"
    if latents > 1:
        others = code_correlation[~np.eye(latents, dtype=bool)]
        caption += f" · off the diagonal r {format_range(others)}, mean |r| {format_number(np.abs(others).mean())}"
    names = [f"z{j}" for j in range(latents)]
    heading = "Correlation between latents"
    return heatmap(code_correlation, names, heading, caption, colormap=DIVERGING, scale="Pearson r")
