"""Lower bounds of the mutual information between codes and the images that are generated from them, in nats.

    I(u; x) >= H(u) + mean log q(u|x),  x generated from u ~ p(u)     (Barber & Agakov, 2003)

with equality where q is the posterior. The entropies have no gradient, but they give the logged values a scale: the
bound for a category is 0 where q ignores the image, and ln K at most. The bound for continuous codes is lower where the
variance of q is fixed: with variance 1 it is at most ln 2 - ln(2 pi) / 2 = -0.226 for a code with the prior U(-1, 1).
"""

from typing import Any

from torch import Tensor


def information_bounds(q: Any, codes: Tensor, latent: Any) -> dict[str, Tensor]:
    """Return the bounds `mi_c` for all continuous codes and `mi_s` for all categories.

    `codes` (B, D) are [c, s, ...] with one-hot s, from which the images were generated; `latent` is a `Codes` space.
    """
    log_c, log_s = q.log_prob(codes).tensor_split([latent.continuous], dim=1)
    h_c, h_s = latent.entropies
    return {"mi_c": h_c + log_c.sum(1).mean(), "mi_s": h_s + log_s.sum(1).mean()}
