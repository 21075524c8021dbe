"""The mutual information of factors and latents."""

from collections.abc import Sequence
from typing import Annotated

import numpy as np
from matplotlib.figure import Figure

from vaezoo.figures import Computed
from vaezoo.figures.heatmap import heatmap
from vaezoo.figures.style import SEQUENTIAL, format_number, format_range


def mutual_information(
    information: np.ndarray,
    factor_entropies: Annotated[np.ndarray, Computed("mig_hist", "factor_entropies")],
    factor_names: Sequence[str],
    title: str,
) -> Figure:
    """Draw I(z_j; v_k) / H(v_k) from I (K, D) and H (K,), both in nats.

    Beside each factor is the gap between the two most informative latents, whose mean is MIG.
    """
    factors, latents = information.shape
    entropies = np.asarray(factor_entropies, float)[:, None]
    share = np.divide(information, entropies, out=np.zeros((factors, latents)), where=entropies > 0)
    notes = {"most informed": [f"z{j}" for j in share.argmax(1)]}
    caption = (
        f"{title} · {factors} factors, {latents} latents · H {format_range(entropies)} nats, "
        f"I {format_range(information)} nats"
    )
    if latents > 1:
        ranked = np.sort(share, axis=1)
        gaps = ranked[:, -1] - ranked[:, -2]
        notes["gap"] = [format_number(gap) for gap in gaps]
        caption += f" · gap: from the most informed latent to the next, mean {format_number(gaps.mean())}"
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
