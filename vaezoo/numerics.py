"""The precision of objectives: float32 at least, whatever the networks compute in."""

import torch
from torch import Tensor


def full_precision(values: Tensor) -> Tensor:
    """float32 under autocast, where sums and logarithms would lose their digits; float64 stays what it is."""
    return values.to(torch.promote_types(values.dtype, torch.float32))
