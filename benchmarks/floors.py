"""The arithmetic and the bytes of a training step, the time they need at this device's own rates, and who comes near.

    python benchmarks/floors.py [batch_size=64] [engines=eager,compiled,graphed] [rounds=5] [seconds=1] [threads=0]
                                [clock=wall|cpu] [results=FILE] [overrides of the training configuration]

The layers of the model are counted as they run, none by hand. Arithmetic is that of convolutions and dense layers: a
multiplication and an addition for each weight that meets an input, once forward, once for the weights' gradient and
once for the inputs', which the first layer does not need. Bytes are the least that must move if each layer is a pass
of its own: each of those three reads two arrays and writes the third, and Adam reads weight, gradient and two moments
and writes three. What caches hold need not move at all, so nobody has to take as long as the bytes of a CPU say.

Rates are measured in the same rounds as the steps: a large matrix product and a copy that no cache can hold.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import interleaved
import tables
import torch
from torch import Tensor, nn
from training import Job, engines, workplace

DEFAULTS = {"batch_size": 64, "engines": ("eager", "compiled", "graphed"), "seconds": 1.0, "clock": "wall"}
SIDE = {"cpu": 2048, "cuda": 8192}  # of the matrices
COPIED = {"cpu": 2**28, "cuda": 2**31}  # bytes
FLOAT = 4  # bytes


class Cost(NamedTuple):
    layer: str
    operations: int
    moved: int  # bytes


def products(layer: nn.Module, inputs: Tensor, outputs: Tensor) -> int:
    """Multiplications of one pass forward: each weight meets each place that its kernel is laid on."""
    if isinstance(layer, nn.ConvTranspose2d):
        places = inputs.shape[0] * inputs[0, 0].numel()
        return places * layer.weight.numel()
    if isinstance(layer, nn.Conv2d):
        return outputs.shape[0] * outputs[0, 0].numel() * layer.weight.numel()
    if isinstance(layer, nn.Linear):
        return outputs.numel() // layer.out_features * layer.weight.numel()
    return 0


def costs(model: Any, x: Tensor) -> list[Cost]:
    """Of every layer that has weights, in the order of a step."""
    found: list[Cost] = []

    def count(name: str, layer: nn.Module, inputs: tuple[Tensor, ...], outputs: Tensor) -> None:
        first = not found
        gradients = 1 if first else 2
        own = sum(parameter.numel() for parameter in layer.parameters())
        into, out = inputs[0].numel(), outputs.numel()
        forward = into + own + out
        weights_gradient = out + into + own
        inputs_gradient = 0 if first else out + own + into
        moved = forward + weights_gradient + inputs_gradient + 7 * own
        found.append(Cost(name, 2 * (1 + gradients) * products(layer, inputs[0], outputs), FLOAT * moved))

    layers = [(name, layer) for name, layer in model.named_modules() if isinstance(layer, LAYERS)]
    hooks = [layer.register_forward_hook(lambda m, i, o, name=name: count(name, m, i, o)) for name, layer in layers]
    try:
        with torch.no_grad():
            model.decode(model.encode(x).mean)
    finally:
        for hook in hooks:
            hook.remove()
    return found


LAYERS = (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)


def repeated(work: Callable[[], object], device: torch.device, seconds: float, clock: str) -> float:
    """Seconds that one takes."""
    work()
    began, times = interleaved.now(device, clock), 0
    while True:
        for _ in range(1 if device.type == "cpu" else 10):
            work()
            times += 1
        spent = interleaved.now(device, clock) - began
        if spent > seconds:
            return spent / times


def product(dtype: torch.dtype, tf32: bool, device: torch.device, seconds: float, clock: str) -> float:
    """Operations a second of a large matrix product."""
    side = SIDE[device.type]
    a, b = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high" if tf32 else "highest")
    try:
        return 2 * side**3 / repeated(lambda: torch.mm(a, b), device, seconds, clock)
    finally:
        torch.set_float32_matmul_precision(before)


def copy(device: torch.device, seconds: float, clock: str) -> float:
    """Bytes a second, those read and those written."""
    source = torch.zeros(COPIED[device.type] // FLOAT, device=device)
    target = torch.empty_like(source)
    return 2 * COPIED[device.type] / repeated(lambda: target.copy_(source), device, seconds, clock)


def main() -> None:
    asked, overrides = interleaved.options(DEFAULTS)
    device = interleaved.set_up(asked.threads)
    line = ["model=betavae", "dataset=dsprites", f"dataset.batch_size={asked.batch_size}", *overrides]
    with workplace() as (folder, interrupts):
        job = Job(line, folder, interrupts)
        model = job.model.to(device)
        found = costs(model, job.batches(1)[0])
        ways: dict[str, Callable[[], float]] = {}
        for name, engine in engines(asked.engines, line, folder, interrupts, job.data, asked.clock):
            steps = max(4, round(asked.seconds / engine.train(4, asked.clock)))
            ways[name] = partial(engine.train, steps, asked.clock)
        at = (device, asked.seconds, asked.clock)
        rates = {"sgemm": partial(product, torch.float32, False, *at), "copy": partial(copy, *at)}
        if device.type == "cuda":
            rates |= {"TF32": partial(product, torch.float32, True, *at)}
            rates |= {"bf16": partial(product, torch.bfloat16, False, *at)}
        values = interleaved.take_turns({**ways, **rates}, asked.rounds)
    facts = {
        "operations": sum(cost.operations for cost in found),
        "moved": sum(cost.moved for cost in found),
        "rates": list(rates),
        "layers": [list(cost) for cost in found],
    }
    case = {"overrides": overrides, "batch_size": asked.batch_size, "clock": asked.clock}
    print("\n".join(tables.floors([interleaved.keep(asked.results, "floors", device, case, values, **facts)])))


if __name__ == "__main__":
    main()
