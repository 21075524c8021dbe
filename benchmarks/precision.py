"""How much faster a training step is with `trainer.precision=bf16-mixed` than in float32.

    python benchmarks/precision.py [rounds=5] [steps=20] [batch_sizes=64,256] [threads=0] [clock=wall|cpu]
                                   [results=FILE] [overrides of the training configuration]

Both precisions take turns in one process, each with data, callbacks, logging and progress bar. A CPU gains only if it
computes bfloat16 in hardware: `grep -o 'amx_bf16\\|avx512_bf16' /proc/cpuinfo`. Scores are compared by a study, see
docs/speed.md.
"""

from functools import partial
from pathlib import Path

import interleaved
from training import Job, workplace

PRECISIONS = ("32-true", "bf16-mixed")


def main() -> None:
    asked, overrides = interleaved.options({"rounds": 5, "steps": 20, "clock": "wall", "batch_sizes": ("64", "256")})
    device = interleaved.set_up(asked.threads)
    data = None
    for batch_size in asked.batch_sizes:
        with workplace() as (folder, interrupts):
            ways = {}
            for precision in PRECISIONS:
                line = ["model=betavae", "dataset=dsprites", f"dataset.batch_size={batch_size}", *overrides]
                (own_folder := Path(folder) / precision).mkdir()
                job = Job([*line, f"trainer.precision={precision}"], own_folder, interrupts, data)
                data = job.data
                job.train(1)  # warms up
                ways[precision] = partial(job.train, asked.steps, asked.clock)
            seconds = interleaved.take_turns(ways, asked.rounds)
        case = {"overrides": overrides, "batch_size": int(batch_size), "clock": asked.clock}
        interleaved.keep(asked.results, "precision", device, case, seconds)
        spread = interleaved.ratio(seconds["32-true"], seconds["bf16-mixed"])
        milliseconds = 1000 * interleaved.Spread.of(seconds["bf16-mixed"]).middle
        print(f"batch {batch_size}: bf16-mixed is {spread} times as fast as float32, {milliseconds:.0f} ms a step")


if __name__ == "__main__":
    main()
