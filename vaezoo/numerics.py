"""The precision of objectives: at least float32, also where networks compute with fewer bits."""

import torch
from torch import Tensor


def full_precision(values: Tensor) -> Tensor:
    """Convert to float32 unless the precision is higher, because sums and logarithms of fewer bits lose digits."""
    return values.to(torch.promote_types(values.dtype, torch.float32))
