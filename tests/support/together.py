"""Ten steps of every model, on this process or on its share of a batch: run by tests/training/test_processes.py."""

import sys
from pathlib import Path

import torch
from hydra.utils import instantiate
from pytorch_lightning import seed_everything

from tests.support.configuration import MODELS, compose_train
from vaezoo import distributed
from vaezoo.training.clock import Clock
from vaezoo.training.engines import make_engine
from vaezoo.training.interrupts import Interrupts
from vaezoo.training.run import make_trainer, quiet_lightning
from vaezoo.training.terms import TermLogger

STEPS = 10
# What needs more than its defaults: batch normalisation, dropout, a second phase, running moments, a gate that closes.
CASES = {
    **{name: [] for name in MODELS},
    "dipvae running": ["model=dipvae", "model.cov=running"],
    "infovae imq": ["model=infovae", "model.kernel=imq"],
    "gmvae samples": ["model=gmvae", "model.samples=2"],
    "dec clustering": ["model=dec", "model.pretrain_batches=5", "model.refresh=2"],
    "vaegan gated": ["model=vaegan", "model.margin=0.01", "model.equilibrium=0.68"],
    "vaegan micro": ["model=vaegan", "model.micro_batches=2"],
    "vae joint": ["model=vae", "model.classifier=joint"],
    "infogan batch norm": ["model=infogan", "network=infogan"],
    "bigan batch norm": ["model=bigan", "network=bigan"],
}


class Kept(TermLogger):
    """The terms that would be logged after each step."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock, log_every=1)
        self.kept: list[dict[str, float]] = []

    def send(self, trainer, values, batches) -> None:
        self.kept.append(values)


def train(case: str, *overrides: str) -> dict:
    """The terms of each step and the weights afterwards."""
    line = CASES[case] or [f"model={case}"]
    config = compose_train(
        *line, "dataset=digits", "dataset.batch_size=16", "dataset.val_images=40", "logger=csv", "figure=none",
        "trainer.accelerator=cpu", "trainer.precision=64-true", "callbacks.progress=false", "val_every=5", *overrides,
    )  # fmt: skip
    seed_everything(0, verbose=False)
    data, model = instantiate(config.dataset), instantiate(config.model)
    clock = Clock(STEPS, 0, Interrupts())
    kept = Kept(clock)
    engine = make_engine(config.trainer.engine, clock, kept.train, every=[1], chunk=config.trainer.chunk)
    trainer = make_trainer(config, [engine, kept, clock], [])
    trainer.fit(model, datamodule=data)
    return {"terms": kept.kept, "weights": model.state_dict()}


def main(out: Path, count: str) -> None:
    quiet_lightning()
    torch.set_num_threads(1)
    for case in CASES:
        result = train(case, "trainer=ddp", f"trainer.devices={count}")
        torch.save(result, out / f"{case} {distributed.process_rank()}.pt")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
