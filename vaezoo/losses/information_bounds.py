"""What an image still says of the codes that it was generated from: lower bounds of I(u; x), in nats.

    I(u; x) >= H(u) + mean log q(u|x),  x generated from u of a known prior     (Barber & Agakov, 2003)

with equality where q is the posterior. The entropies change no gradient; they make the logged value mean something: 0
for a q that knows nothing of a category, ln K at most. That of continuous codes is below I by more than what q misses
when q's variance is fixed: with variance 1 it is never above ln 2 - ln(2 pi) / 2 = -0.226 for a code of U(-1, 1).
"""

from typing import Any

from torch import Tensor


def information_bounds(q: Any, codes: Tensor, latent: Any) -> dict[str, Tensor]:
    """`mi_c` of all continuous codes and `mi_s` of all categories; `codes` (B, D) are [c, s, ...], one-hot s."""
    of_c, of_s = q.log_prob(codes).tensor_split([latent.continuous], dim=1)
    h_c, h_s = latent.entropies
    return {"mi_c": h_c + of_c.sum(1).mean(), "mi_s": h_s + of_s.sum(1).mean()}
