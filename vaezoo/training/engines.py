"""How training steps are made: one after the other, compiled, or recorded once and replayed.

An engine is handed chunks, the rows of several batches, so that the framework around a step is paid for once in a
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
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Tensor

from vaezoo.data.batches import Batch
from vaezoo.distributed import process_count
from vaezoo.errors import UserError
from vaezoo.training.clock import Clock
from vaezoo.training.terms import TermSums

STRETCH = 0.1  # seconds that a chunk lasts where nobody says how long it is to be
LONGEST = 100  # steps of such a chunk
WARM_UP = 3  # steps before one is recorded, in which libraries choose algorithms and optimisers make their state


class Eager(Callback):
    """`every` lists intervals, in batches, at whose ends something is due; `chunk` is the largest number of steps made
    at a stretch, None: as many as take a tenth of a second. Signals are seen between two steps, too.
    """

    model: Any
    data: Any
    records = False

    def __init__(self, clock: Clock, sums: TermSums, every: Sequence[int], chunk: int | None) -> None:
        self.clock = clock
        self.sums = sums
        self.every = every
        self.chunk = chunk
        self.pace = chunk or 1

    def setup(self, trainer: Trainer, module: LightningModule, stage: str) -> None:
        self.model, self.data = module, trainer.datamodule  # type: ignore[attr-defined]
        self.convert = trainer.precision_plugin.convert_input
        self.model.engine = self
        self.data.chunk_length = self.length

    def teardown(self, trainer: Trainer, module: LightningModule, stage: str) -> None:
        self.model.engine = self.data.chunk_length = None

    def on_train_start(self, trainer: Trainer, module: LightningModule) -> None:
        """Optimisers as this engine needs them: those of a checkpoint may come from another one."""
        for optimizer in trainer.optimizers:
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

    def length(self, batch: int) -> int:
        """How many steps the chunk may have that begins with that batch."""
        if process_count() > 1:  # they agree between chunks when to stop
            return 1
        ends = [every - batch % every for every in self.every]
        ahead = self.model.ahead(batch)
        return max(1, min(self.pace, self.clock.max_batches - batch, *ends, *([] if ahead is None else [ahead])))

    def run(self, chunk: Tensor) -> dict[str, int]:
        """The steps of a chunk (k, B), rows of the data set; how many were made."""
        began, made = time.perf_counter(), 0
        for rows in chunk:
            if made and self.clock.interrupts.received is not None:
                break
            self.clock.noise(self.clock.batches + made)
            self.advance(rows)
            made += 1
        fitting = int(made * STRETCH / (time.perf_counter() - began))
        self.pace = self.chunk or max(1, min(fitting, 2 * self.pace, LONGEST))
        return {"batches": made}

    def batch(self, rows: Tensor) -> Any:
        return self.convert(self.data.share(rows))

    def advance(self, rows: Tensor) -> None:
        """One step, and its terms added up."""
        self.step(self.batch(rows))

    def step(self, batch: Any, idle: Set[str] | None = None) -> None:
        terms = self.model.step(batch.images, batch.labels, idle)
        self.sums.add(terms, 1.0, self.model.batches - 1)


class Compiled(Eager):
    """Each player's objective is compiled at its first step, which takes tens of seconds."""

    def setup(self, trainer: Trainer, module: LightningModule, stage: str) -> None:
        super().setup(trainer, module, stage)
        # One code object serves all runs of a process; past the limit torch would go on without compiling.
        torch._dynamo.config.recompile_limit = torch._dynamo.config.accumulated_recompile_limit = 1024
        # `fallback_random`: noise as the operations draw it that run one by one.
        self.model.terms_of = torch.compile(self.model.terms_of, dynamic=False, options={"fallback_random": True})

    def teardown(self, trainer: Trainer, module: LightningModule, stage: str) -> None:
        super().teardown(trainer, module, stage)
        vars(self.model).pop("terms_of", None)

    def advance(self, rows: Tensor) -> None:
        try:
            super().advance(rows)
        except torch._dynamo.exc.BackendCompilerFailed as error:
            reason = str(error.inner_exception).partition("\n")[0]
            raise UserError(f"trainer.engine=compiled: torch.compile failed ({reason}); eager needs none.") from error


class Graphed(Eager):
    """One graph for each set of players that move together; who does is the only thing the host decides, and waits for.

    The first steps of each are eager. A graph finds the rows of its batch always in the same place, draws by the seed
    that the clock has set, and changes weights, buffers and sums where they are. Of images that do not fit on the
    device, the batch is brought to that place instead.
    """

    records = True

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.steps: dict[Set[str], int] = {}
        self.graphs: dict[Set[str], Any] = {}
        self.place: list[Any] = []

    def setup(self, trainer: Trainer, module: LightningModule, stage: str) -> None:
        super().setup(trainer, module, stage)
        self.device = trainer.strategy.root_device

    def teardown(self, trainer: Trainer, module: LightningModule, stage: str) -> None:
        super().teardown(trainer, module, stage)
        self.graphs.clear()

    def advance(self, rows: Tensor) -> None:
        given = [rows] if self.resident else list(self.batch(rows))
        idle = self.idle(given)
        self.steps[idle] = self.steps.get(idle, 0) + 1
        if self.steps[idle] <= WARM_UP:
            self.aside(lambda: self.step(self.made(given), idle))
            return
        self.put(given)
        if idle not in self.graphs:
            weight = self.sums.weight
            self.graphs[idle] = self.record(lambda: self.step(self.made(self.place), idle))
            self.sums.weight = weight  # to record a step is not to make it
        self.graphs[idle].replay()
        self.sums.weight += 1.0

    @property
    def resident(self) -> bool:
        return bool(self.data.store.resident)

    def made(self, given: list[Any]) -> Batch:
        return self.batch(*given) if len(given) == 1 else Batch(*given)

    def idle(self, given: list[Any]) -> Set[str]:
        if not getattr(self.model, "gated", ()):
            return frozenset()
        batch = self.made(given)
        idle = frozenset(self.model.idle(batch.images, batch.labels))
        self.clock.noise(int(self.model.batches))  # the step is to draw what the decision has seen
        return idle

    def put(self, given: list[Any]) -> None:
        if not self.place:
            self.place = [None if value is None else torch.empty_like(value) for value in given]
        for place, value in zip(self.place, given, strict=True):
            if value is not None:
                place.copy_(value)

    def aside(self, step: Callable[[], None]) -> None:
        """On another stream than the usual one, where what is recorded later may not have been."""
        usual, stream = torch.cuda.current_stream(self.device), torch.cuda.Stream(self.device)
        stream.wait_stream(usual)
        with torch.cuda.stream(stream):
            step()
        usual.wait_stream(stream)

    def record(self, step: Callable[[], None]) -> Any:
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


def make_engine(name: str, clock: Clock, sums: TermSums, every: Sequence[int], chunk: int | None) -> Eager:
    """The engine of that name, refused where there is no device for it."""
    if name == "graphed" and not torch.cuda.is_available():
        raise UserError("trainer.engine=graphed: CUDA graphs need a GPU of NVIDIA, and there is none; take compiled.")
    return ENGINES[name](clock, sums, every, chunk)
