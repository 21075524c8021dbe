"""Seconds from the command to an answer, each a whole process, beside `import torch`.

    python benchmarks/startup.py [rounds=5] [results=FILE] [overrides of the training configuration]

"first batch" ends when the first training step of a beta-VAE on dSprites is done: imports, rendering of the data, the
model.
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

TRAIN = ("-m", "vaezoo.train")
STOP_AT_FIRST = """
import os
from vaezoo.training.chunks import ChunkedModel
ChunkedModel.on_train_batch_end = lambda *_: os._exit(0)
from vaezoo import train
train.main()
"""


def seconds(arguments: list[str], expected: int) -> float:
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    environment["PYTHONPATH"] = str(Path(__file__).parents[1])
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        done = subprocess.run([sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, text=True)
        took = time.perf_counter() - began
    if done.returncode != expected:
        raise SystemExit(f"{' '.join(arguments)} ended with {done.returncode}: {done.stderr[-500:]}")
    return took


def main() -> None:
    asked, overrides = interleaved.options({})
    device = interleaved.set_up(asked.threads)
    line = ["model=betavae", "dataset=dsprites", "logger=csv", *overrides]
    commands = {
        "import torch": (["-c", "import torch"], 0),
        "--help": ([*TRAIN, "--help"], 0),
        "--cfg job": ([*TRAIN, "--cfg", "job", *line], 0),
        "a typo": ([*TRAIN, *line, "model.bata=4"], 2),
        "first batch": (["-c", STOP_AT_FIRST, *line], 0),
    }
    ways = {name: partial(seconds, *command) for name, command in commands.items()}
    ways["first batch"]()  # for byte code and the disk's cache
    found = interleaved.take_turns(ways, asked.rounds)
    result = interleaved.keep(asked.results, "startup", device, {"overrides": overrides}, found)
    print("\n".join(tables.startup([result])))


if __name__ == "__main__":
    main()
