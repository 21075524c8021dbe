"""AnnealedVAE and InfoVAE: golden numbers, closed forms, and what both are without their own weights."""

import math

import pytest
import torch

from tests.support.configuration import build_model, compose_train
from tests.support.mmd import expected_kernel, expected_mmd2
from vaezoo.config.values import check_config
from vaezoo.errors import UserError
from vaezoo.latents.gaussian import GaussianPosterior
from vaezoo.losses.mmd import kernel_matrix, mmd2

SMALL = ("dataset=digits", "metric=none", "figure=none", "logger=csv")


def double(rows) -> torch.Tensor:
    return torch.tensor(rows, dtype=torch.float64)


def loss_and_gradients(*overrides: str) -> tuple[torch.Tensor, list[torch.Tensor]]:
    model = build_model(*overrides, *SMALL)
    torch.manual_seed(1)
    loss = model.objective(torch.rand(8, 1, 8, 8))["loss"]
    return loss, list(torch.autograd.grad(loss, list(model.parameters())))


@pytest.mark.parametrize(
    ("line", "same"),
    [
        ("model=annealedvae model.gamma=4 model.capacity=0", "model=betavae model.beta=4"),
        ("model=annealedvae model.gamma=1 model.capacity.end=9", "model=vae"),  # C is 0 at the first batch
        ("model=infovae model.alpha=0 model.lambda_mmd=1", "model=vae"),
        ("model=infovae model.alpha=0 model.lambda_mmd=1 model.kernel=imq", "model=vae"),
    ],
)
def test_special_cases_are_other_models_bit_for_bit(line, same):
    loss, grads = loss_and_gradients(*line.split())
    expected_loss, expected_grads = loss_and_gradients(*same.split())
    assert torch.equal(loss, expected_loss)
    assert all(torch.equal(a, b) for a, b in zip(grads, expected_grads, strict=True))


# ---- AnnealedVAE -----------------------------------------------------------------------------------------------


def annealed(kls: list[float], *overrides: str):
    """The model and its terms on a batch of images whose KL is known."""
    model = build_model("model=annealedvae", "latent.dim=1", *overrides, *SMALL).double()
    means = double([[math.sqrt(2 * kl)] for kl in kls]).requires_grad_()
    model.latent.posterior = lambda params: GaussianPosterior(means, torch.zeros_like(means))
    return model, model.objective(torch.full((len(kls), 1, 8, 8), 0.3, dtype=torch.float64)), means


@pytest.mark.parametrize(
    ("kls", "capacity", "gamma", "expected"),
    [
        ([1.2, 3.0], 2.5, 100, 40),
        ([3.0, 7.0], 5, 1, 0),  # image by image it would be 2
        ([3.0, 3.0], 5, 1, 2),
        ([7.0, 7.0], 5, 3, 6),
    ],
)
def test_the_modulus_is_of_the_mean(kls, capacity, gamma, expected):
    _, terms, _ = annealed(kls, f"model.capacity={capacity}", f"model.gamma={gamma}")
    assert (terms["loss"] - terms["rec"]).item() == pytest.approx(expected, abs=1e-10)
    assert terms["capacity"] == capacity


def test_the_gradient_turns_round_at_the_capacity():
    """Below C the KL is pushed up, above it down, as strongly."""
    kl_gradient = double([[math.sqrt(6)], [math.sqrt(14)]]) / 2  # of the mean KL: mu / B
    for capacity, sign in ((4, 1), (6, -1)):
        _, terms, means = annealed([3.0, 7.0], f"model.capacity={capacity}", "model.gamma=100")
        gradient = torch.autograd.grad(terms["loss"] - terms["rec"], means)[0]
        torch.testing.assert_close(gradient, sign * 100 * kl_gradient, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("batches", "capacity"), [(0, 0), (12_500, 2.5), (25_000, 5), (30_000, 5)])
