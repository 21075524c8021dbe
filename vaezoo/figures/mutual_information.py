"""What each latent knows about each factor."""

from collections.abc import Sequence
from typing import Annotated

import numpy as np
from matplotlib.figure import Figure

from vaezoo.figures import Computed
from vaezoo.figures.heatmap import heatmap
from vaezoo.figures.style import SEQUENTIAL, number, span


def mutual_information(
    information: np.ndarray,
    factor_entropies: Annotated[np.ndarray, Computed("mig_hist", "factor_entropies")],
    factor_names: Sequence[str],
    title: str,
) -> Figure:
    """I(z_j; v_k) / H(v_k), (K, D), with the gap between the two most informed latents that MIG averages."""
    factors, latents = information.shape
    entropies = np.asarray(factor_entropies, float)[:, None]
    share = np.divide(information, entropies, out=np.zeros((factors, latents)), where=entropies > 0)
    notes = {"most informed": [f"z{j}" for j in share.argmax(1)]}
    caption = f"{title} · {factors} factors, {latents} latents · H {span(entropies)} nats, I {span(information)} nats"
    if latents > 1:
        ranked = np.sort(share, axis=1)
        gaps = ranked[:, -1] - ranked[:, -2]
        notes["gap"] = [number(gap) for gap in gaps]
        caption += f" · gap: from the most informed latent to the next, mean {number(gaps.mean())}"
    return heatmap(
        share,
        factor_names,
        "Mutual information of factors and latents",
        caption,
        colormap=SEQUENTIAL,
        scale="I(z; v) / H(v)",
        height=40 if factors <= 20 else 24,
        outlined="the most informed latent",
        notes=notes,
    )
