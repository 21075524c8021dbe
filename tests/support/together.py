"""Ten steps of every model, on this process or on its share of a batch, for tests/training/test_processes.py."""

import os
from collections.abc import Sequence
from pathlib import Path

import torch
from hydra.utils import instantiate
from omegaconf import DictConfig
from pytorch_lightning import seed_everything
from pytorch_lightning.loggers import Logger

from tests.support.configuration import MODELS, choose_line, compose_train
from vaezoo.training.fit import fit, make_trainer

STEPS = 10
# What needs more than its defaults: batch normalisation, dropout, a second phase, running moments, a gate that closes.
CASES = {
    **{name: choose_line(name) for name in MODELS},
    "factorvae small": ["model=factorvae", "model.discriminator.hidden=[50,50]"],
    "dipvae running": ["model=dipvae", "model.cov=running"],
    "infovae imq": ["model=infovae", "model.kernel=imq"],
    "gmvae samples": ["model=gmvae", "model.samples=2"],
    "dec clustering": ["model=dec", "model.pretrain_batches=5", "model.refresh=2"],
    "vaegan gated": ["model=vaegan", "model.margin=0.01", "model.equilibrium=0.68"],
    "vaegan micro": ["model=vaegan", "model.micro_batches=2"],
    "vae joint": ["model=vae", "model.classifier=joint"],
    "vae extra": ["model=vae", "extra=[hfs,labels]", *choose_line("adagvae")[1:], "model.extra.labels.images=20"],
    "infogan batch norm": ["model=infogan", "network=infogan"],
    "bigan batch norm": ["model=bigan", "network=bigan"],
}


# Each kind of what processes have to share: statistics of codes, permutations, normalisations, a gate, a phase.
SHARING = ["betatcvae", "infovae", "factorvae small", "adagvae", "infovaegan", "dipvae running", "dec clustering"]
SHARING += ["vaegan gated", "vaegan micro", "vae joint", "vae extra", "infogan batch norm"]


class ListLogger(Logger):
    """Keeps everything that is logged."""

    name, version = "list", ""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[dict[str, float]] = []

    def log_metrics(self, metrics, step=None) -> None:
        self.rows.append(dict(metrics))

    def log_hyperparams(self, params, *args, **kwargs) -> None:
        pass


def list_overrides(count: int) -> tuple[str, ...]:
    """Return the overrides for one of several processes."""
    return "trainer=ddp", f"trainer.devices={count}"


def compose_case(case: str, *overrides: str) -> DictConfig:
    """Return the configuration of a case."""
    return compose_train(
        "dataset=digits", *CASES[case], "dataset.batch_size=16", "dataset.val_images=40", "trainer.accelerator=cpu",
        "trainer.precision=64-true", *overrides,
    )  # fmt: skip


def train(case: str, *overrides: str) -> dict:
    """Return the terms of each step and the weights afterwards."""
    config = compose_case(case, *overrides)
    seed_everything(0, verbose=False)
    data, model, logger = instantiate(config.dataset), instantiate(config.model), ListLogger()
    trainer = make_trainer(config.trainer, [logger])
    trainer.precision_plugin.convert_module(model)
    fit(model, data, trainer, max_batches=STEPS, seed=0, log_every=1, val_every=5)
    return {"terms": logger.rows, "weights": model.state_dict()}


def save_results(cases: Sequence[str], count: int, rank: int, port: str, out: Path) -> None:
    """Train all cases as the process `rank` of `count`, and write what `train` returns into files."""
    variables = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "LOCAL_RANK": str(rank)}
    os.environ.update(variables, TORCH_CPP_LOG_LEVEL="ERROR")
    torch.set_num_threads(1)
    for case in cases:
        torch.save(train(case, *list_overrides(count)), out / f"{case} {rank}.pt")
