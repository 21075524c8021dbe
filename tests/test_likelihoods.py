"""Likelihoods: known values, densities that integrate to one, means, and gradients at the awkward places."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from vaezoo.likelihoods import Bernoulli, ContinuousBernoulli, Gaussian

LOGITS = torch.tensor([-2.0, 1.0, 0.0, -1.0], dtype=torch.float64).view(1, 1, 2, 2)
IMAGE = torch.tensor([0.0, 1.0, 0.5, 0.25], dtype=torch.float64).view(1, 1, 2, 2)


def pixel(value: float) -> Tensor:
    return torch.tensor(value, dtype=torch.float64).view(1, 1, 1, 1)


def test_bernoulli_known_values():
    p = Bernoulli(LOGITS)
    each = [Bernoulli(pixel(logit)).rec(pixel(x)).item() for logit, x in [(-2, 0), (1, 1), (0, 0.5), (-1, 0.25)]]
    assert each == pytest.approx([0.126928, 0.313262, 0.693147, 0.563262], abs=5e-7)
    assert p.rec(IMAGE).item() == pytest.approx(1.696599, abs=5e-7)
    assert p.rec_floor(IMAGE).item() == pytest.approx(1.255482, abs=5e-7)


def test_gaussian_known_values():
    p = Gaussian(LOGITS)
    assert p.rec(IMAGE).item() == pytest.approx(0.086898, abs=5e-7)
    assert p.rec(IMAGE).item() / 4 == pytest.approx(0.021724, abs=5e-7)
    assert -p.log_prob(IMAGE).item() == pytest.approx(2.376357, abs=5e-7)


@pytest.mark.parametrize(("pixels", "constant"), [(784, 448.7341), (4096, 2344.4068), (12288, 7033.2204)])
def test_gaussian_constant_is_in_the_log_probability_alone(pixels, constant):
    x = torch.rand(2, 1, 1, pixels, dtype=torch.float64)
    p = Gaussian(torch.zeros_like(x))
    assert (-p.log_prob(x) - p.rec(x)).tolist() == pytest.approx([constant, constant], abs=5e-5)


def test_gaussian_with_half_variance_is_the_summed_squared_error():
    x, output = torch.rand(3, 1, 4, 4), torch.randn(3, 1, 4, 4)
    expected = (x - output).square().flatten(1).sum(1)
    torch.testing.assert_close(Gaussian(output, link="identity").rec(x), expected)
    torch.testing.assert_close(Gaussian(output, link="identity", variance=0.1).rec(x), 5 * expected)


def test_bernoulli_sums_to_one_over_binary_images():
    values = torch.tensor([0.0, 1.0], dtype=torch.float64)
    images = torch.cartesian_prod(*[values] * 4).view(16, 1, 2, 2)
    total = Bernoulli(LOGITS.expand(16, 1, 2, 2)).log_prob(images).exp().sum()
    assert total.item() == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("logit", [-60.0, -3.0, -0.2, -0.1999, -1e-4, 0.0, 1e-9, 0.1999, 0.2, 5.0, 60.0])
def test_continuous_bernoulli_is_a_density_with_that_mean(logit):
    nodes, weights = (torch.from_numpy(a) for a in np.polynomial.legendre.leggauss(400))
    x, weights = (nodes + 1) / 2, weights / 2
    p = ContinuousBernoulli(torch.full((400, 1, 1, 1), logit, dtype=torch.float64))
    density = p.log_prob(x.view(400, 1, 1, 1)).exp()
    assert (weights * density).sum().item() == pytest.approx(1, abs=1e-9)
    assert (weights * density * x).sum().item() == pytest.approx(p.mean[0].item(), abs=1e-9)


def test_gaussian_is_a_density():
    x = torch.linspace(-8, 9, 20001, dtype=torch.float64)
    p = Gaussian(torch.zeros(20001, 1, 1, 1, dtype=torch.float64), variance=0.3)
    total = p.log_prob(x.view(-1, 1, 1, 1)).exp().sum() * (x[1] - x[0])
    assert total.item() == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize("likelihood", [Bernoulli, Gaussian, ContinuousBernoulli])
def test_gradients_are_those_of_finite_differences_and_finite_everywhere(likelihood):
    x = torch.tensor([0.0, 0.3, 1.0, 0.6], dtype=torch.float64).view(1, 1, 2, 2)
    output = torch.tensor([-1.3, 0.05, 0.199, 0.7], dtype=torch.float64).view(1, 1, 2, 2).requires_grad_()
    assert torch.autograd.gradcheck(lambda o: likelihood(o).rec(x), output)
    extreme = torch.tensor([-80.0, 0.0, 1e-8, 80.0]).view(1, 1, 2, 2).requires_grad_()
    likelihood(extreme).rec(x.float()).sum().backward()
    assert torch.isfinite(extreme.grad).all()


@pytest.mark.parametrize("likelihood", [Bernoulli, Gaussian, ContinuousBernoulli])
def test_tiling_the_image_doubles_the_term(likelihood):
    x, output = torch.rand(3, 1, 4, 4), torch.randn(3, 1, 4, 4)
    once = likelihood(output).rec(x)
    twice = likelihood(output.repeat(1, 1, 2, 1)).rec(x.repeat(1, 1, 2, 1))
    torch.testing.assert_close(twice, 2 * once)


def test_half_precision_networks_get_full_precision_terms():
    x = torch.rand(2, 1, 64, 64)
    output = torch.randn(2, 1, 64, 64).bfloat16()
    for likelihood in (Bernoulli, Gaussian, ContinuousBernoulli):
        assert likelihood(output).rec(x).dtype == torch.float32


def test_cross_entropy_agrees_between_likelihoods_of_the_same_mean():
    x = torch.rand(2, 1, 4, 4, dtype=torch.float64)
    logits = torch.randn(2, 1, 4, 4, dtype=torch.float64)
    expected = Bernoulli(logits).cross_entropy(x)
    torch.testing.assert_close(Gaussian(logits).cross_entropy(x), expected)
    mean = ContinuousBernoulli(logits).mean
    by_hand = -(x * mean.log() + (1 - x) * (1 - mean).log()).flatten(1).sum(1)
    torch.testing.assert_close(ContinuousBernoulli(logits).cross_entropy(x), by_hand)
    assert math.isfinite(Bernoulli(torch.full((1, 1, 1, 1), 90.0)).cross_entropy(torch.zeros(1, 1, 1, 1)).item())
