"""Training steps a second: the engines of vaezoo, a loop by hand, its compiled form, and public packages.

    python benchmarks/steps.py [models=betavae] [batch_sizes=16,64,256] [engines=eager,compiled,graphed] [rounds=5]
                               [seconds=2] [steps=0] [packages=pythae,disent] [compile=1] [workers=0] [threads=0]
                               [clock=wall|cpu] [results=FILE] [overrides of the training configuration]

CONV-H on dSprites. All ways take turns in one run, each in its own process where it is a package; a turn takes about
`seconds`, or so many `steps`, the same number for all. `workers` are those of the packages' loaders.
`make bench-environments` installs the packages. What cannot be had on this machine is left out with a line of text.
"""

from functools import partial
from pathlib import Path
from typing import Any

import interleaved
import numpy as np
import plain
import tables
import torch
from omegaconf import OmegaConf
from packages import MODELS, Missing, Package
from training import Job, bare, by_hand, configuration, engines, minimising, weights, workplace

DEFAULTS = {
    "models": ("betavae",),
    "batch_sizes": ("16", "64", "256"),
    "engines": ("eager", "compiled", "graphed"),
    "packages": ("pythae", "disent"),
    "seconds": 2.0,
    "steps": 0,
    "compile": 1,
    "workers": 0,
    "clock": "wall",
}
MOST_IMAGES = 65_536  # of a turn: pythae keeps them as floats, 1 GB
AGREE = 1e-4  # relative


def main() -> None:
    asked, overrides = interleaved.options(DEFAULTS)
    device = interleaved.set_up(asked.threads)
    packages: dict[str, Package] = {}
    for name in asked.packages:
        try:
            packages[name] = Package(name, torch.get_num_threads())
        except Missing as missing:
            print(missing)
    results = []
    with workplace() as (folder, interrupts):
        data = None
        for model in asked.models:
            for batch_size in map(int, asked.batch_sizes):
                line = [f"model={model}", "dataset=dsprites", f"dataset.batch_size={batch_size}", *overrides]
                case = Case(asked, line, device, folder, interrupts, data)
                data = case.data
                ways, facts = case.ways(packages)
                seconds = interleaved.take_turns(ways, asked.rounds)
                result = interleaved.keep(
                    asked.results,
                    "steps",
                    device,
                    {"model": model, "batch_size": batch_size, "clock": asked.clock},
                    seconds,
                    steps=case.steps,
                    **facts,
                )
                results.append(result)
                print("\n".join(tables.steps([result])), flush=True)
    for package in packages.values():
        package.close()


