"""disent as its users run it, told by steps.py through a pipe (worker.py)."""

import logging
import warnings
from importlib.metadata import version
from typing import Any

import lightning
import numpy as np
import plain
import torch
from interleaved import now
from torch.utils.data import DataLoader
from worker import Turn, serve

warnings.simplefilter("ignore")  # numba is not there, and few workers

from disent.dataset import DisentDataset  # noqa: E402
from disent.dataset.data import ArrayDataset  # noqa: E402
from disent.dataset.transform import ToImgTensorF32  # noqa: E402
from disent.frameworks.vae import BetaTcVae, BetaVae, DipVae  # noqa: E402
from disent.model import AutoEncoder, DisentDecoder, DisentEncoder  # noqa: E402

logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)


class Encoder(DisentEncoder):
    def __init__(self, network: torch.nn.Module, **sizes: Any) -> None:
        super().__init__(**sizes, z_multiplier=2)
        self.network = network

    def encode(self, x: torch.Tensor) -> torch.Tensor:
        return self.network(x)


class Decoder(DisentDecoder):
    def __init__(self, network: torch.nn.Module, **sizes: Any) -> None:
        super().__init__(**sizes)
        self.network = network

    def decode(self, z: torch.Tensor) -> torch.Tensor:
        return self.network(z)


def framework_of(case: dict[str, Any], model: AutoEncoder) -> BetaVae:
    adam = {"lr": case["lr"], "betas": tuple(case["betas"]), "eps": case["eps"]}
    common = {"optimizer": "adam", "optimizer_kwargs": adam, "recon_loss": "bce", "loss_reduction": "mean_sum"}
    if case["model"] == "dipvae":
        weights = {"lambda_od": case["lambda_od"], "lambda_d": 10 * case["lambda_od"]}
        return DipVae(model, DipVae.cfg(**common, beta=1.0, dip_mode="i", **weights))
    kind = BetaVae if case["model"] == "betavae" else BetaTcVae
    return kind(model, kind.cfg(**common, beta=case["beta"]))


class Stopwatch(lightning.Callback):
    def __init__(self, device: str, clock: str) -> None:
        self.where = device, clock

    def on_train_start(self, trainer: Any, module: Any) -> None:
        self.began = now(*self.where)

    def on_train_end(self, trainer: Any, module: Any) -> None:
        self.seconds = now(*self.where) - self.began


def prepare(case: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Turn]]:
    torch.set_num_threads(case["threads"])
    images = np.load(case["images"])
    encoder, decoder = plain.encoder(case["shape"], case["latents"]), plain.decoder(case["shape"], case["latents"])
    plain.copy_weights(np.load(case["weights"]).values(), encoder, decoder)
    sizes = {"x_shape": tuple(case["shape"]), "z_size": case["latents"]}
    framework = framework_of(case, AutoEncoder(Encoder(encoder, **sizes), Decoder(decoder, **sizes)))
    # Its images have the channels last and are scaled by 255.
    data = DisentDataset(ArrayDataset(255 * images.transpose(0, 2, 3, 1)), transform=ToImgTensorF32())
    loader = DataLoader(data, batch_size=case["batch_size"], shuffle=True, num_workers=case["workers"])

    with torch.no_grad():
        x = torch.stack([data[i]["x_targ"][0] for i in range(case["batch_size"])])
        posterior, prior = framework.encode_dists(x)
        rec = framework.recon_handler.compute_loss_from_partial(framework.decode_partial(posterior.rsample()), x)
        kl = framework.latents_handler.compute_kl_loss(posterior, prior)

    def train() -> float:
        watch = Stopwatch(case["device"], case["clock"])
        trainer = lightning.Trainer(
            max_steps=case["steps"],
            max_epochs=-1,
            accelerator=case["device"],
            devices=1,
            logger=False,
            enable_checkpointing=False,
            enable_model_summary=False,
            callbacks=[watch],
        )
        trainer.fit(framework, loader)
        return watch.seconds

    facts = {"version": version("disent"), "torch": torch.__version__, "parameters": plain.size(encoder, decoder)}
    return {**facts, "rec": rec.item(), "kl": kl.item()}, {"disent": train}


if __name__ == "__main__":
    serve(prepare)
