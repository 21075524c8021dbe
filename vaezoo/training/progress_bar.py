"""One progress bar over the whole budget, with the terms of the loss and the speed."""

import sys
from typing import Any

from pytorch_lightning import Trainer
from pytorch_lightning.callbacks import ProgressBar
from tqdm import tqdm

MOST_TERMS = 4  # every bar has room for these; all terms are in metrics.csv


class BudgetBar(ProgressBar):
    """Counts batches towards `max_batches`, also after a resume; redrawn rarely where the output is a file."""

    def __init__(self, title: str) -> None:
        super().__init__()
        self.title = title
        self.bar: tqdm | None = None

    def on_train_start(self, trainer: Trainer, module: Any) -> None:
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
