"""Long runs: the memory of the process and its open files stay where they were."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import NamedTuple

import pytest

from tests.support.paths import ROOT
from vaezoo.runs.folder import read_history

pytestmark = pytest.mark.slow

LINE = ["dataset=digits", "model=betavae", "callbacks.progress=false", "metric.rows=300", "metric.test_rows=50"]


class Sample(NamedTuple):
    done: int
    memory: float  # MB that are resident
    files: int  # that are open


def watched(line: list[str], done: Callable[[], int]) -> list[Sample]:
    """Looks at the process of a command twice a second; `done` counts what it has achieved."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    samples = []
    with Path("said").open("w", encoding="utf-8") as said:
        command = [sys.executable, "-m", "vaezoo.train", *LINE, *line]
        process = subprocess.Popen(command, env=environment, stdout=said, stderr=said)
        while process.poll() is None:
            try:
                pages = int(Path(f"/proc/{process.pid}/statm").read_text(encoding="utf-8").split()[1])
                files = len(os.listdir(f"/proc/{process.pid}/fd"))
            except OSError:  # it has just ended
                break
            samples.append(Sample(done(), pages * os.sysconf("SC_PAGE_SIZE") / 2**20, files))
            time.sleep(0.5)
    assert process.wait() == 0, Path("said").read_text(encoding="utf-8")[-2000:]
    return samples


def assert_flat(samples: list[Sample], warm: range, end: range, megabytes: float, told: str, capsys) -> None:
    early, late = ([sample for sample in samples if sample.done in part] for part in (warm, end))
    memory, files = ([median(getattr(s, name) for s in part) for part in (early, late)] for name in ("memory", "files"))
    with capsys.disabled():
        print(
            f"\n{told}: {memory[0]:.0f} MB and {files[0]:.0f} files, at the end {memory[1]:.0f} MB and {files[1]:.0f}"
        )
    assert memory[1] - memory[0] < megabytes
    assert files[1] - files[0] <= 1


@pytest.mark.parametrize("logger", ["csv", "wandb"])
def test_memory_and_files_over_20_000_batches(logger, in_tmp, capsys):
    line = ["max_batches=20000", f"logger={logger}", "hydra.run.dir=run", "figure=none", "metric=none"]

    def batches() -> int:
        return int(max((numbers[-1] for numbers, _ in read_history(Path("run")).values()), default=0))

    samples = watched(line, batches)
    assert_flat(samples, range(2_000, 5_000), range(17_000, 20_000), 16, f"20,000 batches, {logger}", capsys)


@pytest.mark.parametrize("logger", ["csv", "wandb"])
def test_memory_and_files_over_50_jobs_of_a_process(logger, in_tmp, capsys):
    line = ["-m", "seed=range(50)", "max_batches=20", "val_every=10", f"logger={logger}", "hydra.sweep.dir=sweep"]
    samples = watched(line, lambda: len(list(Path("sweep").glob("*/metrics.json"))))
    assert len(list(Path("sweep").glob("*/figures/traversals.png"))) == 50
    assert_flat(samples, range(8, 15), range(43, 50), 8, f"50 jobs, {logger}", capsys)
