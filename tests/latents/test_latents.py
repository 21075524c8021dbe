"""Latent spaces: known KL values, sampling, and the point space of autoencoders."""

import math

import pytest
import torch

from vaezoo.latents.gaussian import Gaussian, GaussianPosterior
from vaezoo.latents.point import Point


def posterior(mean, variance) -> GaussianPosterior:
    mean, variance = (torch.tensor(values, dtype=torch.float64) for values in (mean, variance))
    return GaussianPosterior(mean.requires_grad_(), variance.log().requires_grad_())


def test_kl_known_value_and_gradients():
    q = posterior([[0.5, -1.0]], [[1.0, 0.25]])
    kl = q.kl()
    assert kl[0].tolist() == pytest.approx([0.125, 0.818147], abs=5e-7)
    kl.sum().backward()
    assert q.mean.grad.tolist() == [[0.5, -1.0]]
    assert q.logvar.grad.tolist() == [[0.0, -0.375]]


def test_kl_of_the_prior_is_zero_with_zero_gradients():
    q = posterior([[0.0, 0.0]], [[1.0, 1.0]])
    q.kl().sum().backward()
    assert q.kl().tolist() == [[0.0, 0.0]]
    assert q.mean.grad.abs().sum() == q.logvar.grad.abs().sum() == 0


def test_kl_agrees_with_torch_distributions():
    q = posterior([[0.3, -2.0], [1.1, 0.0]], [[0.2, 1.7], [3.0, 1e-4]])
    normal = torch.distributions.Normal(q.mean, (0.5 * q.logvar).exp())
    expected = torch.distributions.kl_divergence(normal, torch.distributions.Normal(0.0, 1.0))
    torch.testing.assert_close(q.kl(), expected, check_dtype=False)
    z = torch.tensor([[0.1, 0.2], [-1.0, 0.01]], dtype=torch.float64)
    torch.testing.assert_close(q.log_prob(z), normal.log_prob(z))


def test_samples_have_the_moments_and_pass_gradients():
    torch.manual_seed(0)
    q = GaussianPosterior(torch.full((200_000, 1), 0.7), torch.full((200_000, 1), math.log(0.25)))
    z = q.sample()
    assert z.mean().item() == pytest.approx(0.7, abs=5e-3)
    assert z.var().item() == pytest.approx(0.25, abs=5e-3)
    mean, logvar = torch.zeros(3, 2, requires_grad=True), torch.zeros(3, 2, requires_grad=True)
    GaussianPosterior(mean, logvar).sample().sum().backward()
    assert (mean.grad == 1).all()
    assert (logvar.grad != 0).all()


def test_gaussian_space_splits_means_from_log_variances():
    latent = Gaussian(3)
    q = latent.posterior(torch.arange(12.0).view(2, 6))
    assert latent.num_params == 6
    assert q.mean.tolist() == [[0, 1, 2], [6, 7, 8]]
    assert q.logvar.tolist() == [[3, 4, 5], [9, 10, 11]]
    assert latent.posterior(torch.zeros(1, 6, dtype=torch.bfloat16)).logvar.dtype == torch.float32
    assert latent.sample_prior(7).shape == (7, 3)


def test_point_space_has_no_noise():
    latent = Point(3)
    params = torch.randn(4, latent.num_params)
    q = latent.posterior(params)
    assert torch.equal(q.sample(), params)
    assert not hasattr(q, "kl")
