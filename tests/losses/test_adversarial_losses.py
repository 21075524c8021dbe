"""Losses of critics and generators: golden numbers, and what the best critic of two known densities pays."""

import math

import pytest
import torch
from torch.distributions import Normal

from tests.support.tensors import double
from vaezoo.losses.gan import critic_accuracy, critic_loss, fake_cost, generator_loss, real_cost

GRID = torch.linspace(-40, 40, 400_001, dtype=torch.float64)
STEP = (GRID[1] - GRID[0]).item()
P = Normal(double(0), double(1))  # the real images


def mean_under(density: torch.distributions.Distribution, values: torch.Tensor) -> float:
    return (density.log_prob(GRID).exp() * values).sum().item() * STEP


def on_grid(cost, logits: torch.Tensor) -> torch.Tensor:
    """A loss at each single logit."""
    return torch.vmap(lambda one: cost(one[None]))(logits)


def best_logits(q: torch.distributions.Distribution) -> torch.Tensor:
    return P.log_prob(GRID) - q.log_prob(GRID)


@pytest.mark.parametrize(
    ("kind", "at", "slope"),
    [
        ("nonsaturating", -4, -0.98201),
        ("saturating", -4, -0.01799),
        ("logit", -4, -1),
        ("nonsaturating", 0, -0.5),
        ("saturating", 0, -0.5),
        ("logit", 0, -1),
    ],
)
def test_how_hard_each_loss_pulls_a_generator(kind, at, slope):
    logit = double([at]).requires_grad_()
    generator_loss(logit, kind).backward()
    assert logit.grad.item() == pytest.approx(slope, abs=5e-6)


@pytest.mark.parametrize(
    ("m", "nonsaturating", "saturating"),
    [(1, 0.602027, 0.397973), (2, 1.550400, 0.449600), (4, 3.862805, 0.137195)],
)
def test_a_winning_critic_leaves_only_the_nonsaturating_loss_at_work(m, nonsaturating, saturating):
    """The slope in m of a generator N(m, 1) of images from N(0, 1), its critic at the optimum and held there."""
    for kind, expected in (("nonsaturating", nonsaturating), ("saturating", saturating)):
        mean = double(m).requires_grad_()
        noise = Normal(double(0), double(1)).log_prob(GRID).exp() * STEP
        logits = m**2 / 2 - m * (mean + GRID)
        (noise * on_grid(lambda one, kind=kind: generator_loss(one, kind), logits)).sum().backward()
        assert mean.grad.item() == pytest.approx(expected, abs=5e-7)


@pytest.mark.parametrize(
    ("mean", "sd", "js", "value", "generator"),
    [
        (0, 1, 0, -1.386294, 0.693147),
        (1, 1, 0.111421, -1.163451, 1.081726),
        (2, 1, 0.336831, -0.712633, 2.356316),
        (4, 1, 0.632720, -0.120854, 8.060427),
        (0, 2, 0.092733, -1.200828, None),
    ],
)
def test_the_best_critic_knows_the_jensen_shannon_divergence(mean, sd, js, value, generator):
    """Its loss is log 4 - 2 JS; JS by its definition, the divergences from the mixture of both."""
    q = Normal(double(mean), double(sd))
    logits = best_logits(q)
    loss = mean_under(P, on_grid(real_cost, logits)) + mean_under(q, on_grid(fake_cost, logits))
    mixture = torch.logaddexp(P.log_prob(GRID), q.log_prob(GRID)) - math.log(2)
    divergence = mean_under(P, P.log_prob(GRID) - mixture) / 2 + mean_under(q, q.log_prob(GRID) - mixture) / 2
    assert divergence == pytest.approx(js, abs=5e-7)
    assert -loss == pytest.approx(value, abs=5e-7)
    assert loss == pytest.approx(math.log(4) - 2 * divergence, abs=1e-9)
    if generator is not None:
        assert mean_under(q, on_grid(generator_loss, logits)) == pytest.approx(generator, abs=5e-7)


