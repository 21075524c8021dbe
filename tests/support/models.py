"""A few training steps without the command line, and the networks that a loss reaches."""

import torch
from pytorch_lightning import Callback, Trainer
from torch import Tensor, nn


def fix_noise(monkeypatch, noise) -> None:
    """Where a model or a toy of the tests would draw N(0, 1) in the shape of a tensor, `noise` of it is used."""
    for place in ("torch.randn_like", "vaezoo.latents.gaussian.normal_like", "vaezoo.likelihoods.normal_like"):
        monkeypatch.setattr(place, noise)


class Batches(Callback):
    """Keeps the terms of every training step, whose noise follows from the seed and the step."""

    def __init__(self, seed):
        self.terms = []
        self.seed = seed

    def on_train_batch_start(self, trainer, module, batch, batch_idx):
        torch.manual_seed(1000 * self.seed + batch_idx)

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
        self.terms.append(outputs)


class RandomImages:
    """A loader of `steps` batches: the first `images` of 16 grey 8x8 images each."""

    def __init__(self, steps, seed, images):
        self.steps, self.seed, self.images = steps, seed, images

    def __len__(self):
        return self.steps

    def __iter__(self):
        random = torch.Generator().manual_seed(self.seed)
        for _ in range(self.steps):
            x, labels = torch.rand(16, 1, 8, 8, generator=random), torch.randint(10, (16,), generator=random)
            yield x[: self.images], labels[: self.images]


def fit(model, steps: int = 5, *, seed: int = 0, images: int = 16) -> list[dict[str, torch.Tensor]]:
    """A few steps by Lightning on random images; the terms of each."""
    kept = Batches(seed)
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    trainer = Trainer(max_epochs=1, accelerator="cpu", enable_model_summary=False, callbacks=[kept], **quiet)
    trainer.fit(model, RandomImages(steps, seed, images))
    return kept.terms


def zero(linear: nn.Linear) -> None:
    nn.init.zeros_(linear.weight)
    nn.init.zeros_(linear.bias)


def reached(model, loss: Tensor) -> set[str]:
    """The networks with a gradient other than zero, nobody frozen."""
    model.zero_grad(set_to_none=True)
    loss.backward()
    return {name.split(".")[0] for name, p in model.named_parameters() if p.grad is not None and p.grad.any()}


def count_images(model) -> list[int]:
    """Batch sizes that reach the encoder from now on."""
    seen: list[int] = []
    model.encoder.register_forward_pre_hook(lambda _, inputs: seen.append(len(inputs[0])))
    return seen
