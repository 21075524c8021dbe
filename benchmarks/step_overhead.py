"""What a training step costs beside the model's own forward, backward and update.

    python benchmarks/step_overhead.py [rounds=12] [steps=30] [overrides of the training configuration]

Two loops take turns in one process, so that a drifting machine changes both: `bare` runs the model's objective, its
gradient and the optimiser on images that are ready; `train` is what `python -m vaezoo.train` does with data, callbacks,
logging and progress bar. The overhead is the median over rounds of (train - bare) / train.
"""

import statistics
import sys
import tempfile
import time
from pathlib import Path

import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from pytorch_lightning import Callback

from vaezoo.callbacks.checkpoints import Checkpoints
from vaezoo.callbacks.clock import Clock, Interrupts
from vaezoo.callbacks.progress import BudgetBar
from vaezoo.callbacks.terms import TermLogger
from vaezoo.config import DIRECTORY
from vaezoo.train import make_trainer, quiet_lightning


def synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


class Stopwatch(Callback):
    """Seconds from the first batch to the last, without the set-up of `fit`."""

    def on_train_start(self, trainer, module):
        synchronize(module.device)
        self.began = time.perf_counter()

    def on_train_end(self, trainer, module):
        synchronize(module.device)
        self.seconds = time.perf_counter() - self.began


def main() -> None:
    options = dict(argument.split("=", 1) for argument in sys.argv[1:])
    rounds, steps = int(options.pop("rounds", 12)), int(options.pop("steps", 30))
    line = ["model=dipvae", "dataset=dsprites", "logger=csv", "+trainer.limit_val_batches=0"]
    line += [f"{key}={value}" for key, value in options.items()]
    quiet_lightning()
    initialize_config_dir(DIRECTORY, version_base="1.3")
    with tempfile.TemporaryDirectory() as folder, Interrupts() as interrupts:
        config = compose("train", [*line, f"folder={folder}"])
        data, model = instantiate(config.dataset), instantiate(config.model)
        optimizer = model.configure_optimizers()
        times: dict[str, list[float]] = {"bare": [], "train": []}

        def train() -> float:
            model.batches.zero_()
            clock, watch = Clock(steps, config.seed, interrupts), Stopwatch()
            terms = TermLogger(clock, config.log_every)
            saver = Checkpoints(clock, terms, Path(folder), **config.callbacks.checkpoints)
            saver.on_train_end = lambda *_: None  # once a run, not once a step
            bar = BudgetBar(clock, terms, "train")
            loggers = [instantiate(logger) for logger in config.logger.values()]
            trainer = make_trainer(config, [watch, terms, clock, saver, bar], loggers)
            data.place(trainer.strategy.root_device)
            trainer.fit(model, datamodule=data)
            return watch.seconds

        def bare() -> float:
            ready = [
                data.batch(torch.from_numpy(data.rows.train[i * 64 : i * 64 + config.dataset.batch_size])).images
                for i in range(8)
            ]
            synchronize(model.device)
            began = time.perf_counter()
            for step in range(steps):
                optimizer.zero_grad(set_to_none=True)
                model.objective(ready[step % 8])["loss"].backward()
                optimizer.step()
            synchronize(model.device)
            return time.perf_counter() - began

        train()  # places data and model, warms up
        model.to(data.store.device)
        bare()
        for _ in range(rounds):
            times["bare"].append(bare() / steps)
            times["train"].append(train() / steps)
    shares = [(whole - own) / whole for own, whole in zip(times["bare"], times["train"], strict=True)]
    for name, values in times.items():
        print(f"{name:6} {1000 * statistics.median(values):8.2f} ms a step, median of {rounds} rounds of {steps}")
    print(f"steps a second {1 / statistics.median(times['train']):.2f}")
    low, middle, high = min(shares), statistics.median(shares), max(shares)
    print(f"overhead {100 * middle:.1f} % of a step (from {100 * low:.1f} to {100 * high:.1f} over the rounds)")


if __name__ == "__main__":
    main()
