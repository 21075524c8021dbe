"""Collects the terms of every batch on the device and reads them back once per logging interval."""

import time
from collections.abc import Mapping
from typing import Any

import torch
from pytorch_lightning import Callback, Trainer
from torch import Tensor

from vaezoo.distributed import average, gather, process_count
from vaezoo.errors import NotFinite, UserError, nearest
from vaezoo.models.base import spread
from vaezoo.training.clock import Clock
from vaezoo.training.learning_rate import RateSchedule


class TermSums:
    """Weighted sums of named terms, as one vector on their device; vectors are spread over `name/0`, `name/1`, ...

    The vectors stay where they are from one interval to the next, as a recorded step (vaezoo.training.engines) expects.
    """

    def __init__(self) -> None:
        self.names: list[str] = []
        self.sums: Tensor | None = None
        self.weight = 0.0
        self.first_bad: Tensor | None = None  # for each entry the batch at which it was not finite, -1 if never

    def add(self, terms: Mapping[str, Tensor], weight: float, batch: Tensor | int) -> None:
        """Add `weight` times the terms of a batch, without waiting for the device."""
        values = torch.cat([term.detach().reshape(-1) for term in terms.values()])
        if self.sums is None or self.first_bad is None:
            self.names = [name for name, _ in spread(terms)]
            self.sums = torch.zeros_like(values)
            self.first_bad = torch.full_like(values, -1, dtype=torch.int64)
        self.sums += weight * values
        self.weight += weight
        bad = ~torch.isfinite(values) & (self.first_bad < 0)
        self.first_bad.copy_(torch.where(bad, batch, self.first_bad))

    def to(self, device: torch.device) -> None:
        if self.sums is not None and self.first_bad is not None:
            self.sums, self.first_bad = self.sums.to(device), self.first_bad.to(device)

    def share(self) -> None:
        """Give all processes the same sums: means over the images of all, and the first batch that was bad for any."""
        if process_count() > 1 and self.sums is not None and self.first_bad is not None:
            self.sums.copy_(average(self.sums))
            bad = gather(self.first_bad[None])
            never = torch.iinfo(bad.dtype).max
            first = torch.where(bad < 0, never, bad).amin(0)
            self.first_bad.copy_(torch.where(first == never, -1, first))

    def check(self) -> None:
        """Raise NotFinite after a value that was not finite. Waits for the device."""
        if self.first_bad is None:
            return
        bad = {name: batch for name, batch in zip(self.names, self.first_bad.tolist(), strict=True) if batch >= 0}
        if bad:
            first = min(bad.values())
            names = [name for name, batch in bad.items() if batch == first]
            # The loss follows from the others: it is the cause only where nothing else is.
            cause = [name for name in names if name != "loss"] or names
            raise NotFinite(
                f"The term {' and '.join(cause[:3])} was not finite at batch {first}; the last good checkpoint is kept,"
                " and bad_batch.npz holds the images. A smaller optimizer.lr or smaller weights usually help.",
                first,
            )

    def means(self) -> dict[str, float]:
        """Return the weighted means since the last call. Waits for the device."""
        if self.sums is None or self.first_bad is None or not self.weight:
            return {}
        self.share()
        self.check()
        means = dict(zip(self.names, (self.sums / self.weight).tolist(), strict=True))
        self.sums.zero_()
        self.first_bad.fill_(-1)
        self.weight = 0.0
        return means


class TermLogger(Callback):
    """Sends `train/...` every `log_every` batches and `val/...` after each validation to the loggers.

    A term is the mean over the images of its interval. It stays on the device until the interval ends, so that no
    step waits for it. A value that is not finite stops the run, also before a checkpoint would be written.
    """

    def __init__(
        self, clock: Clock, log_every: int, batch_size: int, monitors: Mapping[str, str] | None = None
    ) -> None:
        self.clock = clock
        self.log_every = log_every
        self.batch_size = batch_size  # images in a step of all processes
        self.monitors = monitors or {}  # by the name of a callback, the term that it monitors
        self.train = TermSums()  # an engine adds to it
        self.val = TermSums()  # validation adds to it
        self.latest: dict[str, float] = {}  # what the progress bar shows
        self.latest_val: dict[str, float] = {}  # what best.ckpt is chosen by
        self.schedules: Mapping[str, RateSchedule] = {}  # of learning rates, by the names of their terms
        self.images_per_second = 0.0
        self.restart_speed()

    def restart_speed(self) -> None:
        self.since, self.first_batch = time.perf_counter(), self.clock.batches

    def on_train_start(self, trainer: Trainer, module: Any) -> None:
        self.train.to(module.device)
        self.restart_speed()

    def on_train_batch_end(self, trainer: Trainer, module: Any, outputs: Any, batch: Tensor, batch_idx: int) -> None:
        batches = self.clock.batches
        if batches % self.log_every == 0 or batches == self.clock.max_batches:
            self.latest = self.train.means()
            images = (batches - self.first_batch) * self.batch_size
            self.images_per_second = images / (time.perf_counter() - self.since)
            rates = {name: schedule.rate for name, schedule in self.schedules.items()}
            values = {f"train/{name}": value for name, value in (self.latest | rates).items()}
            self.send(trainer, {**values, "perf/images_per_second": self.images_per_second})
            self.restart_speed()

    def on_validation_start(self, trainer: Trainer, module: Any) -> None:
        self.paused = time.perf_counter()

    def on_validation_end(self, trainer: Trainer, module: Any) -> None:
        self.latest_val = self.val.means()
        self.send(trainer, {f"val/{name}": value for name, value in self.latest_val.items()})
        self.since += time.perf_counter() - self.paused

        self.check_monitors(trainer)

    def check_monitors(self, trainer: Trainer) -> None:
        """Raise UserError for a callback that monitors a term that does not exist."""
        for name, term in self.monitors.items():
            known = [str(metric) for metric in trainer.callback_metrics]
            if term not in known:
                logs = ", ".join(metric for metric in known if "/" not in metric.partition("/")[2])
                raise UserError(
                    f"callbacks.{name}.monitor={term}: no such term is logged before the first validation has ended."
                    f"{nearest(term, known)} This model logs {logs}."
                )

    def send(self, trainer: Trainer, values: dict[str, float]) -> None:
        """Log values, and let callbacks monitor them."""
        trainer.callback_metrics.update({name: torch.tensor(value) for name, value in values.items()})
        for logger in trainer.loggers:
            logger.log_metrics(values, step=self.clock.batches)

    def on_save_checkpoint(self, trainer: Trainer, module: Any, checkpoint: dict[str, Any]) -> None:
        self.train.check()

    def state_dict(self) -> dict[str, Any]:
        """Return a half-full interval for the checkpoint, so that a resumed run logs what an unbroken one would."""
        self.train.share()
        if self.train.sums is None or not self.train.weight:
            return {}
        return {"names": self.train.names, "sums": self.train.sums, "weight": self.train.weight}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        if state:
            self.train.names = state["names"]
            self.train.sums = state["sums"]
            self.train.weight = state["weight"]
            self.train.first_bad = torch.full_like(state["sums"], -1, dtype=torch.int64)