class Case:
    """One model at one batch size, in all the ways that can train it here."""

    def __init__(
        self, asked: Any, line: list[str], device: torch.device, folder: Path, interrupts: Any, data: Any
    ) -> None:
        self.asked, self.line, self.device, self.folder, self.interrupts = asked, line, device, folder, interrupts
        self.job = Job(configuration(line, folder), interrupts, data)
        self.data = self.job.data
        self.config = self.job.config
        self.batch_size = self.config.dataset.batch_size

    def ways(self, packages: dict[str, Package]) -> tuple[dict[str, Any], dict[str, Any]]:
        """Each says the seconds of a step; and what there is to know about them."""
        ready = self.job.batches(8, self.device)
        loop = bare(self.bare_step(compiled=False), ready, self.asked.clock)
        most = MOST_IMAGES // self.batch_size
        self.steps = self.asked.steps or max(4, min(most, round(self.asked.seconds / loop(4))))
        ways: dict[str, Any] = {"bare": partial(loop, self.steps)}
        for name, job in engines(self.asked.engines, self.line, self.folder, self.interrupts, self.data):
            job.train(min(self.steps, 8), self.asked.clock)
            ways[name] = partial(job.train, self.steps, self.asked.clock)
        if self.asked.compile and self.penalty() is not None:
            compiled = bare(self.bare_step(compiled=True), ready, self.asked.clock)
            compiled(2)
            ways["bare, compiled"] = partial(compiled, self.steps)
        versions, agreement = {}, {}
        for name, package in packages.items():
            if self.config.model["_target_"].rpartition(".")[2].lower() not in MODELS[name]:
                continue
            try:
                facts = package.prepare(self.for_package())
                self.compare(name, facts)
                for way in facts["ways"]:
                    package.train(way)
                    ways[way] = lambda package=package, way=way: package.train(way) / self.steps
                versions |= {name: facts["version"], f"torch of {name}": facts["torch"]}
                agreement[name] = {key: facts[key] for key in ("parameters", "rec", "kl") if key in facts}
            except Missing as missing:
                print(missing)
        return ways, {"versions": versions, "same": agreement}

    def penalty(self) -> Any:
        """What the model adds to the reconstruction, by hand; None where nobody wrote it."""
        model = self.config.model
        images = len(self.data.rows.train)
        return {
            "BetaVAE": lambda: plain.betavae(beta=model.beta),
            "DIPVAE": lambda: plain.dipvae(lambda_od=model.lambda_od),
            "BetaTCVAE": lambda: plain.betatcvae(beta=model.beta, images=images),
        }.get(model["_target_"].rpartition(".")[2], lambda: None)()

    def plain_model(self) -> plain.VAE:
        model = plain.VAE(self.config.dataset.shape, self.config.latent.dim, self.penalty())
        plain.copy_weights(weights(self.job.model.encoder, self.job.model.decoder), model.encoder, model.decoder)
        return model.to(self.device)

    def bare_step(self, *, compiled: bool) -> Any:
        if self.penalty() is None:
            return by_hand(self.job.with_plain_networks(self.device))
        model = self.plain_model()
        loss = torch.compile(model, dynamic=False) if compiled else model
        return minimising(lambda x: loss(x)[0], self.job.config_optimizer(model.parameters()))

    def for_package(self) -> dict[str, Any]:
        """What a package is told; its first weights have codes without noise, so that its loss can be compared."""
        optimizer, model = self.config.optimizer, self.job.model
        rows = torch.from_numpy(self.data.rows.train[: self.steps * self.batch_size])
        images = torch.cat([self.data.batch(part).images.to(torch.uint8).cpu() for part in rows.split(4096)])
        np.save(self.folder / "images.npy", images.numpy())
        np.savez(self.folder / "weights.npz", *without_noise(model, self.config.latent.dim))
        return {
            "model": self.config.model["_target_"].rpartition(".")[2].lower(),
            "beta": OmegaConf.select(self.config, "model.beta"),
            "lambda_od": OmegaConf.select(self.config, "model.lambda_od"),
            "latents": self.config.latent.dim,
            "shape": list(self.config.dataset.shape),
            "batch_size": self.batch_size,
            "steps": self.steps,
            **{key: OmegaConf.to_container(optimizer)[key] for key in ("lr", "betas", "eps")},
            "images": str(self.folder / "images.npy"),
            "weights": str(self.folder / "weights.npz"),
            "device": self.device.type,
            "threads": torch.get_num_threads(),
            "workers": self.asked.workers,
            "clock": self.asked.clock,
        }

    def compare(self, name: str, facts: dict[str, Any]) -> None:
        """Refuse to compare what is not the same: the size of the networks, the loss of one batch."""
        model = self.plain_model()
        plain.copy_weights(np.load(self.folder / "weights.npz").values(), model.encoder, model.decoder)
        with torch.no_grad():
            rows = torch.from_numpy(self.data.rows.train[: self.batch_size])
            _, rec, kl = model(self.data.batch(rows).images.to(self.device))
        own = {"parameters": plain.size(self.job.model.encoder, self.job.model.decoder)}
        own |= {"rec": rec.item(), "kl": kl.item()}
        for key, value in own.items():
            if key in facts and abs(facts[key] - value) > AGREE * abs(value):
                raise Missing(f"{name} trains something else: {key} is {facts[key]}, that of vaezoo {value}")


def without_noise(model: Any, latents: int) -> list[np.ndarray]:
    """The weights of a model, but its log variances are -40 for every image."""
    arrays = weights(model.encoder, model.decoder)
    last = len(weights(model.encoder)) - 2  # weight and bias of the encoder's last layer
    arrays[last], arrays[last + 1] = arrays[last].copy(), arrays[last + 1].copy()
    arrays[last][latents:] = 0
    arrays[last + 1][latents:] = -40
    return arrays


if __name__ == "__main__":
    main()
