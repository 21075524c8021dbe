"""How training steps are made: one after the other, compiled, or recorded once and replayed.

An engine receives chunks, the rows of several batches, so that the framework around a step is paid for once in a
chunk. A chunk ends where something is due (a row of metrics, a validation, a checkpoint, the budget), and no result
depends on how many steps there are in it: each step draws its own noise and adds its own terms.

    eager       operation by operation
    compiled    the objective and its gradient through torch.compile; noise is drawn as eager draws it
    graphed     the whole step, optimisers included, as a CUDA graph: a step costs a single launch

What they train differs by rounding only.
"""

import time
from collections.abc import Callable, Sequence, Set
from typing import Any

import torch
from pytorch_lightning.utilities.model_helpers import is_overridden
from torch import Tensor

from vaezoo.data.batches import Batch
from vaezoo.data.module import ImageDataModule
from vaezoo.distributed import own_rows, process_count
from vaezoo.errors import UserError
from vaezoo.models.base import LatentModel, Terms
from vaezoo.training.clock import Clock
from vaezoo.training.devices import check_devices
from vaezoo.training.learning_rate import RateSchedule
from vaezoo.training.terms import TermSums

STRETCH = 0.1  # seconds that a chunk lasts where its length is not set
LONGEST = 100  # steps of such a chunk
WARM_UP = 3  # steps before one is recorded, in which libraries choose algorithms and optimisers make their state


def share_rows(rows: Tensor, batches_a_step: int) -> Tensor:
    """Return the rows of a step that this process sees: an equal part of each of its batches."""
    return torch.cat([own_rows(batch) for batch in rows.chunk(batches_a_step)])


class Eager:
    """Makes the steps of a model one operation after the other.

    `sums` collects their terms. `intervals`, in batches, say where chunks end. `chunk` is the largest number of steps
    in one; None makes it last a tenth of a second. `convert` brings a batch to the precision of the training.
    """

    records = False

    def __init__(
        self,
        model: LatentModel,
        data: ImageDataModule,
        clock: Clock,
        sums: TermSums,
        intervals: Sequence[int] = (),
        chunk: int | None = None,
        convert: Callable[[Batch], Batch] = lambda batch: batch,
    ) -> None:
        self.model = model
        self.data = data
        self.clock = clock
        self.sums = sums
        self.intervals = intervals
        self.chunk = chunk
        self.convert = convert
        self.pace = chunk or 1
        self.has_hook = is_overridden("on_train_batch_start", model)
        self.terms: Terms = {}  # of the latest step
        self.schedules: Sequence[RateSchedule] = ()

    def prepare(self, optimizers: Sequence[torch.optim.Optimizer]) -> None:
        """Give optimisers the flags of this engine, because a checkpoint may hold those of another one."""
        for optimizer in optimizers:
            if self.records and "capturable" not in optimizer.defaults:
                raise UserError(f"trainer.engine=graphed: {type(optimizer).__name__} cannot be recorded; Adam can.")
            for group in optimizer.param_groups:
                if "capturable" in group:
                    group["capturable"] = self.records
                on_device = self.records or group.get("fused")
                for parameter in group["params"]:
                    state = optimizer.state.get(parameter, {})
                    if torch.is_tensor(state.get("step")):
                        state["step"] = state["step"].to(parameter.device if on_device else "cpu")

    def close(self) -> None:
        """Leave the model as it was."""

    def length(self, batch: int) -> int:
        """Return how many steps the chunk may have that begins with that batch."""
        if process_count() > 1:  # Processes agree between chunks when to stop.
            return 1
        return min([self.pace, *(interval - batch % interval for interval in self.intervals)])

    def run(self, chunk: Tensor) -> None:
        """Make the steps of a chunk (k, B) of rows. A signal that comes meanwhile is answered between two of them."""
        began = time.perf_counter()
        for step, rows in enumerate(chunk):
            if step and self.clock.interrupts.received is not None:
                self.clock.interrupts.check()
            self.call_hook()
            self.clock.seed_noise()
            self.advance(rows)
            for schedule in self.schedules:
                schedule.step()
            self.clock.batches += 1
        fitting = int(len(chunk) * STRETCH / (time.perf_counter() - began))
        self.pace = self.chunk or max(1, min(fitting, 2 * self.pace, LONGEST))

    def call_hook(self) -> None:
        """Call the model's `on_train_batch_start` as Lightning does, in full precision; it may draw noise."""
        if self.has_hook:
            self.clock.seed_noise()
            with torch.autocast(self.model.device.type, enabled=False):
                self.model.on_train_batch_start(None, self.clock.batches)

    def batch(self, rows: Tensor) -> Batch:
        """Return what this process sees of a batch."""
        return self.convert(self.data.batch(share_rows(rows, self.model.batches_a_step)))

    def advance(self, rows: Tensor) -> None:
        """Make one step."""
        self.step(self.batch(rows))

    def step(self, batch: Batch, idle: Set[str] | None = None) -> None:
        """Make one step on a batch, and add up its terms."""
        terms = self.model.step(batch.images, batch.labels, idle)
        self.sums.add(terms, 1.0, self.model.batches - 1)
        self.terms = terms


