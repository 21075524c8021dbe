"""Random streams that depend on their purpose, and not on what was drawn before."""

import zlib
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np


def derive(seed: int, purpose: str, *indices: int) -> int:
    """Return a 63-bit seed for one purpose, such as derive(seed, "noise", batch).

    Draws from one stream do not change another, so evaluations, figures and interruptions during a training do not
    change its later batches.
    """
    entropy = [seed, zlib.crc32(purpose.encode()), *indices]
    return int(np.random.SeedSequence(entropy).generate_state(1, np.uint64)[0] >> np.uint64(1))


@contextmanager
def own_noise(seed: int) -> Iterator[None]:
    """Seed PyTorch's generators for the body, and restore their states after it."""
    import torch  # This import is late because commands that only derive seeds must not load torch.

    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        torch.manual_seed(seed)
        yield
