"""Convolutions written for a CPU: the ordinary layers in everything but their speed."""

import copy

import pytest
import torch
from torch import nn
from torch.autograd import gradcheck, gradgradcheck
from torch.func import functional_call, grad, stack_module_state, vmap

from vaezoo.networks.fast_convolutions import Conv2d, ConvTranspose2d

ORDINARY = {Conv2d: nn.Conv2d, ConvTranspose2d: nn.ConvTranspose2d}
# kernel, stride, padding, and what a transposed one adds to its output
GEOMETRIES = [(4, 2, 1, 0), (5, 2, 2, 1), (3, 2, 1, 1), (7, 2, 0, 0), (1, 1, 0, 0), (2, 3, 0, 1)]


def twins(kind, inputs: int, outputs: int, geometry, bias: bool = True, dtype=torch.float64):
    """A layer and the ordinary one, drawn from the same seed."""
    *geometry, more = geometry
    rest = {"output_padding": more} if kind is ConvTranspose2d else {}
    layers = []
    for each in (kind, ORDINARY[kind]):
        torch.manual_seed(0)
        layers.append(each(inputs, outputs, *geometry, bias=bias, dtype=dtype, **rest))
    return layers


def results(layer, x):
    """The output and the gradients of a function of it that is not linear."""
    x = x.clone().requires_grad_()
    y = layer(x)
    return [y.detach(), *torch.autograd.grad(y.square().sum(), [x, *layer.parameters()])]


@pytest.mark.parametrize("kind", ORDINARY)
def test_parameters_are_the_same_draws_under_the_same_names(kind):
    ours, ordinary = twins(kind, 3, 5, (4, 2, 1, 0))
    assert ours.state_dict().keys() == ordinary.state_dict().keys()
    assert all(torch.equal(a, b) for a, b in zip(ours.parameters(), ordinary.parameters(), strict=True))


@pytest.mark.parametrize("geometry", GEOMETRIES)
@pytest.mark.parametrize("kind", ORDINARY)
def test_outputs_and_gradients_are_those_of_the_ordinary_layer(kind, geometry):
    for inputs, outputs, batch, bias in [(1, 6, 3, True), (6, 1, 1, True), (5, 3, 2, False), (7, 9, 3, True)]:
        ours, ordinary = twins(kind, inputs, outputs, geometry, bias)
        images = torch.randn(batch, inputs, 8, 12, dtype=torch.float64)
        for x in (images, images.to(memory_format=torch.channels_last), images.transpose(2, 3)):
            for a, b in zip(results(ours, x), results(ordinary, x), strict=True):
                torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)


def test_single_precision_differs_by_rounding():
    for inputs, outputs in [(32, 1), (32, 32), (1, 32)]:
        for kind in ORDINARY:
            ours, ordinary = twins(kind, inputs, outputs, (4, 2, 1, 0), dtype=torch.float32)
            x = torch.randn(5, inputs, 16, 16)
            for a, b in zip(results(ours, x), results(ordinary, x), strict=True):
                torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6 * b.abs().max().item())
            assert all(torch.equal(a, b) for a, b in zip(results(ours, x), results(ours, x), strict=True))


@pytest.mark.parametrize("outputs", [1, 6])
def test_derivatives_of_all_orders(outputs):
    layer, _ = twins(ConvTranspose2d, 2, outputs, (4, 2, 1, 0))
    x = torch.randn(2, 2, 2, 3, dtype=torch.float64, requires_grad=True)

    def through(x, weight, bias):
        return functional_call(layer, {"weight": weight, "bias": bias}, (x,))

    assert gradcheck(through, (x, layer.weight, layer.bias))
    assert gradgradcheck(through, (x, layer.weight, layer.bias))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("outputs", [1, 6])
def test_mixed_precision_is_that_of_the_ordinary_layer(outputs, dtype):
    for kind in ORDINARY:
        ours, ordinary = twins(kind, 8, outputs, (4, 2, 1, 0), dtype=torch.float32)
        x = torch.randn(2, 8, 6, 6)
        with torch.autocast("cpu", dtype):
            mixed, expected = results(ours, x), results(ordinary, x)
        for a, b in zip(mixed, expected, strict=True):
            assert a.dtype == b.dtype
            assert (a - b).norm() < 0.02 * b.norm()


def test_stacked_layers_are_the_layers():
    for kind in ORDINARY:
        for inputs, outputs in [(1, 3), (3, 1), (2, 6)]:
            layers = [kind(inputs, outputs, 4, 2, 1, dtype=torch.float64) for _ in range(3)]
            x = torch.randn(2, inputs, 6, 6, dtype=torch.float64)
            layer = copy.deepcopy(layers[0])

            def loss(parameters, x, layer=layer):
                return functional_call(layer, parameters, (x,)).square().sum()

            stacked = vmap(grad(loss), (0, None))(stack_module_state(layers)[0], x)
            for i, one in enumerate(layers):
                alone = grad(loss)(dict(one.named_parameters()), x)
                for name, gradient in alone.items():
                    torch.testing.assert_close(stacked[name][i], gradient)


def test_compiled_in_one_graph():
    layer = ConvTranspose2d(2, 1, 4, 2, 1)
    x = torch.randn(2, 2, 6, 6)
    compiled = torch.compile(layer, fullgraph=True, backend="aot_eager")
    for a, b in zip(results(compiled, x), results(layer, x), strict=True):
        torch.testing.assert_close(a, b)


def test_inference():
    layer, ordinary = twins(ConvTranspose2d, 4, 1, (4, 2, 1, 0))
    x = torch.randn(2, 4, 6, 6, dtype=torch.float64)
    for quiet in (torch.no_grad, torch.inference_mode):
        with quiet():
            torch.testing.assert_close(layer(x), ordinary(x))
