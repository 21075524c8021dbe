"""Chunks of training rows, which end where something is due, and the sizes of validation batches."""

import numpy as np
import pytest

from tests.support.configuration import SMALL, build_model
from vaezoo.data.batches import TrainingOrder
from vaezoo.training.chunks import ChunkLoader, even_sizes
from vaezoo.training.clock import Clock
from vaezoo.training.engines import Eager
from vaezoo.training.terms import TermSums


def test_a_chunk_ends_where_something_is_due():
    clock = Clock(100, seed=0)
    engine = Eager(build_model("model=vae", *SMALL), None, clock, TermSums(), intervals=[10, 7])
    loader = ChunkLoader(TrainingOrder(np.arange(60), 2, seed=0), clock, 33, engine.length)
    due = {end for end in range(1, 101) if end % 10 == 0 or end % 7 == 0 or end in (33, 66, 99, 100)}
    for pace in (1, 4, 50):
        engine.pace, clock.batches = pace, 0
        ends = []
        for end in (33, 66, 99, 100):
            for chunk in loader:
                assert 1 <= len(chunk) <= pace
                clock.batches += len(chunk)
                ends.append(clock.batches)
                last = clock.batches in due or clock.batches % 30 == 0  # an epoch has 30 batches
                assert len(chunk) == pace or last
            assert clock.batches == end, "Lightning validates when the loader ends"
        assert due <= set(ends)
    assert list(loader) == []


@pytest.mark.parametrize("size", [1, 7, 8, 64])
@pytest.mark.parametrize("unit", [1, 2, 4])
def test_even_sizes_hold_every_image_once(size, unit):
    size *= unit
    for count in range(0, 300, unit):
        sizes = even_sizes(count, size, unit)
        assert sum(sizes) == count
        assert all(one % unit == 0 for one in sizes)
        assert not sizes or max(sizes) - min(sizes) <= unit
        assert all(one <= 1.5 * size for one in sizes)
        assert count < size or min(sizes) > size / 2
        if count % size == 0:
            assert sizes == [size] * (count // size)
