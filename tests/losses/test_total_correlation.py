"""MI + TC + dwKL = KL: the estimators that train beta-TCVAE, and the score that is exact for the rows it is given."""

import itertools
import math
import tracemalloc
from functools import partial

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.special import logsumexp, xlogy

from tests.support.configuration import build_model
from tests.support.small_tables import EPSILON, HALF, A, B
from tests.support.tensors import double, random_double
from vaezoo.evaluation.inputs import Inputs
from vaezoo.evaluation.scores import evaluate_metrics
from vaezoo.losses.schedules import Linear
from vaezoo.losses.total_correlation import kl_decomposition, log_normal, log_weights
from vaezoo.metrics.aggregate import entropies_by_quadrature
from vaezoo.metrics.decomposition import kl_decomposition as score
from vaezoo.metrics.decomposition import log_ratios, marginal_entropy
from vaezoo.metrics.evidence import gaussian_kl

SMALL = ("dataset=digits", "metric=none", "figure=none", "logger=csv")
ESTIMATORS = ("mws", "mss", "mss_uniform")

close = partial(pytest.approx, abs=2e-6)


def decompose(estimator: str, images: float, z, mean, logvar) -> list[float]:
    return [term.item() for term in kl_decomposition(z, mean, logvar, log_weights(estimator, len(z), double(images)))]


# ---- weights ---------------------------------------------------------------------------------------------------


def test_weights_by_hand():
    weights = {name: log_weights(name, 4, double(10)).exp() for name in ESTIMATORS}
    assert weights["mws"].flatten().tolist() == close([1 / 40] * 16)
    odd = (10 - 3) / 30
    mss = double(
        [[0.1, odd, 1 / 3, 1 / 3], [1 / 3, 0.1, odd, 1 / 3], [1 / 3, 1 / 3, 0.1, odd], [odd, 1 / 3, 1 / 3, 0.1]]
    )
    torch.testing.assert_close(weights["mss"], mss)
    torch.testing.assert_close(weights["mss_uniform"], torch.eye(4).double() * 0.1 + (1 - torch.eye(4).double()) * 0.3)


@pytest.mark.parametrize(("batch", "images"), [(2, 2), (2, 100), (3, 3), (5, 7), (64, 737_280)])
def test_rows_of_weights_sum_to_one_and_those_of_mws_to_one_in_n(batch, images):
    ones = torch.ones(batch, dtype=torch.float64)
    for name, total in (("mss", 1), ("mss_uniform", 1), ("mws", 1 / images)):
        torch.testing.assert_close(
            log_weights(name, batch, double(images)).exp().sum(1), ones * total, rtol=1e-12, atol=0
        )


def test_mss_uniform_is_the_mean_of_mss_over_the_column_of_the_odd_weight():
    """Averaging mss over the orders of the other images in the batch."""
    mss = log_weights("mss", 4, double(9)).exp()
    orders = [[0, *order] for order in itertools.permutations((1, 2, 3))]
    mean = torch.stack([mss[0][order] for order in orders]).mean(0)
    torch.testing.assert_close(mean, log_weights("mss_uniform", 4, double(9)).exp()[0])


def test_mss_uniform_of_the_whole_set_is_exact():
    torch.testing.assert_close(log_weights("mss_uniform", 6, double(6)).exp(), torch.full((6, 6), 1 / 6).double())


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_weights_never_wait_for_the_device(estimator):
    """A meta tensor has no value to read back."""
    weights = log_weights(estimator, 4, torch.tensor(10, device="meta"))
    assert (weights.device.type, weights.shape, weights.dtype) == ("meta", (4, 4), torch.float32)
    by_tensor, by_number = log_weights(estimator, 4, torch.tensor(10)), log_weights(estimator, 4, 10)
    assert torch.equal(by_tensor, by_number)
    assert log_weights(estimator, 4, double(10)).dtype == torch.float64
    assert log_weights(estimator, 1, 10).item() == pytest.approx(-math.log(10))  # alone, but finite