def test_the_capacity_grows_with_the_batches(batches, capacity):
    model, _, _ = annealed([1.0], "model.capacity.end=5", "model.capacity.batches=25000", "model.gamma=1")
    model.batches.fill_(batches)
    terms = model.objective(torch.zeros(1, 1, 8, 8, dtype=torch.float64))
    assert terms["capacity"] == capacity
    assert (terms["loss"] - terms["rec"]).item() == pytest.approx(abs(1 - capacity), abs=1e-10)


def test_the_defaults_of_annealedvae_are_the_papers():
    model = compose_train("model=annealedvae", "dataset=dsprites").model
    assert (model.gamma, model.capacity.start, model.capacity.end, model.capacity.batches) == (1000, 0, 25, 100_000)


# ---- MMD -------------------------------------------------------------------------------------------------------

Z, PRIOR = double([[0, 0], [1, 1]]), double([[1, 0], [0, -1]])


def mmd2_v(z: torch.Tensor, y: torch.Tensor, bandwidth: float) -> torch.Tensor:
    """The V-statistic, which compares points with themselves too."""
    zz, yy, zy = (kernel_matrix(a, b, "rbf", bandwidth).mean() for a, b in ((z, z), (y, y), (z, y)))
    return zz + yy - 2 * zy


def test_mmd_known_values():
    assert mmd2(Z, PRIOR, "rbf", 4).item() == pytest.approx(-0.098392, abs=5e-7)
    assert mmd2_v(Z, PRIOR, 4).item() == pytest.approx(0.295077, abs=5e-7)
    assert mmd2(Z, PRIOR, "imq", 4).item() == pytest.approx(-0.088889, abs=5e-7)


@pytest.mark.parametrize("kernel", ["rbf", "imq"])
@pytest.mark.parametrize("sizes", [(7, 7), (2, 2), (5, 8)])
def test_mmd_is_the_sum_over_pairs(kernel, sizes):
    def k(a, b):
        distance = sum((x - y) ** 2 for x, y in zip(a, b, strict=True))
        return math.exp(-distance / 3.7) if kernel == "rbf" else 3.7 / (3.7 + distance)

    torch.manual_seed(0)
    z, y = (torch.randn(size, 3, dtype=torch.float64) for size in sizes)

    def within(sample):
        n = len(sample)
        return sum(k(a, b) for i, a in enumerate(sample) for j, b in enumerate(sample) if i != j) / (n * (n - 1))

    a, b = z.tolist(), y.tolist()
    across = sum(k(p, q) for p in a for q in b) / (len(a) * len(b))
    assert mmd2(z, y, kernel, 3.7).item() == pytest.approx(within(a) + within(b) - 2 * across, abs=1e-13)


@pytest.mark.parametrize(("dim", "c", "expected"), [(2, 4, 0.5), (10, 20, 0.401878), (10, 100, 0.821927)])
def test_expected_kernel_of_two_standard_normals(dim, c, expected):
    zero, one = [0.0] * dim, [1.0] * dim
    assert (1 + 4 / c) ** (-dim / 2) == pytest.approx(expected, abs=5e-7)
    assert expected_kernel(zero, one, zero, one, c) == pytest.approx(expected, abs=5e-7)
    torch.manual_seed(0)
    drawn = kernel_matrix(torch.randn(1000, dim), torch.randn(1000, dim), "rbf", c).mean().item()
    assert drawn == pytest.approx(expected, abs=0.01)


