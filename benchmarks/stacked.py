"""Two designs for many models on one device, in their barest form: stacked parameters, and branches that run together.

    python benchmarks/stacked.py [jobs=1,2,4,8,16,32,64] [batch_size=64] [rounds=5] [seconds=1] [threads=0]
                                 [clock=wall|cpu] [results=FILE]

N beta-VAEs (CONV-H, 64x64) with a beta of their own each, on images that are ready:

    in turns   one model's step after the other's
    stacked    the parameters of all in one tensor each, the step under torch.func.vmap
    branches   (a GPU) each model's step on a stream of its own, all of them in one CUDA graph
    graph      (a GPU) one model's step after the other's, all of them in one CUDA graph

The reference is the step of a single model, on a GPU one in a CUDA graph.
"""

import copy
from collections.abc import Callable
from functools import partial

import interleaved
import plain
import tables
import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap

SHAPE, LATENTS, LR = (1, 64, 64), 10, 1e-4
DEFAULTS = {"jobs": ("1", "2", "4", "8", "16", "32", "64"), "batch_size": 64, "seconds": 1.0, "clock": "wall"}
Step = Callable[[Tensor], object]


class BetaVAE(plain.VAE):
    """Its beta is a tensor, so that stacked models can have one each."""

    def __init__(self, beta: float) -> None:
        super().__init__(SHAPE, LATENTS, lambda z, mean, logvar, kl: self.beta * kl)
        self.register_buffer("beta", torch.tensor(beta))


def adam(parameters: list[Tensor], device: torch.device) -> torch.optim.Optimizer:
    return torch.optim.Adam(parameters, lr=LR, fused=True, capturable=device.type == "cuda")


def models(count: int, device: torch.device) -> list[BetaVAE]:
    return [BetaVAE(1.0 + i).to(device) for i in range(count)]


def one_step(model: nn.Module, optimizer: torch.optim.Optimizer, x: Tensor) -> None:
    optimizer.zero_grad(set_to_none=True)
    model(x)[0].backward()
    optimizer.step()


def in_turns(count: int, device: torch.device) -> Step:
    pairs = [(model, adam(list(model.parameters()), device)) for model in models(count, device)]

    def step(x: Tensor) -> None:
        for model, optimizer in pairs:
            one_step(model, optimizer, x)

    return step


def stack(several: list[BetaVAE]) -> tuple[list[Tensor], Callable[[Tensor], Tensor]]:
    """The parameters of all models, and what gives the loss of each."""
    parameters, buffers = stack_module_state(several)
    shell = copy.deepcopy(several[0]).to("meta")
    shell.penalty = lambda z, mean, logvar, kl: shell.beta * kl  # that of the copy still knows the first model

    def loss(own: dict[str, Tensor], its: dict[str, Tensor], x: Tensor) -> Tensor:
        return functional_call(shell, (own, its), (x,))[0]

    losses = vmap(loss, in_dims=(0, 0, None), randomness="different")
    return list(parameters.values()), lambda x: losses(parameters, buffers, x)


def stacked(count: int, device: torch.device) -> Step:
    parameters, losses = stack(models(count, device))
    optimizer = adam(parameters, device)

    def step(x: Tensor) -> None:
        optimizer.zero_grad(set_to_none=True)
        losses(x).sum().backward()
        optimizer.step()

    return step


def captured(count: int, device: torch.device, x: Tensor, *, together: bool) -> Step:
    """A CUDA graph of a step of each model: on a stream each, or one after the other."""
    pairs = [(model, adam(list(model.parameters()), device)) for model in models(count, device)]
    image = x.clone()
    streams = [torch.cuda.Stream() for _ in pairs] if together else []

    def steps() -> None:
        main = torch.cuda.current_stream()
        for number, (model, optimizer) in enumerate(pairs):
            if not together:
                one_step(model, optimizer, image)
                continue
            streams[number].wait_stream(main)
            with torch.cuda.stream(streams[number]):
                one_step(model, optimizer, image)
        for stream in streams:
            main.wait_stream(stream)

    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            steps()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        steps()

    def replay(x: Tensor) -> None:
        image.copy_(x)
        graph.replay()

    return replay


def main() -> None:
    asked = interleaved.own_options(DEFAULTS)
    device = interleaved.set_up(asked.threads)
    torch.manual_seed(0)
    ready = [torch.rand(asked.batch_size, *SHAPE, device=device).round() for _ in range(4)]
    single = in_turns(1, device) if device.type == "cpu" else captured(1, device, ready[0], together=False)

    def turn(step: Step, steps: int) -> float:
        return interleaved.loop(step, ready, steps, asked.clock) / steps

    alone = turn(single, 3)
    results = []
    for count in map(int, asked.jobs):
        steps = {"in turns": in_turns(count, device), "stacked": stacked(count, device)}
        if device.type == "cuda":
            steps["branches"] = captured(count, device, ready[0], together=True)
            steps["graph"] = captured(count, device, ready[0], together=False)
        times = max(1, round(asked.seconds / alone / count))
        ways = {"one": partial(turn, single, max(2, times))}
        ways |= {name: partial(turn, step, times) for name, step in steps.items()}
        case = {"jobs": count, "batch_size": asked.batch_size, "clock": asked.clock}
        found = interleaved.take_turns(ways, asked.rounds)
        results.append(interleaved.keep(asked.results, "stacked", device, case, found))
    print("\n".join(tables.stacked(results)))


if __name__ == "__main__":
    main()
