"""Hausdorff factorised support (Roth et al., ICLR 2023): each value of a code occurs beside each value of the others.

Factors may be correlated as long as all combinations occur, so the codes need not be independent, but their support has
to be the product of the supports of single codes. For two latents i, j, how far is the worst combination of a value of
one image and a value of another from the nearest code of a batch:

    HFS = Σ_{i<j} max_{a,b} min_c [ (z_ai - z_ci)² + (z_bj - z_cj)² ]          (their equation for pairs of latents)

It is 0 where the codes of the batch are a full grid.
"""

from typing import ClassVar

import torch
from torch import Tensor

from vaezoo.distributed import gather
from vaezoo.losses.extra_term import Encode, ExtraTerm
from vaezoo.numerics import full_precision
from vaezoo.ranges import Several, Weight


def hausdorff_support(z: Tensor) -> Tensor:
    """Return HFS of codes z (B, J), in the unit of a squared code; the search takes J² B³ / 2 operations."""
    if z.shape[1] < 2:
        return z.new_zeros(())
    with torch.no_grad():
        distances = (z[:, None] - z).square().permute(2, 0, 1)  # (J, B, B) of each latent
        worst = []  # of each pair of latents, the images a and b and the nearest code c
        for i in range(z.shape[1] - 1):
            nearest, c = (distances[i, :, None] + distances[i + 1 :, None]).min(dim=-1)  # (J - i - 1, B, B)
            place = nearest.flatten(1).argmax(dim=1, keepdim=True)
            worst.append(torch.cat([place // len(z), place % len(z), c.flatten(1).gather(1, place)], dim=1))
        a, b, c = torch.cat(worst).T
    # The gradient is that of the distances which were found.
    first, second = torch.triu_indices(z.shape[1], z.shape[1], 1, device=z.device)
    return ((z[a, first] - z[c, first]).square() + (z[b, second] - z[c, second]).square()).sum()


class HausdorffSupport(ExtraTerm):
    """The extra term HFS of the posterior means; of a batch of more than `images`, the first ones are compared."""

    requires: ClassVar = {"latent.dim >= 2": "two continuous latents or more, whose combinations it compares"}

    def __init__(self, weight: Weight, images: Several = 64) -> None:
        super().__init__(weight)
        self.images = images

    def forward(self, encode: Encode, x: Tensor, labels: Tensor | None) -> Tensor:
        codes = gather(full_precision(encode(x, labels)))
        with torch.autocast(codes.device.type, enabled=False):
            return hausdorff_support(codes[: self.images])
