"""A model and its data as Lightning trains them here: many training steps at each call, validated at exact batches."""

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from pytorch_lightning import Callback, LightningModule
from torch import Tensor

from vaezoo.data.batches import Batch, RowBatches, TrainingOrder
from vaezoo.data.module import ImageDataModule
from vaezoo.distributed import process_count
from vaezoo.models.adversarial import AdversarialModel
from vaezoo.models.base import LatentModel, Terms
from vaezoo.seeds import derive
from vaezoo.training.clock import Clock
from vaezoo.training.engines import Eager, share_rows
from vaezoo.training.learning_rate import make_schedules, refuse_by_torch
from vaezoo.training.lightning_internals import restore_progress
from vaezoo.training.terms import TermLogger


def even_sizes(count: int, size: int, unit: int) -> list[int]:
    """Return sizes of batches of about `size`, all multiples of `unit`, that hold `count` images between them.

    A last short batch would weigh batch statistics by those of another loss; these differ by one unit at most.
    """
    parts = max(1, round(count / size))
    ends = [count // unit * part // parts * unit for part in range(parts + 1)]
    return [end - begin for begin, end in pairwise(ends) if end > begin]


def order_rows(data: ImageDataModule, model: LatentModel, device: torch.device | None = None) -> TrainingOrder:
    """Return the order in which the training images make the steps of a model; the rows are used on the device."""
    train = data.rows.train
    pairs = data.pairs(train, model.changed_factors) if model.pairs else None
    return TrainingOrder(train, data.batch_size * model.batches_a_step, data.seed, device, pairs)


class ChunkLoader:
    """Chunks (k, B) of rows from the present batch up to the next validation, or to the end of the run.

    It has no length, so Lightning validates when it ends, and then iterates over it again: an epoch of Lightning's is
    the stretch between two validations. Where that lies depends on the count of batches alone, so a resumed run
    validates where an unbroken one does.
    """

    def __init__(self, order: TrainingOrder, clock: Clock, val_every: int, length: Callable[[int], int]) -> None:
        self.order = order
        self.clock = clock
        self.val_every = val_every
        self.length = length

    def __iter__(self) -> Iterator[Tensor]:
        number = self.clock.batches
        end = min(self.clock.max_batches, number - number % self.val_every + self.val_every)
        while number < end:
            chunk = self.order.batches(number, min(self.length(number), end - number))
            yield chunk
            number += len(chunk)


class ChunkedModel(LightningModule):
    """A model whose training steps an engine makes, a chunk of them at each call by Lightning.

    Callbacks find here the `model`, the `clock` and the `terms`. The state is that of the model, so a checkpoint does
    not know of this class. Lightning's hooks reach the model where they mean the same as in a plain Trainer; of the
    hooks for a batch only `on_train_batch_start` does, from the engine before each step. With `shows_batches` each
    chunk is one batch, and callbacks see its images instead of its rows.
    """

    def __init__(
        self,
        model: LatentModel,
        data: ImageDataModule,
        engine: Eager,
        clock: Clock,
        terms: TermLogger,
        val_every: int,
        callbacks: Sequence[Callback],
        *,
        lr_schedule: Mapping[str, Any],
        shows_batches: bool,
        trained_before: bool,
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.model = model
        self.data = data
        self.engine = engine
        self.clock = clock
        self.terms = terms
        self.val_every = val_every
        self.own_callbacks = callbacks
        self.lr_schedule = lr_schedule
        self.register_load_state_dict_pre_hook(self.rename_weights)
        self.trained_before = trained_before
        self.shows_batches = shows_batches  # a callback sees each batch of images, and its terms

    def configure_callbacks(self) -> list[Callback]:
        return list(self.own_callbacks)

    # ---- data --------------------------------------------------------------------------------------------------

    def train_dataloader(self) -> ChunkLoader:
        assert self.data.store is not None
        order = order_rows(self.data, self.model, self.data.store.index_device)
        return ChunkLoader(order, self.clock, self.val_every, self.engine.length)

    def val_dataloader(self) -> RowBatches | list[RowBatches]:
        rows, batches = self.data.rows.val, self.model.batches_a_step
        sizes = even_sizes(len(rows), self.data.batch_size * batches, process_count() * batches)
        rows = rows[: sum(sizes)]
        if sizes and self.model.pairs:
            pairs = self.data.pairs(
                np.concatenate([self.data.rows.train, self.data.rows.val]), self.model.changed_factors
            )
            seed = derive(self.data.seed, "validation pairs")
            rows = pairs.complete(torch.from_numpy(rows), sizes, seed).numpy()
        return RowBatches(self.validation_batch, rows, sizes) if sizes else []

    def validation_batch(self, rows: Tensor) -> Batch:
        return self.data.batch(share_rows(rows, self.model.batches_a_step))

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        # Images are made on the device, and rows stay where they are looked up.
        if not isinstance(batch, Tensor):
            return batch
        self.chunk = batch
        return self.engine.batch(batch[0]) if self.shows_batches else batch

    # ---- steps -------------------------------------------------------------------------------------------------

    def training_step(self, batch: Any, batch_idx: int) -> Terms | None:
        self.engine.run(self.chunk)
        return self.engine.terms if self.shows_batches else None

    def on_train_batch_end(self, outputs: Any, batch: Tensor, batch_idx: int) -> None:
        if self.clock.batches >= self.clock.max_batches:
            self.trainer.should_stop = True

    def on_validation_batch_start(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> None:
        self.clock.seed_validation(batch_idx)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        terms = self.model.validate(batch.images, batch.labels)
        self.terms.val.add(terms, float(len(batch.images)), self.clock.batches)

    # ---- the model's hooks and state ---------------------------------------------------------------------------

    def __getattr__(self, name: str) -> Any:
        """Return an attribute of the model where this class has none, because callbacks know the model alone."""
        try:
            return super().__getattr__(name)
        except AttributeError:
            if name.startswith("_") or "model" not in self._modules:
                raise
            return getattr(self._modules["model"], name)

    def forward(self, *arguments: Any, **options: Any) -> Any:
        return self.model(*arguments, **options)

    def __deepcopy__(self, memo: dict[int, Any]) -> "ChunkedModel":
        """Copy the model alone, which callbacks that average weights do; the data and the trainer are shared."""
        for name, part in vars(self).items():
            if name not in ("_modules", "_parameters", "_buffers"):
                memo[id(part)] = part
        twin = ChunkedModel.__new__(ChunkedModel)
        vars(twin).update(vars(self))
        twin._modules = {"model": copy.deepcopy(self.model, memo)}
        return twin

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        """Yield the buffers that can be averaged; an average would make counters of batches and images wrong."""
        yield from (buffer for buffer in super().buffers(recurse) if buffer.is_floating_point())

    def rename_weights(self, _: Any, state: dict[str, Any], prefix: str, *rest: Any) -> None:
        """Let a module around this one load a state in which the names are those of the model."""
        for name in [name for name in state if name.startswith(prefix)]:
            if not name.startswith(f"{prefix}model."):
                state[f"{prefix}model.{name.removeprefix(prefix)}"] = state.pop(name)

    def configure_optimizers(self) -> Any:
        """Return the optimisers of the model, and the schedule of each where the rates change."""
        with refuse_by_torch("optimizer"):
            made = self.model.configure_optimizers()
        optimizers = made if isinstance(made, list) else [made]
        schedules = make_schedules(optimizers, self.lr_schedule, self.clock.max_batches)
        self.engine.schedules = schedules
        players = self.model.players() if isinstance(self.model, AdversarialModel) else {}
        names = [f"lr_{player}" for player in players] or ["lr"]
        self.terms.schedules = dict(zip(names, schedules, strict=False))
        configs = [
            {"scheduler": schedule, "interval": "step", "name": name} for name, schedule in self.terms.schedules.items()
        ]
        return optimizers, configs

    def on_fit_start(self) -> None:
        """Bring the images to the device; a decoder that can begins at their mean."""
        self.data.place(self.trainer.strategy.root_device)
        if self.clock.batches == 0 and not self.trained_before:
            self.model.begin_at(self.data.mean_image)
        for term in self.model.extra_terms.values():
            term.prepare(self.data)
        self.model.on_fit_start()

    def on_train_start(self) -> None:
        self.model.on_train_start()
        self.engine.prepare(self.trainer.optimizers)

    def on_train_end(self) -> None:
        self.model.on_train_end()

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        self.model.on_before_optimizer_step(optimizer)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        # Lightning's own progress is left out, because `batches` alone says where a resumed run goes on.
        checkpoint.pop("loops", None)
        # Of averaged weights, the counters are those of the latest ones (`buffers`).
        latest = checkpoint.get("current_model_state", checkpoint["state_dict"])
        counters = {name: value for name, value in latest.items() if not value.is_floating_point()}
        checkpoint["state_dict"] = {**checkpoint["state_dict"], **counters}
        self.model.on_save_checkpoint(checkpoint)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        restore_progress(self.trainer, checkpoint["epoch"], checkpoint["global_step"])
        self.model.on_load_checkpoint(checkpoint)

    def state_dict(self, *arguments: Any, **options: Any) -> Any:
        return self.model.state_dict(*arguments, **options)

    def load_state_dict(self, *arguments: Any, **options: Any) -> Any:
        return self.model.load_state_dict(*arguments, **options)
