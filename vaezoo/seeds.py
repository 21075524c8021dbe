"""Random streams that depend on what they are for, not on what was drawn before them."""

import zlib
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np


def derive(seed: int, purpose: str, *indices: int) -> int:
    """A 63-bit seed for one purpose, such as derive(seed, "noise", batch).

    Whoever draws from one stream cannot disturb another: evaluating, drawing a figure or being interrupted in between
    leaves every later batch as it would have been.
    """
    entropy = [seed, zlib.crc32(purpose.encode()), *indices]
    return int(np.random.SeedSequence(entropy).generate_state(1, np.uint64)[0] >> np.uint64(1))


@contextmanager
def own_noise(seed: int) -> Iterator[None]:
    """PyTorch's draws inside come from this seed; the caller's generators are afterwards what they were."""
    import torch  # what only derives seeds starts without it

    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        torch.manual_seed(seed)
        yield
