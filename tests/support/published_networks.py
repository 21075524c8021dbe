"""Networks as the configuration has them, and their sizes."""

from hydra.utils import instantiate
from omegaconf import DictConfig
from torch import nn

from tests.support.configuration import compose_train


def choose(network: str, latents: int = 10) -> DictConfig:
    return compose_train(f"network={network}", f"latent.dim={latents}").network


def build(
    network: str, shape: tuple[int, int, int], latents: int, *, params: int | None = None, **options: int
) -> tuple[nn.Module, nn.Module]:
    """Encoder and decoder; a Gaussian's 2 J `params`, unless other latents need others."""
    config = choose(network, latents)
    return (
        instantiate(config.encoder)(shape, params or 2 * latents, **options),
        instantiate(config.decoder)(latents, shape),
    )


def parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


MNIST, GREY, RGB = (1, 28, 28), (1, 64, 64), (3, 64, 64)
