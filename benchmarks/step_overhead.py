"""What a training step costs beside the model's own forward, backward and update.

    python benchmarks/step_overhead.py [rounds=12] [steps=30] [threads=0] [clock=wall|cpu] [results=FILE]
                                       [overrides of the training configuration]

Two loops take turns in one process: `bare` runs the model's objective, its gradient and the optimiser on images that
are ready; `train` is what `python -m vaezoo.train` does with data, callbacks, logging and progress bar. The overhead is
(train - bare) / train.
"""

import interleaved
import tables
from training import Job, by_hand, workplace


def main() -> None:
    asked, overrides = interleaved.options({"rounds": 12, "steps": 30, "clock": "wall"})
    device = interleaved.set_up(asked.threads)
    with workplace() as (folder, interrupts):
        job = Job(["model=dipvae", "dataset=dsprites", *overrides], folder, interrupts)
        job.train(1)  # warms up
        step, ready = by_hand(job.model.to(device)), job.batches(8)
        ways = {
            "bare": lambda: interleaved.loop(step, ready, asked.steps, asked.clock) / asked.steps,
            "train": lambda: job.train(asked.steps, asked.clock),
        }
        seconds = interleaved.take_turns(ways, asked.rounds)
    case = {"overrides": overrides, "clock": asked.clock}
    print("\n".join(tables.step_overhead([interleaved.keep(asked.results, "step_overhead", device, case, seconds)])))


if __name__ == "__main__":
    main()
