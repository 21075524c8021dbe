"""One progress bar over the whole budget, with the terms of the loss and the speed."""

import sys
from time import monotonic
from typing import Any

from pytorch_lightning import Trainer
from pytorch_lightning.callbacks import ProgressBar
from tqdm import tqdm

MOST_TERMS = 4  # every bar has room for these; all terms are in metrics.csv
SETTLED = 10  # seconds of training after which its speed is known
LONG = 1800  # seconds; of a longer run a person wants to know before the end
SHORTER = 1200  # seconds of the run that is suggested instead


class BudgetBar(ProgressBar):
    """Counts batches towards `max_batches`, also after a resume; redrawn rarely where the output is a file."""

    def __init__(self, title: str) -> None:
        super().__init__()
        self.title = title
        self.bar: tqdm | None = None
        self.timed_from: tuple[float, int] | None = None  # seconds and batches at the end of the first step

    def on_train_start(self, trainer: Trainer, module: Any) -> None:
        self.timed_from = None
        self.bar = tqdm(
            desc=self.title,
            total=module.clock.max_batches,
            initial=module.clock.batches,
            unit="batch",
            mininterval=0.2 if sys.stderr.isatty() else 10,
            dynamic_ncols=True,
        )

    def on_train_batch_end(self, trainer: Trainer, module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        if self.bar is None:
            return
        clock, terms = module.clock, module.terms
        if terms.latest and terms.first_batch == clock.batches:  # an interval has just ended
            numbers = [(name, value) for name, value in terms.latest.items() if "/" not in name]
            words = [f"{name} {value:.4g}" for name, value in numbers[:MOST_TERMS]]
            self.bar.set_postfix_str(f"{', '.join(words)}, {terms.images_per_second:.0f} images/s", refresh=False)
        self.bar.update(clock.batches - self.bar.n)
        if self.timed_from is None:
            self.timed_from = monotonic(), clock.batches
        elif self.timed_from[0] < (now := monotonic()) - SETTLED:
            rate = (clock.batches - self.timed_from[1]) / (now - self.timed_from[0])
            if line := describe_budget(clock.batches, clock.max_batches, rate):
                self.bar.write(line, file=sys.stderr)
            self.timed_from = float("inf"), clock.batches  # It is said once.

    def on_train_end(self, trainer: Trainer, module: Any) -> None:
        self.close()

    def on_exception(self, trainer: Trainer, module: Any, exception: BaseException) -> None:
        self.close()

    def close(self) -> None:
        if self.bar is not None:
            self.bar.close()
            self.bar = None

    def disable(self) -> None:
        """Do nothing: Lightning silences the bars of other processes, but only the first one has a bar."""


def describe_budget(batches: int, max_batches: int, rate: float) -> str | None:
    """Return a line about the time that the rest of a run takes at `rate` batches a second; None if it is short."""
    seconds = (max_batches - batches) / rate
    if seconds < LONG:
        return None
    hours = seconds / 3600
    duration = f"{hours:.1f} hours" if hours < 48 else f"{hours / 24:.1f} days"
    fewer = batches + SHORTER * rate
    fewer = round(fewer, 2 - len(str(int(fewer))))
    return (
        f"budget    {max_batches:,} batches take about {duration} at this speed. Another run with"
        f" max_batches={max(int(fewer), 1)} would take {SHORTER // 60} minutes."
    )