@pytest.mark.parametrize(
    ("m", "s2", "c", "expected"),
    [
        ([1.0, 0.0], [1.0, 0.25], 4, 0.153413),
        ([0.5] * 10, [0.25] * 10, 20, 0.192259),
        ([0.5] * 10, [0.25] * 10, 100, 0.048278),
        ([0.0] * 10, [1.0] * 10, 20, 0.0),
    ],
)
def test_mmd_averages_to_its_closed_form(m, s2, c, expected):
    assert expected_mmd2(m, s2, c) == pytest.approx(expected, abs=5e-7)
    torch.manual_seed(0)
    mean, scale = torch.tensor(m), torch.tensor(s2).sqrt()
    values = torch.stack(
        [mmd2(mean + scale * torch.randn(64, len(m)), torch.randn(64, len(m)), "rbf", c) for _ in range(600)]
    )
    assert values.mean().item() == pytest.approx(expected, abs=4 * values.std().item() / math.sqrt(600))
    if expected == 0:
        assert (values < 0).float().mean() > 0.4, "an unbiased estimate of 0 is often negative"
    if c == 4:
        assert values.std().item() == pytest.approx(0.049, abs=0.003)


def test_the_v_statistic_is_too_large_by_a_known_amount():
    torch.manual_seed(0)
    mean, scale = double([1, 0]), double([1, 0.5])
    draws = [(mean + scale * torch.randn(64, 2).double(), torch.randn(64, 2).double()) for _ in range(600)]
    gap = torch.stack([mmd2_v(z, y, 4) - mmd2(z, y, "rbf", 4) for z, y in draws]).mean().item()
    inside = expected_kernel([1, 0], [1, 0.25], [1, 0], [1, 0.25], 4) + expected_kernel(
        [0, 0], [1, 1], [0, 0], [1, 1], 4
    )
    assert gap == pytest.approx((2 - inside) / 64, abs=2e-4)
    assert 0.153413 + gap == pytest.approx(0.1669, abs=2e-4)


@pytest.mark.parametrize("kernel", ["rbf", "imq"])
def test_mmd_gradients(kernel):
    torch.manual_seed(0)
    z, y = (torch.randn(5, 3, dtype=torch.float64, requires_grad=True) for _ in range(2))
    assert torch.autograd.gradcheck(lambda a, b: mmd2(a, b, kernel, 6.0), (z, y))
    coinciding = torch.zeros(4, 3, dtype=torch.float64, requires_grad=True)
    mmd2(coinciding, y.detach(), kernel, 6.0).backward()
    assert torch.isfinite(coinciding.grad).all()
    assert coinciding.grad.abs().sum() > 0


def test_a_negative_estimate_keeps_its_gradient():
    z = Z.clone().requires_grad_()
    value = mmd2(z, PRIOR, "rbf", 4)
    value.backward()
    assert value < 0
    assert z.grad.abs().min() > 0.01


def test_mmd_keeps_full_precision_under_autocast():
    torch.manual_seed(0)
    z, y = torch.randn(64, 10), torch.randn(64, 10)
    exact = mmd2(z.double(), y.double(), "rbf", 20)
    assert exact.dtype == torch.float64
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = mmd2(z, y, "rbf", 20)
        low = mmd2(z.bfloat16(), y.bfloat16(), "rbf", 20)
    assert value.dtype == low.dtype == torch.float32
    assert value.item() == pytest.approx(exact.item(), abs=1e-6)
    rounded = mmd2(z.bfloat16().double(), y.bfloat16().double(), "rbf", 20)
    assert low.item() == pytest.approx(rounded.item(), abs=1e-6)


# ---- InfoVAE ---------------------------------------------------------------------------------------------------


def test_the_regulariser_with_a_true_divergence():
    """(1 - alpha) KL + (alpha + lambda - 1) D = (1 - alpha) MI + lambda D for D = KL(q(z) || p(z)).

    Four images with means (+-1, +-1) and standard deviations 1/2: q(z) is a product of two mixtures of two Gaussians.
    """
    z = torch.linspace(-9, 9, 40_001, dtype=torch.float64)
    component = torch.distributions.Normal(double([[-1], [1]]), double(0.5))
    log_q = component.log_prob(z).logsumexp(0) - math.log(2)
    prior = torch.distributions.Normal(double(0), double(1))
    divergence = 2 * torch.trapezoid(log_q.exp() * (log_q - prior.log_prob(z)), z).item()
    kl = GaussianPosterior(double([[1, 1]]), double([[0.25, 0.25]]).log()).kl().sum().item()
    alpha, weight = 0.5, 3
    assert (1 - alpha) * kl + (alpha + weight - 1) * divergence == pytest.approx(1.745282, abs=5e-7)
    assert (1 - alpha) * (kl - divergence) + weight * divergence == pytest.approx(1.745282, abs=5e-7)


