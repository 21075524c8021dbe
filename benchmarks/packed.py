"""The jobs of a study by `launcher=packed`, all at the same time in one process, against one after the other.

    python benchmarks/packed.py [jobs=1,2,4,8,16,32,64] [engine=eager] [max_batches=200] [rounds=3] [results=FILE]
                                [overrides of the training configuration]

Whole commands take turns: `python -m vaezoo.train -m seed=0,1,...` with start, data and checkpoints, but without an
evaluation.
"""

import os
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import interleaved
import tables

DEFAULTS = {"jobs": ("1", "2", "4", "8", "16", "32", "64"), "engine": "eager", "max_batches": 200, "rounds": 3}
LINE = ["model=betavae", "dataset=dsprites", "logger=csv", "metric=none", "figure=none", "callbacks.progress=false"]


def study(launcher: str, count: int, line: list[str]) -> float:
    """Seconds of the whole command."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    environment["PYTHONPATH"] = str(Path(__file__).parents[1])
    seeds = f"seed={','.join(map(str, range(count)))}"
    command = [sys.executable, "-m", "vaezoo.train", "-m", f"launcher={launcher}", seeds, *line]
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
        took = time.perf_counter() - began
    if done.returncode:
        raise SystemExit(f"{' '.join(command[1:])}: {done.stderr[-500:]}")
    return took


def main() -> None:
    asked, overrides = interleaved.options(DEFAULTS)
    device = interleaved.set_up(asked.threads)
    line = [*LINE, f"trainer.engine={asked.engine}", f"max_batches={asked.max_batches}", *overrides]
    results = []
    for count in map(int, asked.jobs):
        launchers = {"one by one": "local", "packed": "packed"}
        ways = {name: partial(study, launcher, count, line) for name, launcher in launchers.items()}
        case = {"jobs": count, "engine": asked.engine, "max_batches": asked.max_batches}
        found = interleaved.take_turns(ways, asked.rounds)
        results.append(interleaved.keep(asked.results, "packed", device, case, found))
    print("\n".join(tables.packed(results)))


if __name__ == "__main__":
    main()
