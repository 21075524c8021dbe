"""Random streams that depend on what they are for, not on what was drawn before them."""

import zlib

import numpy as np


def derive(seed: int, purpose: str, *indices: int) -> int:
    """A 63-bit seed for one purpose, such as derive(seed, "noise", batch).

    Whoever draws from one stream cannot disturb another: evaluating, drawing a figure or being interrupted in between
    leaves every later batch as it would have been.
    """
    entropy = [seed, zlib.crc32(purpose.encode()), *indices]
    return int(np.random.SeedSequence(entropy).generate_state(1, np.uint64)[0] >> np.uint64(1))
