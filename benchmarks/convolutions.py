"""The convolutions of CONV-H on a CPU, layer by layer: as torch computes them, and as vaezoo writes them.

    python benchmarks/convolutions.py [rounds=9] [batch=64] [threads=1] [channels=1]

    torch          nn.Conv2d, nn.ConvTranspose2d
    channels last  the same layers, the channels of a pixel side by side in memory
    vaezoo         what vaezoo/networks/fast_convolutions.py chooses

All take turns in one process. A ratio is the time of a round over torch's of that round: its median, and in brackets
the smallest and the largest. With one thread the time is the process's own, else that of the clock. The floor is the
arithmetic of the layer at the rate of a large matrix product, measured in the same rounds; nothing that multiplies all
weight can be faster. Gradients of images are not computed, as in training.
"""

import statistics
import sys
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

from vaezoo.networks.fast_convolutions import Conv2d, ConvTranspose2d, channels_last
from vaezoo.training.memory import keep_freed_memory

SIDE = 1024  # of the matrices whose product sets the pace


def layers(channels: int) -> list[tuple[bool, int, int, int]]:
    """Whether it is transposed, channels in and out, side of the input."""
    down = [(channels, 32, 64), (32, 32, 32), (32, 64, 16), (64, 64, 8)]
    return [(False, *sizes) for sizes in down] + [(True, b, a, side // 2) for a, b, side in reversed(down)]


def ways(transposed: bool, inputs: int, outputs: int, x: Tensor) -> dict[str, tuple[nn.Module, Tensor]]:
    plain, ours = (nn.ConvTranspose2d, ConvTranspose2d) if transposed else (nn.Conv2d, Conv2d)
    layer, fast = plain(inputs, outputs, 4, 2, 1), ours(inputs, outputs, 4, 2, 1)
    fast.load_state_dict(layer.state_dict())
    last = channels_last(x.detach()).requires_grad_(x.requires_grad)
    return {"torch": (layer, x), "channels last": (layer, last), "vaezoo": (fast, last)}


def main() -> None:
    options = {key: int(value) for key, value in (argument.split("=", 1) for argument in sys.argv[1:])}
    rounds, batch, threads = options.get("rounds", 9), options.get("batch", 64), options.get("threads", 1)
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    keep_freed_memory()
    now = time.process_time if threads == 1 else time.perf_counter

    def took(work: Callable[[], object]) -> float:
        began = now()
        work()
        return now() - began

    square = torch.randn(SIDE, SIDE)
    print(f"torch {torch.__version__}, {threads} threads, batch {batch}; milliseconds are medians of {rounds} rounds")
    for transposed, inputs, outputs, side in layers(options.get("channels", 1)):
        x = torch.randn(batch, inputs, side, side, requires_grad=transposed or inputs > 3)
        found: dict[str, list[tuple[float, float]]] = {}
        rates = []
        for turn in range(rounds + 2):  # the first two warm up
            product = took(lambda: square @ square)
            for name, (layer, given) in ways(transposed, inputs, outputs, x).items():
                y: list[Tensor] = []
                forward = took(lambda layer=layer, given=given, y=y: y.append(layer(given)))
                gradient = channels_last(torch.ones_like(y[0])) if name != "torch" else torch.ones_like(y[0])
                backward = took(lambda y=y, gradient=gradient: y[0].backward(gradient))
                if turn > 1:
                    found.setdefault(name, []).append((forward, backward))
            if turn > 1:
                rates.append(2 * SIDE**3 / product)
        pixels = side**2 if transposed else (side // 2) ** 2
        floor = 2 * batch * pixels * inputs * outputs * 16 / statistics.median(rates)
        kind = "transposed" if transposed else "convolution"
        print(f"{kind} {inputs} -> {outputs}, {side}x{side}: floor {1e3 * floor:.2f} ms forward")
        for name, times in found.items():
            told = [summary([t[i] for t in times], [t[i] for t in found["torch"]]) for i in (0, 1)]
            print(f"    {name:14} forward {told[0]}   backward {told[1]}")


def summary(times: list[float], yardstick: list[float]) -> str:
    ratios = [a / b for a, b in zip(times, yardstick, strict=True)]
    middle = statistics.median(ratios)
    return f"{1e3 * statistics.median(times):7.2f} ms, {middle:.2f} [{min(ratios):.2f}, {max(ratios):.2f}]"


if __name__ == "__main__":
    main()
