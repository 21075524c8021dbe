"""Memory: what a step frees is there for the next."""

import subprocess
import sys

import pytest

STEPS = """
from resource import RUSAGE_SELF, getrusage
from vaezoo.training.memory import keep_freed_memory

def faults():
    before = getrusage(RUSAGE_SELF).ru_minflt
    for _ in range(8):
        activations = [b"1" * (megabytes << 20) for megabytes in (8, 24, 1, 40)]
        del activations
    return getrusage(RUSAGE_SELF).ru_minflt - before

print(faults())
keep_freed_memory()
faults()
print(faults())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's allocator")
def test_a_step_finds_the_memory_of_the_step_before():
    """Pages are 4 kB: eight steps over 73 MB are 150,000 of them."""
    out = subprocess.run([sys.executable, "-c", STEPS], capture_output=True, text=True, check=True).stdout
    before, kept = map(int, out.split())
    assert before > 50_000
    assert kept < 1_000