class Compiled(Eager):
    """Compiles each player's objective at its first step, which takes tens of seconds."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        # One code object serves all runs of a process; past the limit torch would go on without compiling.
        torch._dynamo.config.recompile_limit = torch._dynamo.config.accumulated_recompile_limit = 1024
        # `fallback_random`: noise as the operations draw it that run one by one.
        compiled = torch.compile(self.model.terms_of, dynamic=False, options={"fallback_random": True})
        self.model.terms_of = compiled  # type: ignore[method-assign]

    def close(self) -> None:
        vars(self.model).pop("terms_of", None)

    def advance(self, rows: Tensor) -> None:
        try:
            super().advance(rows)
        except torch._dynamo.exc.BackendCompilerFailed as error:
            reason = str(error.inner_exception).partition("\n")[0]
            raise UserError(f"trainer.engine=compiled: torch.compile failed ({reason}); eager needs none.") from error


class Graphed(Eager):
    """Records one graph for each set of players that move together; which set it is, the host decides and waits for.

    The first steps of each set are eager. A graph finds the rows of its batch always in the same place, draws by the
    seed that the clock has set, and changes weights, buffers and sums where they are. Where images do not fit on the
    device, the batch is brought to that place instead of its rows.
    """

    records = True

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.steps: dict[Set[str], int] = {}
        self.graphs: dict[Set[str], Any] = {}
        self.place: list[Any] = []

    def close(self) -> None:
        self.graphs.clear()

    def advance(self, rows: Tensor) -> None:
        inputs = [rows] if self.resident else list(self.batch(rows))
        idle = self.idle(inputs)
        self.steps[idle] = self.steps.get(idle, 0) + 1
        if self.steps[idle] <= WARM_UP:
            self.run_aside(lambda: self.step(self.batch_of(inputs), idle))
            return
        self.put(inputs)
        if idle not in self.graphs:
            weight = self.sums.weight
            self.graphs[idle] = self.record(lambda: self.step(self.batch_of(self.place), idle))
            self.sums.weight = weight  # to record a step is not to make it
        self.graphs[idle].replay()
        self.sums.weight += 1.0

    @property
    def resident(self) -> bool:
        assert self.data.store is not None
        return self.data.store.resident

    def batch_of(self, inputs: list[Any]) -> Batch:
        """Return the batch of a graph's inputs: its rows alone, or its images, labels and rows."""
        return self.batch(*inputs) if len(inputs) == 1 else Batch(*inputs)

    def idle(self, inputs: list[Any]) -> Set[str]:
        """Return the players that skip the step."""
        if not self.model.gated:
            return frozenset()
        batch = self.batch_of(inputs)
        idle = frozenset(self.model.idle(batch.images, batch.labels))
        self.clock.seed_noise()  # The step has to draw the noise that the decision has seen.
        return idle

    def put(self, inputs: list[Any]) -> None:
        """Copy the inputs to where the graphs read them."""
        if not self.place:
            self.place = [None if value is None else torch.empty_like(value) for value in inputs]
        for place, value in zip(self.place, inputs, strict=True):
            if value is not None:
                place.copy_(value)

    def run_aside(self, step: Callable[[], None]) -> None:
        """Run a step on another stream, because what is recorded later must not have run on the usual one."""
        usual, stream = torch.cuda.current_stream(self.model.device), torch.cuda.Stream(self.model.device)
        stream.wait_stream(usual)
        with torch.cuda.stream(stream):
            step()
        usual.wait_stream(stream)

    def record(self, step: Callable[[], None]) -> Any:
        """Return the step as a CUDA graph."""
        graph = torch.cuda.CUDAGraph()
        torch.clear_autocast_cache()  # what it holds was not made inside the graph
        try:
            with torch.cuda.graph(graph, pool=next(iter(self.graphs.values())).pool() if self.graphs else None):
                step()
        except RuntimeError as error:
            reason = str(error).strip().splitlines()[0]
            raise UserError(
                f"trainer.engine=graphed: the step of {type(self.model).__name__} cannot be recorded ({reason}); take"
                " compiled or eager."
            ) from error
        torch.clear_autocast_cache()
        return graph


ENGINES = {"eager": Eager, "compiled": Compiled, "graphed": Graphed}


def choose_engine(name: str) -> type[Eager]:
    """Return the engine of that name; refuse it where there is no device for it."""
    check_devices({"engine": name})
    return ENGINES[name]
