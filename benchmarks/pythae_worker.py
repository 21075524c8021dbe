"""pythae as its users run it, told by steps.py through a pipe (worker.py)."""

import itertools
import tempfile
from importlib.metadata import version
from typing import Any

import numpy as np
import plain
import torch
from interleaved import now
from pythae.data.datasets import BaseDataset
from pythae.models import VAE, BetaTCVAE, BetaTCVAEConfig, BetaVAE, BetaVAEConfig
from pythae.models.base.base_utils import ModelOutput
from pythae.models.nn import BaseDecoder, BaseEncoder
from pythae.trainers import BaseTrainer, BaseTrainerConfig
from worker import Turn, serve


class Encoder(BaseEncoder):
    def __init__(self, network: torch.nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: torch.Tensor) -> ModelOutput:
        mean, logvar = self.network(x).chunk(2, dim=1)
        return ModelOutput(embedding=mean, log_covariance=logvar)


class Decoder(BaseDecoder):
    """Its losses take probabilities, not logits."""

    def __init__(self, network: torch.nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, z: torch.Tensor) -> ModelOutput:
        return ModelOutput(reconstruction=torch.sigmoid(self.network(z)))


def model_of(case: dict[str, Any], *networks: torch.nn.Module) -> VAE:
    common = {"input_dim": tuple(case["shape"]), "latent_dim": case["latents"], "reconstruction_loss": "bce"}
    if case["model"] == "betavae":
        return BetaVAE(BetaVAEConfig(**common, beta=case["beta"]), *networks)
    config = BetaTCVAEConfig(**common, alpha=1.0, beta=case["beta"], gamma=1.0, use_mss=False)
    return BetaTCVAE(config, *networks)


def prepare(case: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Turn]]:
    torch.set_num_threads(case["threads"])
    images = torch.from_numpy(np.load(case["images"])).float()
    encoder, decoder = plain.encoder(case["shape"], case["latents"]), plain.decoder(case["shape"], case["latents"])
    plain.copy_weights(np.load(case["weights"]).values(), encoder, decoder)
    model = model_of(case, Encoder(encoder), Decoder(decoder))
    with torch.no_grad():
        said = model({"data": images[: case["batch_size"]]})
    config = BaseTrainerConfig(
        output_dir=tempfile.mkdtemp(),
        num_epochs=1,
        per_device_train_batch_size=case["batch_size"],
        train_dataloader_num_workers=case["workers"],
        optimizer_cls="Adam",
        learning_rate=case["lr"],
        optimizer_params={"betas": case["betas"], "eps": case["eps"]},
        no_cuda=case["device"] == "cpu",
    )
    trainer = BaseTrainer(model, BaseDataset(images, torch.zeros(len(images))), training_config=config)
    trainer.prepare_training()
    epochs = itertools.count(1)

    def train() -> float:
        """An epoch of its loop, progress bar and all; without what it does between epochs."""
        began = now(case["device"], case["clock"])
        trainer.train_step(next(epochs))
        seconds = now(case["device"], case["clock"]) - began
        trainer.callback_handler.on_epoch_end(config)
        return seconds

    def bare() -> float:
        """Its model and optimiser alone, on batches that are ready."""
        ready = images[: 8 * case["batch_size"]].to(trainer.device).split(case["batch_size"])
        began = now(case["device"], case["clock"])
        for step in range(case["steps"]):
            loss = model({"data": ready[step % len(ready)]}, dataset_size=len(images)).loss
            trainer.optimizer.zero_grad()
            loss.backward()
            trainer.optimizer.step()
        return now(case["device"], case["clock"]) - began

    facts = {"version": version("pythae"), "torch": torch.__version__, "parameters": plain.size(encoder, decoder)}
    facts |= {"rec": said.recon_loss.item()} | ({"kl": said.reg_loss.item()} if case["model"] == "betavae" else {})
    return facts, {"pythae": train, "pythae, its model alone": bare}


if __name__ == "__main__":
    serve(prepare)