def test_an_estimator_that_does_not_exist():
    with pytest.raises(ValueError, match="stratified"):
        log_weights("stratified", 4, 10)  # type: ignore[arg-type]


# ---- the decomposition -----------------------------------------------------------------------------------------


def test_the_terms_add_up_to_the_sampled_kl_for_any_weights():
    z, mean, logvar, weights = (random_double(*shape, seed=s) for s, shape in enumerate([(7, 3)] * 3 + [(7, 7)]))
    terms = kl_decomposition(z, mean, logvar, weights)
    normal = torch.distributions.Normal
    sampled = normal(mean, (0.5 * logvar).exp()).log_prob(z) - normal(double(0), double(1)).log_prob(z)
    torch.testing.assert_close(sum(terms), sampled.sum(1).mean(), rtol=1e-12, atol=1e-12)


def test_the_terms_by_a_plain_loop():
    z, mean, logvar = (random_double(5, 3, seed=s) for s in range(3))
    for estimator in ESTIMATORS:
        w = log_weights(estimator, 5, double(40)).exp().numpy()
        mi = tc = dwkl = 0.0
        for i in range(5):
            joint, marginals = 0.0, np.zeros(3)
            for j in range(5):
                density = stats.norm.pdf(z[i], mean[j], (0.5 * logvar[j]).exp())
                joint += w[i, j] * density.prod()
                marginals += w[i, j] * density
            own = stats.norm.logpdf(z[i], mean[i], (0.5 * logvar[i]).exp()).sum()
            mi += (own - np.log(joint)) / 5
            tc += (np.log(joint) - np.log(marginals).sum()) / 5
            dwkl += (np.log(marginals).sum() - stats.norm.logpdf(z[i]).sum()) / 5
        assert decompose(estimator, 40, z, mean, logvar) == pytest.approx([mi, tc, dwkl], abs=1e-12)


@pytest.mark.parametrize(
    ("means", "expected"), [(A, (1.265440, 0, 0.370854)), (B, (0.686536, 0.578905, 0.370854))], ids="AB"
)
def test_exact_decomposition(means, expected):
    """All images in every batch, so that the weights are exact; 240,000 draws. Also for the score, on its own."""
    n, batches = len(means), 240_000 // len(means)
    z = means + 0.5 * random_double(batches, n, 2)
    logvar = torch.full_like(means, HALF)
    of_batch = partial(kl_decomposition, mean=means, logvar=logvar, log_w=log_weights("mss_uniform", n, double(n)))
    terms = [term.mean().item() for term in torch.vmap(of_batch)(z)]
    assert terms == pytest.approx(expected, abs=0.005)
    assert sum(expected) == pytest.approx(1.636294, abs=2e-6)

    result = score(means.numpy(), logvar.numpy(), np.random.default_rng(0), samples=240_000)
    assert [result["kl_mi"], result["kl_tc"], result["kl_dw"]] == pytest.approx(expected, abs=0.005)
    assert result["kl_dw"] == pytest.approx(expected[2], abs=2e-6)  # nothing is drawn for it


@pytest.mark.parametrize(
    ("images", "weights", "expected"),
    [
        (4, "mss_uniform", (1.373876, 0, 0.312418)),
        (4, "mws", (2.760171, 1.386294, -2.460171)),
        (4, "mss", (1.371836, -0.024346, 0.338805)),
        (100, "mws", (5.979047, 4.605170, -8.897922)),
        (100, "mss", (4.274298, -2.145100, -0.442904)),
        (100, "mss_uniform", (4.275505, -2.141825, -0.447386)),
    ],
)
def test_known_values(images, weights, expected):
    z = A + 0.5 * EPSILON
    terms = kl_decomposition(z, A, torch.full_like(A, HALF), log_weights(weights, 4, double(images)))
    assert [term.item() for term in terms] == close(expected)
    assert sum(terms).item() == close(1.686294)


