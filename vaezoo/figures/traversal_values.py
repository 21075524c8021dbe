"""The values at which latents are traversed, by the name of a preset."""

from statistics import NormalDist

import numpy as np

from vaezoo.errors import UserError, nearest

PRESETS = {
    "pm5": np.linspace(-5, 5, 11),
    "pm1": np.linspace(-1, 1, 10),
    "pm3": np.linspace(-3, 3, 10),
    "pm6": np.linspace(-6, 6, 6),
    "prior_quantiles": np.array([NormalDist().inv_cdf(p) for p in np.linspace(0.05, 0.95, 10)]),
}

SAMPLED = ("pm5", "pm6")  # These were published around a sample of the posterior, the others around its mean.


def traversal_values(preset: str, codes: np.ndarray | None = None) -> np.ndarray:
    """Return the values (V,) of a preset for all latents, or (D, V), a row for each latent, for `data_quantiles`.

    pm5              -5 to 5 in ten steps, so eleven values, as published for conditional VAEs on digits
    pm3              ten values in [-3, 3], as published for the supervised mutual-information VAE
    pm1              ten values in [-1, 1], for codes whose prior is U(-1, 1)
    pm6              six values in [-6, 6], well outside the prior, as published for beta-TCVAE on faces
    prior_quantiles  5 % to 95 % of N(0, 1) in ten steps of equal probability (JointVAE practice)
    data_quantiles   1 % to 99 % of each latent's own `codes` (N, D) in ten steps, for models whose scale is arbitrary

    Raises UserError for an unknown preset, and for `data_quantiles` without codes.
    """
    if preset == "data_quantiles":
        if codes is None:
            raise UserError("traversal 'data_quantiles' needs codes (N, D): it takes each latent's own quantiles.")
        return np.quantile(codes, np.linspace(0.01, 0.99, 10), axis=0).T
    if preset not in PRESETS:
        allowed = [*PRESETS, "data_quantiles"]
        raise UserError(f"traversal '{preset}' is not one of {', '.join(allowed)}.{nearest(preset, allowed)}")
    return PRESETS[preset].copy()
