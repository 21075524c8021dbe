"""Published numbers that no test of a single model has: scales of other people's losses, and sizes."""

import itertools
import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from tests.support.configuration import SMALL, build_model
from tests.support.covariances import MEANS, gradient, penalty, run_average
from tests.support.networks import GREY, build, parameters
from tests.support.tensors import double, random_double
from vaezoo.latents.categories import CategoricalPosterior
from vaezoo.latents.gaussian import GaussianPosterior
from vaezoo.latents.mixed import MixedPosterior
from vaezoo.likelihoods import Bernoulli
from vaezoo.losses.total_correlation import log_normal, log_weights
from vaezoo.networks.code_critics import CodeCritic


def images_and_output(*shape: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return (
        torch.rand(shape, generator=generator, dtype=torch.float64),
        torch.randn(shape, generator=generator, dtype=torch.float64),
    )


# ---- what other reductions make of beta ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("beta", "latents", "shape", "published"), [(4, 10, (1, 64, 64), 0.009766), (250, 32, (3, 64, 64), 0.651042)]
)
def test_beta_where_pixels_and_latents_are_averaged(beta, latents, shape, published):
    """beta J / P is the same trade-off where the reconstruction is a mean over P pixels, the KL one over J latents."""
    x, output = images_and_output(2, *shape)
    kl = GaussianPosterior(random_double(2, latents), random_double(2, latents, seed=1)).kl()
    ours = Bernoulli(output).rec(x).mean() + beta * kl.sum(1).mean()
    averaged = F.binary_cross_entropy_with_logits(output, x) + published * kl.mean()
    torch.testing.assert_close(averaged * math.prod(shape), ours, rtol=1e-4, atol=0)
    assert published == pytest.approx(beta * latents / math.prod(shape), abs=5e-7)


# ---- sizes of networks that others use under the same name ------------------------------------------------------


def test_kernels_of_two_by_two_are_another_network():
    """The encoder of disentanglement_lib, which it calls that of Higgins et al.: 309204 parameters for our 382932."""
    encoder, _ = build("convh", GREY, 10)
    for index in (4, 6):
        layer = encoder.convolutions[index]
        encoder.convolutions[index] = nn.Conv2d(layer.in_channels, layer.out_channels, 2, stride=2)
    assert encoder(torch.rand(2, *GREY)).shape == (2, 20)
    assert parameters(encoder) == 309204


def test_five_hidden_layers_are_another_discriminator():
    assert parameters(CodeCritic(10, hidden=[1000] * 5)) == 4017002
    ours = build_model("model=factorvae", "latent.dim=10", *SMALL).discriminator
    assert parameters(ours) == 5018002


# ---- conditional VAE, capacity-annealed beta-VAE ----------------------------------------------------------------


def test_the_weighted_share_of_the_kl_in_a_conditional_model():
    """What is plotted as "KL / ELBO" is beta KL / (rec + beta KL)."""
    model = build_model("model=cvae", "model.beta=5", *SMALL)
    terms = model.objective(torch.rand(8, 1, 8, 8), torch.arange(8))
    torch.testing.assert_close(terms["kl_share_w"], 5 * terms["kl"] / (terms["rec"] + 5 * terms["kl"]))
    torch.testing.assert_close(terms["kl_share"], terms["kl"] / (terms["rec"] + terms["kl"]))


# ---- beta-TCVAE ------------------------------------------------------------------------------------------------


def test_mean_estimates_of_densities_by_the_share_of_a_codes_own_posterior():
    """Five points in batches of three. f is how much of q(z_n) the posterior of image n itself contributes.

    mws then finds (1 + f) / 6 of q(z_n) on average, the stratified estimators all of it. For images that overlap
    little the published range is 0.30 to 0.33.
    """
    mean = double([[-4, 0], [-2, 0.5], [0, -0.5], [2, 0.5], [4.5, 0]])
    logvar = torch.full_like(mean, math.log(0.25))
    z = mean + 0.5 * random_double(5, 2, seed=3).clamp(-1, 1)
    density = log_normal(z[:, None], mean, logvar).sum(2).exp()  # of z_n under posterior m
    q = density.mean(1)
    f = density.diagonal() / density.sum(1)
    expected = {"mss": torch.ones(5).double(), "mss_uniform": torch.ones(5).double(), "mws": (1 + f) / 6}
    for name, ratio in expected.items():
        weights = log_weights(name, 3, double(5)).exp()
        total = torch.zeros(5, dtype=torch.float64)
        for batch in map(list, itertools.permutations(range(5), 3)):
            total[batch] += (weights * density[batch][:, batch]).sum(1)
        torch.testing.assert_close(total / 36 / q, ratio)  # each image is in 36 of the 60 batches
    assert ((expected["mws"] > 0.30) & (expected["mws"] < 0.335)).all()