@pytest.mark.parametrize("kernel", ["rbf", "imq"])
@pytest.mark.parametrize(("alpha", "weight"), [(0, 1000), (1, 50), (0.3, 7)])
def test_infovae_adds_its_terms_with_their_weights(kernel, alpha, weight):
    line = [f"model.alpha={alpha}", f"model.lambda_mmd={weight}", f"model.kernel={kernel}", "model.bandwidth=5"]
    model = build_model("model=infovae", *line, *SMALL).double()
    x = torch.rand(8, 1, 8, 8, dtype=torch.float64)
    torch.manual_seed(3)
    terms = model.objective(x)
    expected = terms["rec"] + (1 - alpha) * terms["kl"] + (alpha + weight - 1) * terms["mmd"]
    torch.testing.assert_close(terms["loss"], expected)
    assert terms["mmd"].dtype == torch.float64
    # The codes that the decoder saw against as many draws from the prior, in this order from one generator.
    torch.manual_seed(3)
    z = model.encode(x).sample()
    prior = torch.randn(8, 10).double()
    assert torch.equal(terms["mmd"], mmd2(z, prior, kernel, 5))
    torch.manual_seed(4)
    assert not torch.equal(model.objective(x)["mmd"], terms["mmd"])


def test_the_default_bandwidth_is_twice_the_number_of_latents():
    assert build_model("model=infovae", "latent.dim=3", *SMALL).bandwidth == 6
    assert build_model("model=infovae", "latent.dim=3", "model.bandwidth=9", *SMALL).bandwidth == 9
    z = torch.randn(20_000, 2, 3, generator=torch.Generator().manual_seed(0))
    assert (z[:, 0] - z[:, 1]).square().sum(1).mean().item() == pytest.approx(6, abs=0.1)


def test_infovae_under_autocast():
    model = build_model("model=infovae", *SMALL)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        terms = model.objective(torch.rand(8, 1, 8, 8))
    assert terms["mmd"].dtype == terms["kl"].dtype == terms["loss"].dtype == torch.float32


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("model=infovae dataset.batch_size=1", "the MMD of InfoVAE needs at least 2 images in a batch"),
        ("model=infovae dataset.val_images=1", "dataset.val_images=1: the MMD of InfoVAE needs at least 2 images"),
        ("model=infovae model.kernel=rfb", r"must be one of rbf, imq. Did you mean 'rbf'\?"),
        ("model=infovae model.bandwidth=0", "must be a number above 0, or null"),
        ("model=infovae model.alpha=1.5", "model.alpha=1.5: must be a number from 0 to 1"),
        (
            "model=infovae +schedule@model.alpha=linear model.alpha.end=2 model.alpha.batches=9",
            "or a schedule of a number from 0 to 1",
        ),
        ("model=infovae model.lambda_mmd=-1", "must be a number of at least 0, or a schedule"),
        ("model=infovae latent=point", "Points have no density and no KL"),
        ("model=annealedvae model.capacity=-1", "must be a number of at least 0, or a schedule"),
        ("model=annealedvae model.capacity.end=-1", "model.capacity.end=-1: must be a number of at least 0"),
    ],
)
def test_what_cannot_work_is_refused(line, message):
    with pytest.raises(UserError, match=message):
        check_config(compose_train(*line.split(), *SMALL))


@pytest.mark.parametrize("line", ["model=annealedvae dataset.batch_size=1", "model=vae dataset.val_images=1"])
def test_other_models_may_have_batches_of_one(line):
    check_config(compose_train(*line.split(), *SMALL))