def test_total_correlation_without_its_constant():
    z, logvar = A + 0.5 * EPSILON, torch.full_like(A, HALF)
    constant_free = kl_decomposition(z, A, logvar, torch.zeros(4, 4).double()).tc.item()
    assert constant_free == close(-1.386294)
    for images in (4, 100):  # (J - 1) ln(NB) lies between
        tc = decompose("mws", images, z, A, logvar)[1]
        assert tc - constant_free == close(math.log(images * 4))
    assert pytest.approx(159.0265, abs=5e-5) == 9 * math.log(737_280 * 64)


def test_the_mean_over_all_batches():
    """Every ordered batch of 3 out of 5: the estimates of q(z_n) average to it, except those of mws."""
    mean, logvar = 1.5 * random_double(5, 2), torch.full((5, 2), HALF, dtype=torch.float64)
    z = mean + 0.5 * random_double(5, 2, seed=1)
    density = log_normal(z[:, None], mean, logvar).sum(2).exp()  # (5, 5): of z_n under posterior m
    ratios = {}
    for name in ESTIMATORS:
        log_w = log_weights(name, 3, double(5))
        estimates = [[] for _ in range(5)]
        for batch in itertools.permutations(range(5), 3):
            rows = (log_w.exp() * density[list(batch)][:, list(batch)]).sum(1)
            for n, estimate in zip(batch, rows, strict=True):
                estimates[n].append(estimate.item())
        ratios[name] = np.mean(estimates, axis=1) / density.mean(1).numpy()
    np.testing.assert_allclose(ratios["mss"], 1, rtol=1e-12)
    np.testing.assert_allclose(ratios["mss_uniform"], 1, rtol=1e-12)
    own = density.diagonal()
    others = (density.sum(1) - own) / 4
    np.testing.assert_allclose(ratios["mws"], (own + 2 * others) / 15 / density.mean(1))
    assert ((ratios["mws"] > 1 / 6) & (ratios["mws"] < 1 / 3)).all()


# ---- limits ----------------------------------------------------------------------------------------------------


def test_posteriors_that_are_the_prior():
    zeros = torch.zeros(8, 3, dtype=torch.float64)
    z = random_double(8, 3)
    for estimator in ("mss", "mss_uniform"):
        assert decompose(estimator, 1000, z, zeros, zeros) == pytest.approx([0, 0, 0], abs=1e-12)
    log_n = math.log(1000)
    assert decompose("mws", 1000, z, zeros, zeros) == close([log_n, 2 * log_n, -3 * log_n])
    assert [log_n, 2 * log_n, -3 * log_n] == pytest.approx([6.9078, 13.8155, -20.7233], abs=5e-5)


def test_posteriors_far_apart():
    mean = 1000 * torch.arange(8).double()[:, None].expand(8, 3)
    z, logvar = mean + random_double(8, 3), torch.zeros(8, 3).double()
    for estimator, log_n in (("mss", math.log(1000)), ("mss_uniform", math.log(1000)), ("mws", math.log(8000))):
        assert decompose(estimator, 1000, z, mean, logvar)[:2] == close([log_n, 2 * log_n])


# ---- numerics --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_gradients_against_finite_differences(estimator):
    leaves = [random_double(4, 3, seed=s).requires_grad_() for s in range(3)]
    log_w = log_weights(estimator, 4, double(50))
    assert torch.autograd.gradcheck(lambda *tensors: tuple(kl_decomposition(*tensors, log_w)), leaves)


def test_densities_that_underflow_leave_finite_terms_and_gradients():
    leaves = [random_double(6, 10, seed=s).float().requires_grad_() for s in range(2)]
    logvar = torch.full((6, 10), -12.0, requires_grad=True)  # sigma 0.0025: squared distances of a million sigmas
    terms = kl_decomposition(*leaves, logvar, log_weights("mss", 6, 100))
    gradients = torch.autograd.grad(sum(terms), [*leaves, logvar])
    assert all(torch.isfinite(tensor).all() for tensor in (*terms, *gradients))


