"""One progress bar over the whole budget, with the terms of the loss and the speed."""

import sys
from typing import Any

from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import ProgressBar
from tqdm import tqdm

from vaezoo.training.clock import Clock
from vaezoo.training.terms import TermLogger

# The terms that every bar has room for; the others are in metrics.csv.
SHOWN = 4


class BudgetBar(ProgressBar):
    """Counts batches towards `max_batches`, also after a resume; redrawn rarely where the output is a file."""

    def __init__(self, clock: Clock, terms: TermLogger, title: str) -> None:
        super().__init__()
        self.clock = clock
        self.terms = terms
        self.title = title
        self.bar: tqdm | None = None

    def on_train_start(self, trainer: Trainer, module: LightningModule) -> None:
        self.bar = tqdm(
            desc=self.title,
            total=self.clock.max_batches,
            initial=self.clock.batches,
            unit="batch",
            mininterval=0.2 if sys.stderr.isatty() else 10,
            dynamic_ncols=True,
        )

    def on_train_batch_end(
        self, trainer: Trainer, module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if self.bar is None:
            return
        if self.terms.latest and self.terms.images == 0:  # an interval has just ended
            shown = [(name, value) for name, value in self.terms.latest.items() if "/" not in name]
            words = [f"{name} {value:.4g}" for name, value in shown[:SHOWN]]
            self.bar.set_postfix_str(f"{', '.join(words)}, {self.terms.images_per_second:.0f} images/s", refresh=False)
        self.bar.update(outputs["batches"])

    def on_train_end(self, trainer: Trainer, module: LightningModule) -> None:
        self.close()

    def on_exception(self, trainer: Trainer, module: LightningModule, exception: BaseException) -> None:
        self.close()

    def close(self) -> None:
        if self.bar is not None:
            self.bar.close()
            self.bar = None

    def disable(self) -> None:
        """Lightning asks the bars of other processes to be quiet; only the first process is given one."""
