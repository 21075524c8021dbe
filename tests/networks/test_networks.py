"""Networks: parameter counts of the published ones, shapes, and the sizes that they refuse."""

import pytest
import torch
from hydra.utils import instantiate
from torch import nn

from tests.support.networks import GREY, MNIST, NETWORKS, RGB, SIDES, build, choose, parameters, thin, without_memory

ONE_SIZE = [network for network, side in SIDES.items() if side]


def output_sides(network: nn.Module, kinds: tuple[type[nn.Module], ...], inputs: torch.Tensor) -> list[int]:
    """Sides of the square feature maps that the layers of these kinds give."""
    sides: list[int] = []
    for layer in network.modules():
        if isinstance(layer, kinds):
            layer.register_forward_hook(lambda _, __, output: sides.append(output.shape[-1]))
    network(inputs)
    return sides


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
        ("convh128", GREY, 10, 249172, 248833),
        ("conv000", MNIST, 10, 388352 + 5140, 42849),
        ("conv001", RGB, 32, 3284160, 3036583),
    ],
)
def test_parameter_counts(network, shape, latents, encoder, decoder):
    with without_memory():
        assert tuple(map(parameters, build(network, shape, latents))) == (encoder, decoder)


def test_parameter_counts_by_part():
    """Trunks and heads apart, where the heads depend on the latent spaces."""
    with without_memory():
        encoder, decoder = build("mlp002", MNIST, 10 + 9, params=10 + 10 + 9)  # ten Gaussian latents, nine classes
        assert [parameters(encoder.layers[:-1]), parameters(encoder.layers[-1])] == [643000, 14529]
        assert parameters(decoder) == 653284
        encoder, decoder = build(
            "convj32", (1, 32, 32), 10 + 10, params=10 + 10 + 10
        )  # ten Gaussian, one of ten classes
        trunk = parameters(encoder.convolutions) + parameters(encoder.dense[:-1])
        assert [trunk, parameters(encoder.dense[-1]), parameters(decoder)] == [361376, 7710, 318273]
        encoder, _ = build("conv000", MNIST, 10)
        assert [parameters(encoder.convolutions), parameters(encoder.dense)] == [388352, 5140]
        encoder, decoder = build("convgm", MNIST, 200)
        assert [parameters(encoder.convolutions), parameters(decoder)] == [2645612, 2745613]


@pytest.mark.parametrize("network", NETWORKS)
def test_shapes_and_gradients(network):
    torch.manual_seed(0)
    config, side = thin(choose(network, latents=4)), SIDES[network]
    for channels, height, width in (
        [(1, side, side), (3, side, side)] if side else [(1, 32, 32), (3, 64, 64), (2, 48, 32)]
    ):
        shape = (channels, height, width)
        # A batch normalisation that follows the batch takes away the biases before it.
        encoder, decoder = instantiate(config.encoder)(shape, 8).eval(), instantiate(config.decoder)(4, shape).eval()
        params = encoder(torch.rand(5, *shape))
        images = decoder(params[:, :4])
        assert params.shape == (5, 8)
        assert images.shape == (5, *shape)
        (images.square().mean() + params.square().mean()).backward()
        for module in (encoder, decoder):
            for name, parameter in module.named_parameters():
                assert parameter.grad is not None, name
                assert parameter.grad.abs().sum() > 0, name


@pytest.mark.parametrize("network", NETWORKS)
def test_a_condition_reaches_the_encoders_output(network):
    torch.manual_seed(0)
    config, side = thin(choose(network, latents=4)), SIDES[network] or 32
    plain = instantiate(config.encoder)((1, side, side), 8)
    encoder = instantiate(config.encoder)((1, side, side), 8, condition=3).eval()
    assert parameters(encoder) > parameters(plain)
    x, u = torch.rand(2, 1, side, side), torch.eye(3)[:2]
    assert encoder(x, u).shape == (2, 8)
    assert (encoder(x, u) != encoder(x, u.flip(0))).all()


@pytest.mark.parametrize("network", ONE_SIZE)
@pytest.mark.parametrize("shape", [(1, 16, 16), (1, 56, 56), (3, 28, 64), (3, 64, 28)])
def test_networks_of_one_size_refuse_others(network, shape):
    config = choose(network)
    message = f"takes {config.image_side}x{config.image_side} images alone, got {shape[1]}x{shape[2]}"
    with pytest.raises(ValueError, match=message):
        instantiate(config.encoder)(shape, 20)
    with pytest.raises(ValueError, match=message):
        instantiate(config.decoder)(10, shape)


def test_networks_of_one_size():
    assert [SIDES[network] for network in ("conv000", "conv001", "convgm", "mlpk", "convh")] == [28, 64, 28, None, None]


def test_feature_maps_have_the_published_sides():
    convolutions = (nn.Conv2d, nn.ConvTranspose2d, nn.MaxPool2d)
    latents = torch.rand(2, 10)
    encoder, decoder = build("conv000", MNIST, 10)
    assert output_sides(encoder, convolutions, torch.rand(2, *MNIST)) == [28, 14, 10, 5, 5, 2, 1]
    assert output_sides(decoder, convolutions, latents) == [14, 28]
    encoder, decoder = build("convgm", MNIST, 10)
    assert output_sides(encoder, convolutions, torch.rand(2, *MNIST)) == [23, 18, 9, 1]
    assert output_sides(decoder, convolutions, latents) == [9, 18, 23, 28]
    encoder, decoder = build("conv001", RGB, 10)
    assert output_sides(encoder, convolutions, torch.rand(2, *RGB)) == [32, 16, 8, 4, 2, 1]
    assert output_sides(decoder, convolutions, latents) == [1, 4, 8, 16, 32, 64, 64]


def test_conv001_follows_the_defaults_of_keras_and_the_authors_biases():
    encoder, decoder = build("conv001", RGB, 32)
    norms = [[m for m in network.modules() if isinstance(m, nn.BatchNorm2d)] for network in (encoder, decoder)]
    assert [[norm.num_features for norm in part] for part in norms] == [
        [64, 128, 128, 256, 512],
        [512, 256, 128, 128, 64, 3],
    ]
    assert {(norm.eps, norm.momentum) for part in norms for norm in part} == {(1e-3, 0.01)}
    slopes = [m.negative_slope for n in (encoder, decoder) for m in n.modules() if isinstance(m, nn.LeakyReLU)]
    assert slopes == [0.3] * 11
    convolutions = [
        [m for m in network.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)]
        for network in (encoder, decoder)
    ]
    assert [[layer.out_channels for layer in part if layer.bias is not None] for part in convolutions] == [[], [64]]
    assert encoder.convolutions[-1].out_channels == 32  # as many as there are latents


def test_batch_normalisation_learns_the_statistics_it_evaluates_with():
    """Keras keeps 0.99 of the old mean, which begins at 0: of a repeated batch 1 - 0.99^n after n times."""
    encoder, _ = build("conv001", RGB, 4)
    x = torch.rand(4, *RGB)
    with torch.no_grad():
        mean = encoder.convolutions[0][0](x).mean((0, 2, 3))
        for _ in range(10):
            encoder(x)
    torch.testing.assert_close(encoder.convolutions[0][1].running_mean, mean * (1 - 0.99**10))


def test_convolutions_refuse_an_image_that_does_not_halve():
    with pytest.raises(ValueError, match="divisible by 16, got 28x28"):
        build("convh", MNIST, 10)