def test_full_precision_under_autocast_and_of_float64():
    z, mean, logvar = (random_double(16, 4, seed=s) for s in range(3))
    log_w = log_weights("mss", 16, double(1000))
    exact = kl_decomposition(z, mean, logvar, log_w)
    assert all(term.dtype == torch.float64 for term in exact)
    single = [t.float() for t in (z, mean, logvar, log_w)]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = kl_decomposition(*single)
        rounded = kl_decomposition(*(t.bfloat16() for t in single))
    assert all(term.dtype == torch.float32 for term in (*inside, *rounded))
    for term, other in zip(inside, kl_decomposition(*single), strict=True):
        assert torch.equal(term, other)
    torch.testing.assert_close([t.double() for t in inside], list(exact), rtol=1e-5, atol=1e-5)


# ---- the model -------------------------------------------------------------------------------------------------


def objective(*overrides: str, images: int = 1000, batch: int = 8, before=None):
    model = build_model("model=betatcvae", *overrides, *SMALL)
    model.train_images.fill_(images)
    if before:
        before(model)
    torch.manual_seed(1)
    return model, model.objective(torch.rand(batch, 1, 8, 8))


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_with_weights_of_one_it_is_the_vae_bit_for_bit(estimator):
    model, terms = objective("model.beta=1", f"model.estimator={estimator}")
    vae = build_model("model=vae", *SMALL)
    torch.manual_seed(1)
    expected = vae.objective(torch.rand(8, 1, 8, 8))
    assert model.form == "elbo"
    assert torch.equal(terms["loss"], expected["loss"])
    gradients = (torch.autograd.grad(t["loss"], list(m.parameters())) for m, t in ((model, terms), (vae, expected)))
    assert all(torch.equal(a, b) for a, b in zip(*gradients, strict=True))


def test_both_forms_are_what_they_say():
    weights = ("model.alpha=0.5", "model.beta=4", "model.gamma=2")
    _, terms = objective("model.form=terms", *weights)
    expected = terms["rec"] + 0.5 * terms["mi"] + 4 * terms["tc"] + 2 * terms["dwkl"]
    torch.testing.assert_close(terms["loss"], expected)
    _, other = objective("model.form=elbo", *weights)
    sampled = terms["mi"] + terms["tc"] + terms["dwkl"]
    torch.testing.assert_close(other["loss"], expected + terms["kl"] - sampled)  # the same but for one sample's noise
    _, plain = objective("model.beta=6")
    torch.testing.assert_close(plain["loss"], plain["rec"] + plain["kl"] + 5 * plain["tc"])


@pytest.mark.parametrize("form", ["terms", "elbo"])
@pytest.mark.parametrize(("weight", "term"), [("alpha", "mi"), ("beta", "tc"), ("gamma", "dwkl")])
def test_the_slope_in_a_weight_is_its_term(form, weight, term):
    _, first = objective(f"model.form={form}", f"model.{weight}=2")
    _, second = objective(f"model.form={form}", f"model.{weight}=3")
    assert first[term] == second[term]
    torch.testing.assert_close(second["loss"] - first["loss"], first[term], rtol=1e-4, atol=1e-4)
    _, warming = objective(
        f"model.form={form}",
        f"model.{weight}=2",
        before=lambda model: (setattr(model, weight, Linear(0.0, 4.0, 100)), model.batches.fill_(50)),
    )
    torch.testing.assert_close(warming["loss"], first["loss"])
    assert warming[weight] == 2
    assert weight not in first


@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize(("images", "batch", "n"), [(1000, 8, 1000), (1000, 3, 1000), (5, 8, 8)])
def test_a_batch_counts_its_own_images_and_the_set_is_never_smaller(estimator, images, batch, n):
    model, terms = objective(f"model.estimator={estimator}", images=images, batch=batch)
    torch.manual_seed(1)
    q = model.encode(torch.rand(batch, 1, 8, 8))
    expected = decompose(estimator, n, q.sample().double(), q.mean.double(), q.logvar.double())
    assert [terms[key].item() for key in ("mi", "tc", "dwkl")] == pytest.approx(expected, abs=1e-4)