# ---- DIP-VAE ---------------------------------------------------------------------------------------------------


def test_the_price_of_perfect_codes_in_a_large_batch():
    """At lambda = (10, 100) 44.85 nats for batches of 64, and 2.83 for 1024."""
    torch.manual_seed(0)
    paid = torch.stack([penalty(torch.randn(1024, 10), 10, 100) for _ in range(1000)])
    assert paid.mean().item() == pytest.approx(2.83, abs=0.1)  # 0.9 from batch to batch


def test_the_literal_running_gradient_fades_to_a_tenth():
    """Decay 0.9 and the same batch again and again: the norm 88.3176 of the minibatch form falls to 8.8318."""
    means = MEANS.clone().requires_grad_()
    assert torch.autograd.grad(penalty(means, 10, 100), means)[0].norm().item() == pytest.approx(88.3176, abs=5e-5)
    for rescaled, last in ((True, 88.3176), (False, 8.8318)):
        *_, (weight, leaf, average) = run_average([MEANS] * 200, 0.9, rescaled, True)
        assert weight == pytest.approx(0.1, abs=1e-8)
        assert gradient(leaf, average).norm().item() == pytest.approx(last, abs=5e-5)


# ---- JointVAE --------------------------------------------------------------------------------------------------


def with_divergence(kl: float, values: int) -> torch.Tensor:
    """Logits of a category at this divergence from the uniform prior, found by bisection: (1, values)."""
    low, high = 0.0, 50.0
    for _ in range(200):
        middle = (low + high) / 2
        logits = F.pad(double([[middle]]), (0, values - 1))
        if CategoricalPosterior(logits, 1.0).kl().item() < kl:
            low = middle
        else:
            high = middle
    return logits


def test_the_penalties_of_the_authors_schedule():
    """gamma 30, half way to capacities of 5: KL_z = 2.1 pays 12 nats, KL_c = 1.5 pays 24.0776, C_c being ln 10."""
    line = [f"model.capacity_{part}.{key}" for part in "zc" for key in ("end=5", "batches=25000")]
    weights = ("model.gamma_z=30", "model.gamma_c=30", "latent.dim=1", "latent.categories=[10]")
    model = build_model("model=jointvae", *weights, *line, *SMALL).double()
    model.batches += 12_500
    z = GaussianPosterior(double([[math.sqrt(2 * 2.1)]]), double([[0.0]]))
    s = CategoricalPosterior(with_divergence(1.5, 10), 0.67)
    model.latent.posterior = lambda params: MixedPosterior(z, (s,))
    terms = model.objective(torch.rand(1, 1, 8, 8, dtype=torch.float64))
    assert (terms["kl_z"].item(), terms["kl_c"].item()) == pytest.approx((2.1, 1.5))
    assert (terms["loss"] - terms["rec"]).item() == pytest.approx(12 + 24.0776, abs=5e-5)
    model.gamma_c = 0.0
    terms = model.objective(torch.rand(1, 1, 8, 8, dtype=torch.float64))
    assert (terms["loss"] - terms["rec"]).item() == pytest.approx(12)


@pytest.mark.parametrize("temperature", [0.67, 3.0])
def test_a_category_says_less_than_its_relaxed_draw(temperature):
    """pi = (.5, .3, .2): 0.0690 nats, and 0.1549 between the relaxed variables, at any temperature."""
    p, uniform = double([0.5, 0.3, 0.2]), torch.full((3,), 1 / 3, dtype=torch.float64)
    torch.manual_seed(0)
    y = CategoricalPosterior(p.log().expand(400_000, 3), temperature).sample()
    relaxed = torch.distributions.RelaxedOneHotCategorical
    t = double(temperature)
    divergence = (relaxed(t, p).log_prob(y) - relaxed(t, uniform).log_prob(y)).mean().item()
    # Their ratio holds y^-t, which is E_k / pi_k for exponential E_k: mean logarithms of sums of exponentials.
    rates = 3 * p
    others = torch.stack([torch.cat([rates[:k], rates[k + 1 :]]) for k in range(3)])
    shares = (others / (others - rates[:, None])).prod(1)
    exact = rates.log().sum() - 3 * ((shares * rates.log()).sum() + 1.5)
    assert exact.item() == pytest.approx(0.154860, abs=5e-7)
    assert divergence == pytest.approx(exact.item(), abs=0.003)
    assert CategoricalPosterior(p.log()[None], temperature).kl().item() == pytest.approx(0.0690, abs=5e-5)
