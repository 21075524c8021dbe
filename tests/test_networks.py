"""Networks: parameter counts of the published ones, shapes, and the sizes that they refuse."""

import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from torch import nn

from vaezoo.config import DIRECTORY


def build(network: str, shape: tuple[int, int, int], latents: int) -> tuple[nn.Module, nn.Module]:
    with initialize_config_dir(DIRECTORY, version_base="1.3"):
        config = compose("train", [f"network={network}"]).network
    return (
        instantiate(config.encoder)(shape, 2 * latents),
        instantiate(config.decoder)(latents, shape),
    )


def parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


MNIST, GREY, RGB = (1, 28, 28), (1, 64, 64), (3, 64, 64)


@pytest.mark.parametrize(
    ("network", "shape", "latents", "encoder", "decoder"),
    [
        ("mlpk", MNIST, 3, 395506, 394784),
        ("mlpk", MNIST, 5, 397510, 395784),
        ("mlpk", MNIST, 10, 402520, 398284),
        ("mlpk", MNIST, 20, 412540, 403284),
        ("mlpk", MNIST, 200, 592900, 493284),
        ("mlph", GREY, 10, 6381620, 7814896),
        ("convh", GREY, 10, 382932, 381313),
        ("convh", GREY, 32, 394240, 386945),
        ("convh", RGB, 32, 395264, 387971),
        ("convb", GREY, 10, 252052, 249953),
        ("convb", RGB, 10, 253076, 250979),
    ],
)
def test_parameter_counts(network, shape, latents, encoder, decoder):
    assert tuple(map(parameters, build(network, shape, latents))) == (encoder, decoder)


@pytest.mark.parametrize("network", ["mlpk", "mlph", "convh", "convb"])
@pytest.mark.parametrize("shape", [(1, 32, 32), (3, 64, 64), (2, 48, 32)])
def test_shapes_and_gradients(network, shape):
    encoder, decoder = build(network, shape, 4)
    params = encoder(torch.rand(5, *shape))
    images = decoder(params[:, :4])
    assert params.shape == (5, 8)
    assert images.shape == (5, *shape)
    (images.square().mean() + params.square().mean()).backward()
    for module in (encoder, decoder):
        for name, parameter in module.named_parameters():
            assert parameter.grad is not None, name
            assert parameter.grad.abs().sum() > 0, name


def test_convolutions_refuse_an_image_that_does_not_halve():
    with pytest.raises(ValueError, match="divisible by 16, got 28x28"):
        build("convh", MNIST, 10)