@pytest.mark.parametrize("label", [1.0, 0.9])
@pytest.mark.parametrize(("p", "q"), [(1.0, 1.0), (0.3, 0.1), (0.02, 0.7)])
def test_no_critic_does_better_than_the_ratio_of_densities(p, q, label):
    """D* = p / (p + q), and a p / (p + q) where real images have the label a."""
    best = label * p / (p + q)
    logits = double([math.log(best / (1 - best)) + shift for shift in (0.0, -0.3, 0.3)]).requires_grad_()
    costs = p * on_grid(lambda one: real_cost(one, label), logits) + q * on_grid(fake_cost, logits)
    costs.sum().backward()
    assert logits.grad[0].item() == pytest.approx(0, abs=1e-12)
    assert costs.argmin() == 0


def test_logistic_regression_finds_the_ratio():
    """Of N(0, 1) and N(m, 1) it is m^2/2 - m x."""
    torch.manual_seed(0)
    m = 2.0
    real, fake = torch.randn(2, 200_000, dtype=torch.float64)
    fake = fake + m
    line = torch.zeros(2, dtype=torch.float64, requires_grad=True)  # intercept, slope
    optimizer = torch.optim.LBFGS([line], max_iter=100, line_search_fn="strong_wolfe")

    def closure():
        optimizer.zero_grad()
        loss = critic_loss(line[0] + line[1] * real, line[0] + line[1] * fake)
        loss.backward()
        return loss

    optimizer.step(closure)
    assert line.tolist() == pytest.approx([m**2 / 2, -m], abs=0.03)
    assert closure().item() == pytest.approx(0.712633, abs=0.005)


def test_an_undecided_critic_pays_log_4_and_a_smoothed_label_costs_it_nothing():
    nothing = torch.zeros(8, dtype=torch.float64)
    assert critic_loss(nothing, nothing).item() == pytest.approx(math.log(4), abs=1e-12)
    assert math.log(4) == pytest.approx(1.386294, abs=5e-7)
    assert critic_loss(nothing, nothing, real_label=0.9).item() == pytest.approx(math.log(4), abs=1e-12)
    # Only the real side is smoothed.
    real, fake = double([2.0]), double([-1.0])
    assert fake_cost(fake) == critic_loss(real, fake, real_label=0.9) - real_cost(real, 0.9)
    expected = 0.9 * math.log1p(math.exp(-2)) + 0.1 * math.log1p(math.exp(2))
    assert real_cost(real, 0.9).item() == pytest.approx(expected, abs=1e-12)


def test_losses_are_means_and_far_logits_stay_finite():
    real, fake = double([800.0, -800.0]), double([800.0, -800.0])
    assert critic_loss(real, fake) == 800
    assert generator_loss(fake) == 400
    assert generator_loss(fake, "saturating") == -400
    assert generator_loss(fake, "logit") == 0


def test_accuracies():
    found = critic_accuracy(torch.tensor([1.0, 2.0, -1.0, 0.5]), torch.tensor([-1.0, 3.0]))
    assert {key: value.item() for key, value in found.items()} == {"accuracy_real": 0.75, "accuracy_fake": 0.5}


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_logits_of_half_precision_get_losses_of_full_precision(dtype):
    real, fake = torch.randn(2, 64).to(dtype)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = [critic_loss(real, fake), *(generator_loss(fake, k) for k in ("nonsaturating", "saturating", "logit"))]
    real, fake = real.double(), fake.double()
    exact = [critic_loss(real, fake), *(generator_loss(fake, k) for k in ("nonsaturating", "saturating", "logit"))]
    for loss, expected in zip(found, exact, strict=True):
        assert loss.dtype == torch.float32
        assert expected.dtype == torch.float64
        torch.testing.assert_close(loss.double(), expected, rtol=1e-5, atol=1e-6)
