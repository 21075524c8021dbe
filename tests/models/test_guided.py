"""Guided-VAE: the light decoder's geometry, the orthogonality term, and its neutral settings."""

import math

import pytest
import torch

from tests.support.configuration import build_model
from vaezoo.networks.light import LightDecoder, rotate_and_scale

SMALL = ("dataset=digits", "metric=none", "figure=none", "logger=csv")


def test_no_turn_and_no_scale_is_the_identity():
    images = torch.rand(3, 2, 8, 8)
    same = rotate_and_scale(images, torch.zeros(3), torch.ones(3, 2))
    torch.testing.assert_close(same, images, rtol=0, atol=1e-6)


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_quarter_turns_are_exact(turns):
    images = torch.rand(2, 1, 8, 8, dtype=torch.float64)
    angle = torch.full((2,), turns * math.pi / 2, dtype=torch.float64)
    turned = rotate_and_scale(images, angle, torch.ones(2, 2, dtype=torch.float64))
    torch.testing.assert_close(turned, torch.rot90(images, turns, dims=(2, 3)), rtol=0, atol=1e-9)


def test_a_scale_above_one_shows_the_content_smaller_with_zeros_around():
    images = torch.ones(1, 1, 8, 8)
    half = rotate_and_scale(images, torch.zeros(1), torch.full((1, 2), 2.0))
    assert half[0, 0, 2:6, 2:6].min() == 1
    assert half[0, 0, 0].abs().max() == half[0, 0, :, 0].abs().max() == 0
    wide = rotate_and_scale(images, torch.zeros(1), torch.tensor([[1.0, 2.0]]))
    assert wide[0, 0, 4].min() == 1, "x keeps its scale"
    assert wide[0, 0, 0].max() == 0, "y does not"


def test_each_image_has_its_own_angle():
    images = torch.rand(1, 1, 6, 6, dtype=torch.float64).expand(2, -1, -1, -1)
    angle = torch.tensor([0.0, math.pi / 2], dtype=torch.float64)
    both = rotate_and_scale(images, angle, torch.ones(2, 2, dtype=torch.float64))
    torch.testing.assert_close(both[0], images[0])
    torch.testing.assert_close(both[1], torch.rot90(images[1], 1, dims=(1, 2)))


def test_the_light_decoder_begins_at_the_identity_and_uses_its_latents():
    torch.manual_seed(0)
    light = LightDecoder(5, (1, 4, 4))
    z = torch.randn(3, 5)
    content = torch.sigmoid(light.content(z[:, 2:])).view(3, 1, 4, 4)
    torch.testing.assert_close(light(z), content, rtol=0, atol=1e-6)
    light.angle.weight.data.fill_(1.0)
    z[:, 1] = math.pi / 2
    torch.testing.assert_close(light(z), torch.rot90(content, 1, dims=(2, 3)), rtol=0, atol=1e-5)
    assert light(z).shape == (3, 1, 4, 4)
    with pytest.raises(ValueError, match=r"latent.dim of at least 3"):
        LightDecoder(2, (1, 4, 4))


def test_overlap_known_values():
    light = LightDecoder(4, (1, 1, 3))
    light.content.weight.data = torch.tensor([[1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])  # columns (1,1,0), (0,1,1)
    assert light.overlap() == 2
    light.content.weight.data = torch.eye(3)[:, :2]
    assert light.overlap() == 0


@pytest.mark.parametrize(
    ("guided", "base"),
    [
        ("model=guidedvae", "model=vae"),
        ("model=guidedtcvae model.beta=3", "model=betatcvae model.beta=3 model.form=terms"),
    ],
)
def test_without_guidance_it_is_the_base_model(guided, base):
    neutral = [*guided.split(), "model.light=0", "model.orthogonality=0"]
    results = []
    for line in (neutral, base.split()):
        model = build_model(*line, *SMALL)
        torch.manual_seed(1)
        loss = model.objective(torch.rand(8, 1, 8, 8))["loss"]
        networks = [*model.encoder.parameters(), *model.decoder.parameters()]
        results.append((loss, torch.autograd.grad(loss, networks)))
    # The parts of the total correlation are added in another order: the last bit may differ there.
    tolerance = {"rtol": 0, "atol": 0} if guided == "model=guidedvae" else {"rtol": 1e-5, "atol": 1e-5}
    torch.testing.assert_close(results[0], results[1], **tolerance)


def test_the_loss_is_its_terms():
    model = build_model("model=guidedvae", *SMALL)
    terms = model.objective(torch.rand(8, 1, 8, 8))
    expected = terms["rec"] + terms["kl"] + 0.5 * terms["rec_light"] + terms["overlap"] / 128
    torch.testing.assert_close(terms["loss"], expected)
    flat = model.light_decoder
    for parameter in flat.parameters():
        parameter.data.zero_()
    flat.scale.bias.data.fill_(1.0)
    terms = model.objective(torch.rand(8, 1, 8, 8))
    assert terms["rec_light"].item() == pytest.approx(64 * math.log(2), rel=1e-5), "a picture of one half everywhere"


def test_guidance_reaches_the_encoder():
    model = build_model("model=guidedvae", *SMALL)
    grads = torch.autograd.grad(model.objective(torch.rand(4, 1, 8, 8))["rec_light"], list(model.encoder.parameters()))
    assert all(torch.isfinite(g).all() and g.abs().sum() > 0 for g in grads)
