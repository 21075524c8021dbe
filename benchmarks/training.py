"""Trainings as `python -m vaezoo.train` does them, for the benchmarks to repeat and to take the time of."""

import copy
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import cycle, islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import plain
import torch
from hydra import compose, initialize_config_dir
from hydra.errors import ConfigCompositionException
from hydra.utils import instantiate
from interleaved import now
from omegaconf import DictConfig
from pytorch_lightning import Callback
from torch import Tensor

from vaezoo.callbacks.checkpoints import Checkpoints
from vaezoo.callbacks.clock import Clock, Interrupts
from vaezoo.callbacks.progress import BudgetBar
from vaezoo.callbacks.terms import TermLogger
from vaezoo.checks import check
from vaezoo.config import DIRECTORY
from vaezoo.errors import UserError
from vaezoo.models.base import AdversarialModel, LatentModel
from vaezoo.train import make_trainer, quiet_lightning

WARM = 2  # steps that do not count: they fill caches, and engines compile or capture in them


@contextmanager
def workplace() -> Iterator[tuple[Path, Interrupts]]:
    quiet_lightning()
    with initialize_config_dir(DIRECTORY, version_base="1.3"), TemporaryDirectory() as folder, Interrupts() as kept:
        yield Path(folder), kept


def configuration(line: list[str], folder: Path) -> DictConfig:
    """Checked as the command would be: what it refuses raises UserError."""
    config = compose("train", ["logger=csv", "+trainer.limit_val_batches=0", *line, f"folder={folder}"])
    check(config)
    return config


class Stopwatch(Callback):
    """Seconds and batches after the first few, without the set-up of `fit` and the checkpoint at its end."""

    def __init__(self, clock: str) -> None:
        self.clock = clock
        self.began: tuple[float, int] | None = None

    def on_train_batch_end(self, trainer: Any, module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        if self.began is None and int(module.batches) >= WARM:
            self.began = now(module.device, self.clock), int(module.batches)

    def on_train_end(self, trainer: Any, module: Any) -> None:
        assert self.began is not None
        seconds, batches = self.began
        self.a_step = (now(module.device, self.clock) - seconds) / (int(module.batches) - batches)


class Job:
    """One configuration, its data and its model."""

    def __init__(self, config: DictConfig, interrupts: Interrupts, data: Any = None) -> None:
        self.config = config
        self.interrupts = interrupts
        self.data = instantiate(config.dataset) if data is None else data
        self.data.batch_size = config.dataset.batch_size
        self.data.setup()
        torch.manual_seed(config.seed)
        self.model: LatentModel = instantiate(config.model)

    def train(self, steps: int, clock: str = "wall") -> float:
        """Seconds a step with data, callbacks, logging and progress bar; validation and evaluation are left out."""
        self.model.batches.zero_()
        watch, budget = Stopwatch(clock), Clock(WARM + steps, self.config.seed, self.interrupts)
        terms = TermLogger(budget, self.config.log_every)
        saver = Checkpoints(budget, terms, Path(self.config.folder), **self.config.callbacks.checkpoints)
        saver.on_train_end = lambda *_: None  # type: ignore[method-assign]  # once a run, not once a step
        bar = BudgetBar(budget, terms, "train")
        loggers = [instantiate(logger) for logger in self.config.logger.values()]
        trainer = make_trainer(self.config, [watch, terms, budget, saver, bar], loggers)
        trainer.fit(self.model, datamodule=self.data)
        return watch.a_step

    def config_optimizer(self, parameters: Any) -> torch.optim.Optimizer:
        return instantiate(self.config.optimizer)(parameters)

    def batches(self, count: int, device: torch.device) -> list[Tensor]:
        """Training images that are ready on the device."""
        self.data.place(device)
        size = self.config.dataset.batch_size * getattr(self.model, "batches_a_step", 1)
        rows = torch.from_numpy(self.data.rows.train[: count * size]).split(size)
        return [self.data.batch(part).images for part in rows]

    def with_plain_networks(self, device: torch.device) -> LatentModel:
        """The model with stock layers of the same weights: what makes ours faster does not make these faster."""
        model = copy.deepcopy(self.model).to(device)
        latents = self.config.latent.dim
        for name, make in (("encoder", plain.encoder), ("decoder", plain.decoder)):
            network = make(model.image_shape, latents).to(device)
            plain.copy_weights(weights(getattr(self.model, name)), network)
            setattr(model, name, network)
        model.train_images.fill_(len(self.data.rows.train))
        return model


def engine_line(name: str) -> list[str]:
    known = "engine" in compose("train").trainer
    return [] if name == "eager" and not known else [f"trainer.engine={name}"]


def engines(
    names: Iterable[str], line: list[str], folder: Path, interrupts: Interrupts, data: Any
) -> Iterator[tuple[str, Job]]:
    """The same job by each engine that can run here, the others with a line that says why not."""
    for name in names:
        try:
            config = configuration([*line, *engine_line(name)], folder)
        except (ConfigCompositionException, UserError) as error:
            print(f"{name}: {error}")
        else:
            yield name, Job(config, interrupts, data)


def weights(*modules: torch.nn.Module) -> list[Any]:
    return [parameter.detach().cpu().numpy() for module in modules for parameter in module.parameters()]


def bare(step: Callable[[Tensor], None], ready: list[Tensor], clock: str = "wall") -> Callable[[int], float]:
    """A loop without anything around it: seconds a step."""

    def loop(steps: int) -> float:
        for x in ready[:WARM]:
            step(x)
        began = now(ready[0].device, clock)
        for x in islice(cycle(ready), steps):
            step(x)
        return (now(ready[0].device, clock) - began) / steps

    return loop


def minimising(loss: Callable[[Tensor], Tensor], optimizer: torch.optim.Optimizer) -> Callable[[Tensor], None]:
    def step(x: Tensor) -> None:
        optimizer.zero_grad(set_to_none=True)
        loss(x).backward()
        optimizer.step()

    return step


def by_hand(model: LatentModel) -> Callable[[Tensor], None]:
    """A step of the model's own objective, or of its players' in turn, without Lightning."""
    if not isinstance(model, AdversarialModel):
        return minimising(lambda x: model.objective(x)["loss"], model.configure_optimizers())
    moves = [
        (name, [p for network in networks for p in network.parameters()], optimizer)
        for (name, networks), optimizer in zip(model.owned().items(), model.configure_optimizers(), strict=True)
    ]

    def step(x: Tensor) -> None:
        drawn = model.draw(x)
        idle = model.sitting_out([(x, drawn)])
        for name, own, optimizer in moves:
            if name not in idle:
                gradients = torch.autograd.grad(model.terms_of(name, x, drawn)["loss"], own)
                for parameter, gradient in zip(own, gradients, strict=True):
                    parameter.grad = gradient
                optimizer.step()

    return step
