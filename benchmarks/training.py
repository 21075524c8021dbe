"""Trainings as `python -m vaezoo.train` does them, for the benchmarks to repeat and to take the time of."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import plain
import torch
from hydra import compose, initialize_config_dir
from hydra.errors import ConfigCompositionException
from hydra.utils import instantiate
from interleaved import now, set_up
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning import Callback
from torch import Tensor

from vaezoo.config.directory import DIRECTORY
from vaezoo.config.values import check_config
from vaezoo.errors import UserError
from vaezoo.models.adversarial import AdversarialModel
from vaezoo.models.base import LatentModel
from vaezoo.training.checkpoints import Checkpoints
from vaezoo.training.fit import fit, make_trainer
from vaezoo.training.interrupts import Interrupts
from vaezoo.training.progress_bar import BudgetBar


@contextmanager
def workplace() -> Iterator[tuple[Path, Interrupts]]:
    with initialize_config_dir(DIRECTORY, version_base="1.3"), TemporaryDirectory() as folder, Interrupts() as kept:
        yield Path(folder), kept


def configuration(line: list[str], folder: Path) -> DictConfig:
    """Checked as the command would be: what it refuses raises UserError."""
    config = compose("train", ["logger=csv", "+trainer.limit_val_batches=0", *line, f"folder={folder}"])
    check_config(config)
    return config


FIRST = 4  # steps that do not count: engines compile or record in them
AFTER = 3  # more of them, where a chunk goes on beyond those


class Stopwatch(Callback):
    """Seconds and batches after the first few, without the set-up of `fit` and the checkpoint at its end."""

    def __init__(self, clock: str) -> None:
        self.clock = clock
        self.began: tuple[float, int] | None = None

    def on_train_batch_end(self, trainer: Any, module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        if self.began is None and module.clock.batches >= FIRST:
            self.began = now(module.device, self.clock), module.clock.batches

    def on_train_end(self, trainer: Any, module: Any) -> None:
        assert self.began is not None
        seconds, batches = self.began
        self.a_step = (now(module.device, self.clock) - seconds) / (module.clock.batches - batches)


class Job:
    """One configuration, its data and its model."""

    def __init__(self, line: list[str], folder: Path, interrupts: Interrupts, data: Any = None) -> None:
        self.line = line
        self.config = config = configuration(line, folder)
        self.interrupts = interrupts
        self.data = instantiate(config.dataset) if data is None else data
        self.data.batch_size = config.dataset.batch_size
        self.data.setup()
        self.device = set_up()
        self.data.place(self.device)
        torch.manual_seed(config.seed)
        self.model: LatentModel = instantiate(config.model)

    def train(self, steps: int, clock: str = "wall") -> float:
        """Seconds a step with data, callbacks, logging and progress bar; validation and evaluation are left out."""
        self.model.batches.zero_()
        watch = Stopwatch(clock)
        loggers = [instantiate(logger) for logger in self.config.logger.values()]
        fit(
            self.model,
            self.data,
            make_trainer(self.config.trainer, loggers),
            max_batches=FIRST + AFTER + steps,
            seed=self.config.seed,
            log_every=self.config.log_every,
            val_every=self.config.val_every,
            engine=self.config.trainer.engine,
            chunk=self.config.trainer.chunk,
            checkpoints=Checkpoints(Path(self.config.folder), **self.config.callbacks.checkpoints),
            callbacks=[watch, BudgetBar("train")],
            interrupts=self.interrupts,
        )
        return watch.a_step

    def batches(self, count: int) -> list[Tensor]:
        """Training images that are ready where the data are."""
        rows = self.rows()
        return [self.data.batch(part).images for part in self.chosen(count * rows).split(rows)]

    def told(self, folder: Path, steps: int) -> dict[str, Any]:
        """What another process is told, so that it trains the same; images and first weights lie in the folder.

        The codes of these weights have no noise, so that the loss of a batch can be compared.
        """
        model, rows = self.config.model, self.rows()
        images = [self.data.batch(part).images.to(torch.uint8).cpu() for part in self.chosen(steps * rows).split(4096)]
        np.save(folder / "images.npy", torch.cat(images).numpy())
        np.savez(folder / "weights.npz", *without_noise(self.model, self.config.latent.dim))
        return {
            "line": self.line,
            "model": model["_target_"].rpartition(".")[2].lower(),
            "beta": model.get("beta"),
            "lambda_od": model.get("lambda_od"),
            "train_images": len(self.data.rows.train),
            "latents": self.config.latent.dim,
            "shape": list(self.config.dataset.shape),
            "batch_size": self.config.dataset.batch_size,
            "rows": rows,
            "steps": steps,
            **{key: OmegaConf.to_container(self.config.optimizer)[key] for key in ("lr", "betas", "eps")},
            "images": str(folder / "images.npy"),
            "weights": str(folder / "weights.npz"),
            "threads": torch.get_num_threads(),
            "device": self.device.type,
        }

    def rows(self) -> int:
        """Images of a step."""
        return self.config.dataset.batch_size * getattr(self.model, "batches_a_step", 1)

    def chosen(self, count: int) -> Tensor:
        return torch.from_numpy(self.data.rows.train[:count])


def without_noise(model: LatentModel, latents: int) -> list[np.ndarray]:
    """The weights of encoder and decoder, but the log variances are -40 for every image."""
    arrays = weights(model.encoder, model.decoder)
    weight, bias = weights(model.encoder)[-2:]
    weight[latents:], bias[latents:] = 0, -40
    place = len(weights(model.encoder)) - 2
    return [*arrays[:place], weight, bias, *arrays[place + 2 :]]


def plain_networks(case: dict[str, Any]) -> LatentModel:
    """The model with stock layers: what makes ours faster does not make these faster."""
    with workplace() as (folder, _):
        config = configuration(case["line"], folder)
    return with_plain_networks(instantiate(config.model), case)


def with_plain_networks(model: LatentModel, case: dict[str, Any]) -> LatentModel:
    """Replace the encoder and the decoder of a model by stock layers, and return it on the device of the case."""
    model.encoder = plain.encoder(case["shape"], case["latents"])
    model.decoder = plain.decoder(case["shape"], case["latents"])
    model.train_images.fill_(case["train_images"])
    return model.to(case["device"])


def engines(
    names: Iterable[str], line: list[str], folder: Path, interrupts: Interrupts, data: Any, clock: str = "wall"
) -> Iterator[tuple[str, Job]]:
    """The same job by each engine that can run here, warm; of the others a line that says why not."""
    for name in names:
        try:
            job = Job([*line, f"trainer.engine={name}"], folder, interrupts, data)
            job.train(1, clock)
        except (ConfigCompositionException, UserError) as error:
            print(f"{name}: {str(error).splitlines()[0]}")
        else:
            yield name, job


def weights(*modules: torch.nn.Module) -> list[Any]:
    return [parameter.detach().cpu().numpy() for module in modules for parameter in module.parameters()]


def by_hand(model: LatentModel) -> Callable[[Tensor], None]:
    """A step of the model's own objective, or of its players' in turn, without Lightning."""
    if not isinstance(model, AdversarialModel):
        optimizer = model.configure_optimizers()

        def descend(x: Tensor) -> None:
            optimizer.zero_grad(set_to_none=True)
            model.objective(x)["loss"].backward()
            optimizer.step()

        return descend
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
