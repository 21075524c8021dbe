"""FactorVAE: the discriminator's golden values, the permutation, and the estimate it converges to."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from tests.support.configuration import build_model
from vaezoo.models.factorvae import discriminator_loss, permute_dims, total_correlation
from vaezoo.networks.code_critics import CodeCritic

SMALL = ("dataset=digits", "metric=none", "figure=none", "logger=csv")
RHO = 0.8


def correlated(count: int) -> torch.Tensor:
    """(count, 2) draws from a bivariate Gaussian with unit variances and correlation RHO."""
    first, other = torch.randn(2, count, dtype=torch.float64)
    return torch.stack([first, RHO * first + math.sqrt(1 - RHO**2) * other], dim=1)


def optimal_logits(z: torch.Tensor, rho: float = RHO) -> torch.Tensor:
    """d_0 - d_1 = log q(z) - log prod_j q(z_j), split evenly over the two logits."""
    a, b = z.T
    ratio = -0.5 * math.log(1 - rho**2) - (rho**2 * a**2 - 2 * rho * a * b + rho**2 * b**2) / (2 * (1 - rho**2))
    return torch.stack([ratio / 2, -ratio / 2], dim=1)


def test_discriminator_parameter_count():
    critic = CodeCritic(10, hidden=[1000] * 6)
    assert sum(p.numel() for p in critic.parameters()) == 5018002


def test_a_blind_discriminator_sees_no_total_correlation_and_pays_ln_2():
    logits = torch.zeros(8, 2)
    assert total_correlation(logits) == 0
    assert discriminator_loss(logits, logits).item() == pytest.approx(0.693147, abs=5e-7)


def test_optimal_logits_known_values():
    points = torch.tensor([[0.0, 0.0], [1.0, 1.0], [1.0, -1.0]], dtype=torch.float64)
    logits = optimal_logits(points)
    expected = [0.510826, 0.955270, -3.489174]
    assert (logits[:, 0] - logits[:, 1]).tolist() == pytest.approx(expected, abs=5e-7)
    assert optimal_logits(points, rho=0.0).abs().max() == 0


def test_the_optimal_discriminator_gives_the_exact_total_correlation_and_loss():
    torch.manual_seed(0)
    joint, independent = correlated(400_000), torch.randn(400_000, 2, dtype=torch.float64)
    exact = -0.5 * math.log(1 - RHO**2)
    assert total_correlation(optimal_logits(joint)).item() == pytest.approx(exact, abs=0.01)
    ratio = optimal_logits(independent)
    assert (ratio[:, 0] - ratio[:, 1]).exp().mean().item() == pytest.approx(1, abs=0.02)
    loss = discriminator_loss(optimal_logits(joint), optimal_logits(independent))
    assert loss.item() == pytest.approx(0.5598, abs=0.0015)


def test_classes_are_not_swapped():
    """Codes that tell themselves from permuted ones have a positive total correlation."""
    sure = torch.tensor([[3.0, -3.0]])
    assert total_correlation(sure) > 0
    assert discriminator_loss(sure, -sure) < 0.01 < discriminator_loss(-sure, sure)


def test_permuting_keeps_columns_and_breaks_rows():
    torch.manual_seed(0)
    z = correlated(100_000)
    permuted = permute_dims(z)
    assert torch.equal(permuted.sort(dim=0).values, z.sort(dim=0).values)
    assert abs(torch.corrcoef(permuted.T)[0, 1]) < 0.02
    assert torch.corrcoef(z.T)[0, 1] > 0.79
    other = permute_dims(z)
    assert not torch.equal(other, permuted)
    assert abs(torch.corrcoef(torch.stack([permuted[:, 0], z[:, 0]]))[0, 1]) < 0.02


def test_latents_of_different_scales_stay_independent():
    """The slip of shuffling within rows would mix the two scales."""
    torch.manual_seed(0)
    z = torch.randn(10_000, 2) * torch.tensor([1.0, 0.2])
    assert permute_dims(z).std(0).tolist() == pytest.approx(z.std(0).tolist(), rel=1e-5)


def test_a_trained_discriminator_estimates_the_total_correlation():
    torch.manual_seed(0)
    critic = CodeCritic(2, hidden=[64, 64])
    optimizer = torch.optim.Adam(critic.parameters(), lr=1e-3)
    for _ in range(1500):
        joint, second = correlated(256).float(), correlated(256).float()
        loss = discriminator_loss(critic(joint), critic(permute_dims(second)))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        estimate = total_correlation(critic(correlated(50_000).float())).item()
    assert 0.45 < estimate < 0.56


def test_without_gamma_the_vae_player_is_the_vae_bit_for_bit():
    x, second = torch.rand(2, 8, 1, 8, 8)
    factor, vae = build_model("model=factorvae", "model.gamma=0", *SMALL), build_model("model=vae", *SMALL)
    torch.manual_seed(1)
    loss = factor.vae_objective(torch.cat([x, second]), {})["loss"]
    torch.manual_seed(1)
    expected = vae.objective(x)["loss"]
    assert torch.equal(loss, expected)
    networks = [*factor.encoder.parameters(), *factor.decoder.parameters()]
    grads, others = torch.autograd.grad(loss, networks), torch.autograd.grad(expected, list(vae.parameters()))
    assert all(torch.equal(a, b) for a, b in zip(grads, others, strict=True))


def test_the_discriminator_judges_the_codes_of_the_first_batch_against_the_second():
    model = build_model("model=factorvae", *SMALL)
    x = torch.rand(8, 1, 8, 8)
    drawn = {}
    model.vae_objective(x, drawn)
    assert drawn["z"].shape == (4, 10)
    assert not drawn["z"].requires_grad
    seen = []
    model.encoder.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    model.discriminator_objective(x, drawn)
    assert len(seen) == 1
    assert torch.equal(seen[0], x[4:])


def test_a_step_takes_two_batches():
    """The budget counts steps; an epoch of a model that takes two batches a step is half as long."""
    from omegaconf import OmegaConf

    from vaezoo.training.run import count_budget

    config = OmegaConf.create({"max_epochs": 3, "max_batches": 7})
    data = SimpleNamespace(rows=SimpleNamespace(train=np.arange(1000)), batch_size=50, seed=0)
    one, two = (SimpleNamespace(batches_a_step=count, pairs=False) for count in (1, 2))
    assert count_budget(config, data, one) == 60
    assert count_budget(config, data, two) == 30
    config.max_epochs = None
    assert count_budget(config, data, two) == 7


def test_the_vae_does_not_own_the_discriminator_that_judges_it():
    """It would learn to make the discriminator say that its latents are independent."""
    owned = build_model("model=factorvae", "model.discriminator.hidden=[8]", *SMALL).owned()
    parameters = {name: {id(p) for part in parts for p in part.parameters()} for name, parts in owned.items()}
    assert parameters["vae"].isdisjoint(parameters["discriminator"])
    assert all(parameters.values())
