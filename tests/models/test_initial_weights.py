"""Initial weights: their spread and their structure, on layers large enough to show it."""

import math

import pytest
import torch
from torch import nn

from tests.support.configuration import build_model
from vaezoo.models.initial_weights import draw_initial_weights

LAYERS = {  # layer, inputs and outputs of a unit
    "linear": (lambda: nn.Linear(300, 200), 300, 200),
    "convolution": (lambda: nn.Conv2d(20, 40, 4), 20 * 16, 40 * 16),
    "transposed": (lambda: nn.ConvTranspose2d(40, 20, 4), 40 * 16, 20 * 16),
}
SPREAD = {  # standard deviation by inputs and outputs
    "torch": lambda inputs, outputs: math.sqrt(1 / (3 * inputs)),
    "glorot": lambda inputs, outputs: math.sqrt(2 / (inputs + outputs)),
    "he": lambda inputs, outputs: math.sqrt(2 / inputs),
    "normal": lambda inputs, outputs: 0.02,
}


CASES = [(scheme, name) for scheme in SPREAD for name in LAYERS]
CASES.remove(("torch", "transposed"))  # torch takes its outputs for its inputs


@pytest.mark.parametrize(("scheme", "name"), CASES)
def test_spread(scheme, name):
    build, inputs, outputs = LAYERS[name]
    layer = build()
    nn.init.constant_(layer.weight, 7.0)
    nn.init.constant_(layer.bias, 7.0)
    draw_initial_weights(layer, scheme)
    assert layer.weight.std().item() == pytest.approx(SPREAD[scheme](inputs, outputs), rel=0.03)
    assert abs(layer.weight.mean().item()) < 0.01
    assert (layer.bias.abs().max() == 0) == (scheme != "torch")
    assert layer.bias.abs().max() < 1


def test_orthogonal_rows():
    layer = nn.Linear(30, 20)
    draw_initial_weights(layer, "orthogonal")
    torch.testing.assert_close(layer.weight @ layer.weight.T, torch.eye(20), atol=1e-5, rtol=0)


def test_a_model_draws_those_of_its_encoder_and_its_decoder():
    torch.manual_seed(0)
    model = build_model("model=vae", "dataset=digits", "model.init=he")
    sides = (model.encoder, model.decoder)
    first, last = (next(p for p in side.parameters() if p.ndim == 2) for side in sides)
    assert first.std().item() == pytest.approx(math.sqrt(2 / 64), rel=0.05)
    assert last.std().item() == pytest.approx(math.sqrt(2 / 10), rel=0.05)
