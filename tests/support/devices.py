"""What would make a GPU wait, found without one: on torch's meta device, which holds no data."""

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from tests.support.configuration import build_model
from tests.support.paths import ROOT
from vaezoo.models.base import LatentModel
from vaezoo.training.engines import Graphed

# On a GPU, these bring a value or a shape that depends on values to the host, which waits for it.
LOOKS = {"_local_scalar_dense", "nonzero", "masked_select", "equal", "_linalg_check_errors", "_unique2", "bincount"}


class Waits(AssertionError):
    """An operation that waits for the device, or that mixes devices; the message names the line."""


@contextmanager
def never_waits() -> Iterator[None]:
    """Raise Waits in the body at each operation that looks at values of the meta device, or that also uses the CPU.

    A tensor that comes from the CPU is refused, too: the copy waits, and a CUDA graph would keep its present value.
    """
    with ByOperation(), ByFunction():
        yield


class ByOperation(TorchDispatchMode):
    """Sees the operations of torch, those of a gradient included."""

    def __torch_dispatch__(self, operation: Any, types: Any, arguments: Any = (), options: Any = None) -> Any:
        name = operation.overloadpacket.__name__
        inputs = [value for value in tree_leaves((arguments, options)) if isinstance(value, Tensor)]
        devices = {value.device.type for value in inputs}
        if "meta" in devices and (name in LOOKS or (name == "index" and any(is_mask(value) for value in inputs[1:]))):
            raise Waits(f"{name} looks at a value: {own_line()}")
        try:
            outcome = operation(*arguments, **(options or {}))
        except NotImplementedError as error:
            raise Waits(f"{name} takes a tensor to the CPU: {own_line()}") from error
        devices |= {value.device.type for value in tree_leaves(outcome) if isinstance(value, Tensor)}
        if devices == {"meta", "cpu"}:
            raise Waits(f"{name} also takes a tensor of the CPU: {own_line()}")
        return outcome


class ByFunction(TorchFunctionMode):
    """Sees the functions that make a tensor from numbers of Python, whose copy is no operation."""

    def __torch_function__(self, function: Any, types: Any, arguments: Any = (), options: Any = None) -> Any:
        outcome = function(*arguments, **(options or {}))
        if function in (torch.tensor, torch.as_tensor) and outcome.is_meta and not isinstance(arguments[0], Tensor):
            raise Waits(f"{function.__name__} takes numbers to the device: {own_line()}")
        return outcome


def is_mask(value: Tensor) -> bool:
    return value.dtype in (torch.bool, torch.uint8)


def own_line() -> str:
    """Return the file, the number and the text of the innermost line of the package that runs now."""
    for frame in reversed(traceback.extract_stack()):
        if Path(frame.filename).is_relative_to(ROOT / "vaezoo"):
            return f"{Path(frame.filename).relative_to(ROOT)}:{frame.lineno}: {frame.line}"
    return "outside of the package"


def build_on_meta(*overrides: str) -> LatentModel:
    """Return a model on the meta device, with what a trainer gives it."""
    model = build_model(*overrides).to("meta")
    made = model.configure_optimizers()
    optimizers = made if isinstance(made, list) else [made]
    for group in (group for optimizer in optimizers for group in optimizer.param_groups):
        group["fused"] = False  # PyTorch has fused steps on real devices alone.

    @contextmanager
    def toggled(optimizer: torch.optim.Optimizer) -> Iterator[None]:
        own = {parameter for group in optimizer.param_groups for parameter in group["params"]}
        for parameter in model.parameters():
            parameter.requires_grad_(parameter in own)
        yield
        for parameter in model.parameters():
            parameter.requires_grad_(True)

    model.optimizers = lambda: made
    model.manual_backward = lambda loss: loss.backward()
    model.toggled_optimizer = toggled
    return model


class Replayed(Graphed):
    """The graphed engine without a GPU: a recorded step is the function itself, which sees what a graph would."""

    records = False
    recorded = 0

    def run_aside(self, step):
        step()

    def record(self, step):
        Replayed.recorded += 1

        def replay():
            weight = self.sums.weight
            step()
            self.sums.weight = weight  # The host's part is not in a graph.

        return SimpleNamespace(replay=replay)