def test_a_single_image_gives_finite_terms_and_no_gradient_of_its_own():
    model, terms = objective("model.estimator=mss", batch=1)
    assert torch.isfinite(terms["loss"])
    gradients = torch.autograd.grad(terms["tc"], list(model.encoder.parameters()))
    assert all(torch.allclose(gradient, torch.zeros(()), atol=1e-5) for gradient in gradients)


# ---- the score -------------------------------------------------------------------------------------------------


def posteriors(rows: int, dims: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Float32 means and log variances that nobody may change, with correlated dimensions of several scales."""
    rng = np.random.default_rng(seed)
    codes = rng.normal(size=(rows, dims)) @ (np.eye(dims) + 0.5 * rng.normal(size=(dims, dims)))
    logvars = -2.5 + rng.normal(size=(rows, dims))
    arrays = codes.astype(np.float32), logvars.astype(np.float32)
    for array in arrays:
        array.setflags(write=False)
    return arrays


def independent() -> tuple[np.ndarray, np.ndarray]:
    """Independent dimensions with posteriors of sigma 0.1."""
    codes = np.random.default_rng(0).normal(size=(3000, 8)).astype(np.float32)
    return codes, np.full_like(codes, 2 * math.log(0.1))


def entropy(mu: np.ndarray, sigma: np.ndarray, points: int = 1201) -> float:
    """Of an equal mixture of Gaussians in one or two dimensions, by the rectangle rule on a fine grid."""
    axes = [
        np.linspace(low, high, points)
        for low, high in zip((mu - 8 * sigma).min(0), (mu + 8 * sigma).max(0), strict=True)
    ]
    densities = [stats.norm.pdf(axis[:, None], m, s) for axis, m, s in zip(axes, mu.T, sigma.T, strict=True)]
    q = densities[0].mean(1) if len(axes) == 1 else densities[0] @ densities[1].T / len(mu)
    return -float(xlogy(q, q).sum() * np.prod([axis[1] - axis[0] for axis in axes]))


@pytest.mark.parametrize("dims", [1, 2])
def test_score_against_numerical_integration(dims):
    codes, logvars = posteriors(9, dims, seed=dims)
    mu, sigma = codes.astype(float), np.exp(0.5 * logvars.astype(float))
    joint, marginals = entropy(mu, sigma), [entropy(mu[:, [d]], sigma[:, [d]]) for d in range(dims)]
    given = stats.norm.entropy(mu, sigma).sum(1).mean()
    prior = -stats.norm.expect(lambda z: stats.norm.logpdf(z)) - 0.5  # ½ ln 2π
    cross = dims * prior + 0.5 * (mu**2 + sigma**2).sum(1).mean()
    result = score(codes, logvars, np.random.default_rng(0), samples=90_000)
    within = 5 * result["kl_mi_error"]
    assert within < 0.02
    assert result["kl_mi"] == pytest.approx(joint - given, abs=within)
    assert result["kl_tc"] == pytest.approx(sum(marginals) - joint, abs=within)
    assert result["kl_dw"] == pytest.approx(cross - sum(marginals), abs=2e-5)
    assert result["kl_dw"] == pytest.approx(result["kl_dw_per_dim"].sum())
    assert abs(result["kl_mi"]) > 0.3


@pytest.mark.parametrize("components", [None, 700])
def test_score_adds_up_to_the_mean_kl_of_its_rows(components):
    codes, logvars = posteriors(700, 6)
    result = score(codes, logvars, np.random.default_rng(0), samples=300, components=components)
    total = result["kl_mi"] + result["kl_tc"] + result["kl_dw"]
    assert total == pytest.approx(gaussian_kl(codes, logvars).sum(), abs=2e-4)
    assert result["kl_components"] == 700


def test_score_says_when_information_is_at_its_ceiling():
    codes = 100 * np.arange(50, dtype=np.float32)[:, None] * np.ones(2, np.float32)
    far = score(codes, np.zeros_like(codes), np.random.default_rng(0), samples=500)
    assert far["kl_mi"] == pytest.approx(np.log(50), abs=1e-6)
    assert far["saturated"] is True
    near = score(codes / 1000, np.zeros_like(codes), np.random.default_rng(0), samples=500)
    assert near["saturated"] is False


def test_joint_densities_by_plain_broadcasting():
    """More rows and samples than one block of either; a sample's own row among them."""
    codes, logvars = posteriors(5000, 3)
    mu, sigma = codes.astype(float) + 100, np.exp(0.5 * logvars.astype(float))
    ratios = log_ratios(mu, sigma, np.random.default_rng(3), 6000)
    rng = np.random.default_rng(3)
    drawn = np.resize(rng.permutation(5000), 6000)
    assert np.bincount(drawn).tolist() == [1 + (row in set(drawn[5000:])) for row in range(5000)]
    z = mu[drawn] + sigma[drawn] * rng.standard_normal((6000, 3))
    for s in range(0, 6000, 97):
        log_q = stats.norm.logpdf(z[s], mu, sigma).sum(1)
        assert ratios[s] == pytest.approx(log_q[drawn[s]] - logsumexp(log_q) + np.log(5000), abs=1e-8)


def test_training_estimate_and_score_agree_when_the_batch_is_the_whole_set():
    codes, logvars = posteriors(48, 4)
    mean, logvar = torch.tensor(codes).double(), torch.tensor(logvars).double()
    z = mean + (0.5 * logvar).exp() * random_double(500, 48, 4)
    of_batch = partial(kl_decomposition, mean=mean, logvar=logvar, log_w=log_weights("mss_uniform", 48, double(48)))
    estimates = torch.stack(list(torch.vmap(of_batch)(z))).numpy()  # (3, 500)
    error = estimates.std(axis=1) / np.sqrt(500)
    result = score(codes, logvars, np.random.default_rng(0), samples=24_000)
    exact = [result["kl_mi"], result["kl_tc"], result["kl_dw"]]
    assert (np.abs(estimates.mean(axis=1) - exact) < 5 * (error + result["kl_mi_error"])).all()


def test_collapsed_posteriors_have_nothing_to_split():
    zeros = np.zeros((500, 5), np.float32)
    result = score(zeros, zeros, np.random.default_rng(0))
    assert [result["kl_mi"], result["kl_tc"], result["kl_dw"]] == pytest.approx([0, 0, 0], abs=1e-5)
    assert result["kl_mi_error"] == pytest.approx(0, abs=1e-9)
    point = score(zeros + 3, zeros - 30, np.random.default_rng(0))  # a single narrow posterior far from the prior
    assert [point["kl_mi"], point["kl_tc"]] == pytest.approx([0, 0], abs=1e-3)
    assert point["kl_dw"] == pytest.approx(gaussian_kl(zeros + 3, zeros - 30).sum(), abs=1e-3)


@pytest.mark.parametrize("logvar", [-9.0, -30.0, -60.0])  # the last is narrower than float32 codes can tell
def test_posteriors_far_apart_tell_the_image(logvar):
    codes = np.tile(np.linspace(-2, 2, 20, dtype=np.float32)[:, None], (1, 3))
    logvars = np.full_like(codes, logvar)
    result = score(codes, logvars, np.random.default_rng(0), samples=500)
    assert result["kl_mi"] == pytest.approx(np.log(20), abs=1e-6)
    assert result["kl_tc"] == pytest.approx(2 * np.log(20), abs=1e-4)
    if logvar > -40:
        assert sum(result[key] for key in ("kl_mi", "kl_tc", "kl_dw")) == pytest.approx(
            gaussian_kl(codes, logvars).sum(), abs=1e-4
        )


def test_fewer_components_are_another_aggregate_posterior():
    codes, logvars = independent()
    few, some, many = (
        score(codes, logvars, np.random.default_rng(0), samples=200, components=n) for n in (50, 1000, None)
    )
    assert [result["kl_components"] for result in (few, some, many)] == [50, 1000, 3000]
    assert few["kl_mi"] == pytest.approx(np.log(50), abs=0.05)
    assert many["kl_mi"] > some["kl_mi"] + 0.5 > few["kl_mi"] + 2
    assert many["kl_tc"] < some["kl_tc"] - 0.5  # the truth is 0: independent codes


def test_the_standard_error_is_that_of_repeated_scores():
    codes, logvars = posteriors(500, 3)
    results = [score(codes, logvars, np.random.default_rng(s), samples=50) for s in range(40)]
    spread = np.std([r["kl_mi"] for r in results], ddof=1)
    assert np.mean([r["kl_mi_error"] for r in results]) == pytest.approx(spread, rel=0.35)
    np.testing.assert_allclose([r["kl_mi"] + r["kl_tc"] for r in results], results[0]["kl_mi"] + results[0]["kl_tc"])


@pytest.mark.parametrize("scale", [1e-5, 1e-2])
def test_entropies_of_fine_and_coarse_posteriors_against_quadrature(scale):
    """Too fine for the grid, and not; clusters of two overlapping posteriors among others far away."""
    rng = np.random.default_rng(0)
    mu = np.repeat(np.linspace(-1, 1, 20), 2) + scale * rng.normal(size=40)
    sigma = scale * np.exp(0.3 * rng.normal(size=40))
    expected = entropies_by_quadrature(mu, sigma, np.zeros((40, 1), int), np.array([1]))[0]
    assert marginal_entropy(mu, sigma, rng, 40_000) == pytest.approx(expected, abs=0.01 if scale == 1e-5 else 1e-5)


def test_scales_and_the_order_of_dimensions_leave_information_alone():
    codes, logvars = posteriors(400, 3)
    scale = np.array([-7, 0.01, 3])
    first = score(codes, logvars, np.random.default_rng(0), samples=2000)
    mapped = codes * scale + (1, 0, -2)
    second = score(mapped, logvars + 2 * np.log(np.abs(scale)), np.random.default_rng(0), samples=2000)
    swapped = score(codes[:, [2, 0, 1]], logvars[:, [2, 0, 1]], np.random.default_rng(0), samples=2000)
    for other in (second, swapped):
        assert abs(other["kl_mi"] - first["kl_mi"]) < 5 * first["kl_mi_error"]
        assert abs(other["kl_tc"] - first["kl_tc"]) < 5 * first["kl_mi_error"]
    assert swapped["kl_dw"] == pytest.approx(first["kl_dw"])
    assert abs(second["kl_dw"] - first["kl_dw"]) > 1
    wide = score(codes.astype(float), logvars.astype(float), np.random.default_rng(0), samples=2000)
    assert wide["kl_mi"] == pytest.approx(first["kl_mi"], abs=1e-9)


def test_the_seed_decides_everything_and_the_global_state_is_left_alone():
    codes, logvars = posteriors(600, 4)
    np.random.seed(5)  # noqa: NPY002
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    torch_before = torch.get_rng_state()
    first, again, other = (
        score(codes, logvars, np.random.default_rng(s), samples=300, components=500) for s in (4, 4, 5)
    )
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002
    assert torch.equal(torch.get_rng_state(), torch_before)
    assert all(np.array_equal(first[key], again[key]) for key in first)
    assert first["kl_mi"] != other["kl_mi"]


def test_memory_stays_bounded():
    codes, logvars = posteriors(40_000, 10)
    tracemalloc.start()
    score(codes, logvars, np.random.default_rng(0), samples=1024, components=None)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100e6


def test_the_report_names_each_part_and_skips_codes_without_density():
    codes, logvars = posteriors(300, 4)
    metrics = {"kl_decomposition": partial(score, samples=100)}
    reported = evaluate_metrics(metrics, Inputs(codes=codes, logvars=logvars), seed=0, repeats=2)
    assert {"eval/kl_mi", "eval/kl_tc", "eval/kl_dw", "eval/kl_components", "eval/kl_mi/sd"} <= set(reported.values)
    assert reported.protocols["kl_decomposition"]["samples"] == 100
    nothing = evaluate_metrics(metrics, Inputs(codes=codes, logvars=None), seed=0, repeats=1)
    assert nothing.skipped == {"kl_decomposition": "there is no logvars"}
