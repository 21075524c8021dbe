"""What published mistakes change, in nats and in scores, on small tables, against truths found in another way.

The mistakes are in tests/support/mistakes.py; what they do to trained models is in tests/models/test_mistakes_slow.py.
"""

import itertools
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy import linalg, stats
from scipy.special import xlogy
from sklearn.datasets import load_digits

from tests.support import mistakes
from tests.support.covariances import MEANS as CODES
from tests.support.covariances import VARIANCES, penalty
from tests.support.mixtures import LOGVAR, LOGVARS, MEAN, MEANS
from tests.support.mmd import expected_mmd2
from tests.support.small_tables import EPSILON, HALF, A, B
from tests.support.tensors import double, random_double
from vaezoo.data.readers.grids import make_grid
from vaezoo.latents.gaussian import GaussianPosterior
from vaezoo.likelihoods import Bernoulli, Gaussian
from vaezoo.losses.mixture import mixture_kl
from vaezoo.losses.mmd import kernel_matrix, mmd2
from vaezoo.losses.total_correlation import kl_decomposition, log_normal, log_weights
from vaezoo.metrics.decomposition import kl_decomposition as score
from vaezoo.metrics.entropies import gap
from vaezoo.metrics.mig import mig_exact
from vaezoo.metrics.sharpness import variances
from vaezoo.metrics.votes import factor_vae
from vaezoo.models.dipvae import Moments, batch_moments, covariance, covariance_gap, running_moments
from vaezoo.models.factorvae import discriminator_loss, permute_dims, total_correlation

WEIGHTS = {
    "right": log_weights("mss", 32, double(512)),
    "columns": mistakes.stratified_in_columns(32, double(512)),
    "weighted": log_weights("mws", 32, double(512)),
    "no constant": mistakes.without_constant(32),
    "one batch": mistakes.set_of_one_batch(32),
}


# Means of 512 posteriors of deviation 0.3, correlated latents.
TABLE = random_double(512, 3) @ (torch.eye(3).double() + 0.5 * random_double(3, 3, seed=1))


def close(expected):
    return pytest.approx(expected, abs=5e-5)


def dip(c: torch.Tensor, lambda_od: float, lambda_d: float) -> float:
    off_diagonal, diagonal = covariance_gap(c)
    return (lambda_od * off_diagonal + lambda_d * diagonal).item()


# ---- total correlation -----------------------------------------------------------------------------------------


def test_stratified_weights_in_columns_by_hand():
    """From the third image on a code's own posterior has 1/M in the place of 1/N, and row M-1 does not sum to 1."""
    usual, odd = [0.1, 7 / 30, 1 / 3, 1 / 3], [7 / 30, 7 / 30, 1 / 3, 1 / 3]
    weights = mistakes.stratified_in_columns(4, double(10)).exp()
    torch.testing.assert_close(weights, double([usual, usual, odd, usual]))
    assert weights.sum(1).tolist() == close([1, 1, 1.1333, 1])


def test_stratified_weights_in_columns_lose_what_is_known_of_images_far_apart():
    """Of 1,000 images far apart each code tells ln 1000 = 6.908 nats; a batch of 8 in columns says 2.567."""
    mean = 1000 * torch.arange(8).double()[:, None].expand(8, 3)
    z, logvar = mean + random_double(8, 3), torch.zeros(8, 3).double()
    right, wrong = (
        kl_decomposition(z, mean, logvar, w(8, double(1000))).mi.item()
        for w in (lambda batch, images: log_weights("mss", batch, images), mistakes.stratified_in_columns)
    )
    assert right == close(math.log(1000))
    assert wrong == close((math.log(1000) + math.log(7000 / 993) + 6 * math.log(7)) / 8)
    assert wrong == pytest.approx(2.567, abs=5e-4)


def test_stratified_weights_in_columns_find_more_than_there_is():
    """Over all batches of 3 out of 5 images, an estimate of q(z_n) that is 1.50 to 1.66 times too large on average.

    f is how much of q(z_n) the posterior of image n itself contributes: 5 (f / 3 + 0.7 (1 - f) / 4).
    """
    mean = double([[-4, 0], [-2, 0.5], [0, -0.5], [2, 0.5], [4.5, 0]])
    z, logvar = mean + 0.5 * random_double(5, 2, seed=3).clamp(-1, 1), torch.full_like(mean, HALF)
    density = log_normal(z[:, None], mean, logvar).sum(2).exp()  # of z_n under posterior m
    f = density.diagonal() / density.sum(1)
    wrong, right = mistakes.stratified_in_columns(3, double(5)), log_weights("mss", 3, double(5))
    for log_w, expected in ((wrong, 5 * (f / 3 + 0.7 * (1 - f) / 4)), (right, torch.ones(5).double())):
        total = torch.zeros(5, dtype=torch.float64)
        for batch in map(list, itertools.permutations(range(5), 3)):
            total[batch] += (log_w.exp() * density[batch][:, batch]).sum(1)
        ratios = total / 36 / density.mean(1)  # each image is in 36 of the 60 batches
        torch.testing.assert_close(ratios, expected)
        assert log_w is right or ((ratios > 1.50) & (ratios < 1.67)).all()


def test_known_values_of_stratified_weights_in_columns():
    """Four posteriors of N = 100: MI is 1.96 nats and TC -0.64, where the right matrix has 4.27 and -2.15."""
    z, logvar = A + 0.5 * EPSILON, torch.full_like(A, HALF)
    wrong, right = (
        [term.item() for term in kl_decomposition(z, A, logvar, log_w)]
        for log_w in (mistakes.stratified_in_columns(4, double(100)), log_weights("mss", 4, double(100)))
    )
    assert wrong == pytest.approx([1.963945, -0.644021, 0.366370], abs=2e-6)
    assert right == pytest.approx([4.274298, -2.145100, -0.442904], abs=2e-6)


def decompositions(reps: int = 8) -> dict[str, list[float]]:
    """Mean MI, TC and dwKL of 512 correlated posteriors, exactly and by batches of 32, on the same draws."""
    mean, logvar = TABLE, torch.full_like(TABLE, 2 * math.log(0.3))
    found: dict[str, list[list[float]]] = {name: [] for name in ("exact", *WEIGHTS)}
    for rep in range(reps):
        z = mean + 0.3 * random_double(512, 3, seed=100 + rep)
        order = torch.randperm(512, generator=torch.Generator().manual_seed(rep))
        found["exact"].append(
            [t.item() for t in kl_decomposition(z, mean, logvar, log_weights("mss_uniform", 512, double(512)))]
        )
        for name, log_w in WEIGHTS.items():
            found[name] += [
                [t.item() for t in kl_decomposition(z[r], mean[r], logvar[r], log_w)] for r in order.split(32)
            ]
    return {name: np.mean(terms, axis=0).tolist() for name, terms in found.items()}


def test_what_every_estimator_says_of_one_table():
    """MI, TC and dwKL of 512 posteriors; the first row is the truth, all others estimate it from batches of 32.

    exact          3.16    0.20     0.55
    right          3.62   -0.05     0.35
    columns        2.60    0.56     0.76
    weighted       8.83   13.04   -17.95
    no constant   -0.88   -6.36    11.16
    one batch      6.05    7.50    -9.63

    The right weights are unbiased for q(z), not for its logarithm; what is wrong is on the other side of the truth.
    """
    found = decompositions()
    for name, terms in {
        "exact": [3.162, 0.202, 0.554],
        "right": [3.618, -0.048, 0.349],
        "columns": [2.603, 0.556, 0.759],
        "weighted": [8.826, 13.044, -17.951],
        "no constant": [-0.878, -6.364, 11.161],
        "one batch": [6.053, 7.498, -9.633],
    }.items():
        assert found[name] == pytest.approx(terms, abs=0.001), name
    independent = score(
        TABLE.numpy(), np.full(TABLE.shape, 2 * math.log(0.3)), np.random.default_rng(0), samples=20_000
    )
    for name, term in zip(("kl_mi", "kl_tc", "kl_dw"), found["exact"], strict=True):
        assert independent[name] == pytest.approx(term, abs=0.02)
    log_nb, log_n_over_b = math.log(512 * 32), math.log(512 / 32)
    gap_to = {name: np.subtract(found["weighted"], found[name]) for name in ("no constant", "one batch")}
    np.testing.assert_allclose(gap_to["no constant"], np.multiply(log_nb, [1, 2, -3]))  # 1, J - 1 and -J times
    np.testing.assert_allclose(gap_to["one batch"], np.multiply(log_n_over_b, [1, 2, -3]))


def test_constants_of_dsprites_and_what_they_train():
    """159 nats without 1/(NB), 84 with N = B, at N = 737,280, B = 64 and J = 10; no gradient knows."""
    assert close(159.0265) == 9 * math.log(737_280 * 64)
    assert close(84.1666) == 9 * math.log(737_280 / 64)
    z, mean, logvar = (random_double(32, 4, seed=s).requires_grad_() for s in range(3))
    terms = [kl_decomposition(z, mean, logvar, WEIGHTS[name]) for name in ("weighted", "no constant", "one batch")]
    gradients = [torch.autograd.grad(t.tc, [z, mean, logvar], retain_graph=True) for t in terms]
    torch.testing.assert_close(gradients[1], gradients[0])
    torch.testing.assert_close(gradients[2], gradients[0])


def test_stratified_weights_in_columns_train_as_weighted_sampling_does():
    """Gradients of TC at N = 737,280, B = 64, J = 10: a cosine of 0.99 to those of mws, of 0.25 to mss."""
    mean, epsilon = random_double(64, 10).requires_grad_(), random_double(64, 10, seed=1)
    logvar = torch.full((64, 10), 2 * math.log(0.7), dtype=torch.float64).requires_grad_()
    n = double(737_280)
    slopes = []
    for log_w in (mistakes.stratified_in_columns(64, n), log_weights("mws", 64, n), log_weights("mss", 64, n)):
        z = mean + (0.5 * logvar).exp() * epsilon
        gradient = torch.autograd.grad(kl_decomposition(z, mean, logvar, log_w).tc, [mean, logvar])
        slopes.append(torch.cat([part.flatten() for part in gradient]))
    columns, weighted, right = slopes
    assert F.cosine_similarity(columns, weighted, dim=0).item() == pytest.approx(0.9912, abs=5e-4)
    assert F.cosine_similarity(columns, right, dim=0).item() == pytest.approx(0.2498, abs=5e-4)


def test_a_variance_for_a_deviation_narrows_what_the_total_correlation_sees():
    """Two posteriors of deviation 1/2 at (-1, -1) and (1, 1): 0.579 nats, and 0.426 where theirs are taken for 1/4."""
    grid_, step = np.linspace(-6, 6, 1201, retstep=True)

    def log_densities(sigma: float) -> tuple[np.ndarray, np.ndarray]:
        """log q(z) and the sum of log q(z_d) on the grid; both latents have the same marginal."""
        each = stats.norm.pdf(grid_[:, None], [-1, 1], sigma)
        with np.errstate(divide="ignore"):
            return np.log(each @ each.T / 2), np.log(each.mean(1))[:, None] + np.log(each.mean(1))

    q = np.exp(log_densities(0.5)[0])
    truth, narrowed = ((q * (joint - apart)).sum() * step**2 for joint, apart in map(log_densities, (0.5, 0.25)))
    assert truth == close(0.578905)
    assert narrowed == close(0.426382)
    log_w, logvar = log_weights("mss_uniform", 2, double(2)), torch.full_like(B, HALF)
    z = B + 0.5 * random_double(60_000, 2, 2)
    for seen, expected in ((logvar, truth), (mistakes.variance_as_deviation(logvar), narrowed)):
        terms = torch.vmap(lambda draw, seen=seen: kl_decomposition(draw, B, seen, log_w))(z)
        assert terms.tc.mean().item() == pytest.approx(expected, abs=0.01)


# ---- scales ----------------------------------------------------------------------------------------------------


def test_a_softplus_on_scales_leaves_a_latent_a_third_of_a_nat():
    """A latent with N(0, 1) for its aggregate tells -ln sigma: at most 0.367 nats, where sigma = e^-3 would tell 3."""
    means = torch.tensor(stats.norm.ppf((np.arange(20_000) + 0.5) / 20_000))[:, None]
    for logvar, expected in ((-6.0, 3.0), (mistakes.softplus_of_scale(double(-6.0)).item(), 0.3308)):
        q = GaussianPosterior(means * math.sqrt(1 - math.exp(logvar)), torch.full_like(means, logvar))
        assert q.kl().mean().item() == pytest.approx(expected, abs=2e-4)
    narrowest = mistakes.softplus_of_scale(double(-60.0)).item()
    assert -0.5 * narrowest == close(-math.log(math.log(2)))
    assert -0.5 * narrowest == close(0.3665)


def test_a_softplus_on_the_scale_of_pixels_is_a_variance_of_a_half():
    """The decoder's "fixed 0.01" is a deviation of 0.698160: the weight of the squared error is 1.026, not 5,000."""
    scale = F.softplus(double(0.01)).item()
    assert scale == pytest.approx(0.698160, abs=5e-7)
    assert scale**2 == pytest.approx(0.487427, abs=5e-7)
    x, output = random_double(3, 3, 8, 8).sigmoid(), random_double(3, 3, 8, 8, seed=1)
    torch.testing.assert_close(
        Gaussian(output, variance=scale**2).rec(x), 1.025795 * Gaussian(output).rec(x), rtol=2e-6, atol=0
    )


@pytest.mark.parametrize(
    ("shape", "beta"), [((3, 64, 64), 3.072), ((1, 64, 64), 1.024), ((3, 28, 28), 0.588), ((1, 28, 28), 0.196)]
)
@pytest.mark.parametrize("likelihood", ["squares", "cross-entropy"])
def test_what_beta_a_weight_of_the_kl_is_where_pixels_are_averaged(shape, beta, likelihood):
    """kld_weight = 0.00025: P times the loss is rec + 0.00025 P KL."""
    assert mistakes.beta_of_pixel_means(0.00025, *shape) == pytest.approx(beta, rel=1e-12)
    x, output = random_double(2, *shape).sigmoid(), random_double(2, *shape, seed=1)
    kl = GaussianPosterior(random_double(2, 10), random_double(2, 10, seed=1)).kl().sum(1).mean()
    if likelihood == "squares":
        averaged, summed = F.mse_loss(output, x), Gaussian(output, link="identity").rec(x).mean()
    else:
        averaged, summed = F.binary_cross_entropy_with_logits(output, x), Bernoulli(output).rec(x).mean()
    torch.testing.assert_close((averaged + 0.00025 * kl) * math.prod(shape), summed + beta * kl)


@pytest.mark.parametrize("likelihood", [Bernoulli, Gaussian])
def test_averaged_channels_make_a_third_of_the_reconstruction(likelihood):
    """And gamma = 100, tuned with it, is 300 where channels are summed."""
    x, output = random_double(2, 3, 4, 4).sigmoid(), random_double(2, 3, 4, 4, seed=1)
    each = likelihood(output.reshape(-1, 1, 1, 1)).rec(x.reshape(-1, 1, 1, 1)).view(x.shape)
    torch.testing.assert_close(mistakes.mean_over_channels(likelihood(output).rec(x), 3), each.mean(1).sum((1, 2)))


def test_a_modulus_of_each_image_charges_for_their_differences():
    """KL = (3, 7) at C = 5 costs 2 nats instead of 0; KLs that scatter by 5 nats around C, 3.99, times gamma."""
    kl = double([3, 7])
    assert mistakes.modulus_of_each_image(kl, 5).item() == 2
    assert (kl.mean() - 5).abs().item() == 0
    scattered = torch.tensor(25 + 5 * stats.norm.ppf((np.arange(20_000) + 0.5) / 20_000))
    assert mistakes.modulus_of_each_image(scattered, 25).item() == pytest.approx(5 * math.sqrt(2 / math.pi), abs=1e-3)


# ---- DIP-VAE ---------------------------------------------------------------------------------------------------


def test_a_scalar_on_every_entry_charges_codes_that_are_white():
    """Ten latents, Cov[mu] = I/2, variances of 1/2: C = I costs nothing, and 22.5 lambda_od with the scalar."""
    means = torch.tensor(linalg.hadamard(16)[:, 1:11]).double() * math.sqrt(0.5)
    halves = torch.full_like(means, 0.5)
    draws = means.repeat(20_000, 1) + math.sqrt(0.5) * random_double(320_000, 10)
    torch.testing.assert_close(draws.T.cov(), torch.eye(10).double(), rtol=0, atol=0.02)
    assert penalty(means, 1, 1, "ii", halves).item() == pytest.approx(0, abs=1e-12)
    assert dip(mistakes.scalar_everywhere(means, halves), 1, 1) == pytest.approx(22.5)


def test_known_values_of_the_mistakes_of_dipvae():
    """Nats at the same lambdas; right are 10.625 of type ii at (10, 10) and 36.25 of type i at (10, 100)."""
    right_ii = penalty(CODES, 10, 10, "ii", VARIANCES).item()
    right_i = penalty(CODES, 10, 100).item()
    assert (right_ii, right_i) == pytest.approx((10.625, 36.25))
    assert dip(mistakes.scalar_everywhere(CODES, VARIANCES), 10, 10) == pytest.approx(25.625)
    assert dip(mistakes.scatter_over_latents(CODES), 10, 100) == pytest.approx(20)
    c = covariance(batch_moments(CODES, VARIANCES.log()), "i")
    assert dip(c + mistakes.variance_squared(VARIANCES.log()).mean(0).diag(), 10, 10) == close(8.0664)
    assert dip(CODES.T.cov(), 10, 100) == close(64.4444)  # 1/(B-1)


def variances_of_codes(decay: float, *, grad_rescale: bool) -> list[float]:
    """Sum of the variances of two codes over 400 batches of noise, of a network that minimises DIP-VAE-I's penalty."""
    torch.manual_seed(0)
    widths = itertools.pairwise([4, 16, 16, 16, 2])
    layers = [layer for a, b in widths for layer in (torch.nn.Linear(a, b), torch.nn.ReLU())]
    network = torch.nn.Sequential(*layers[:-1])
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-2)
    past, found = Moments(torch.zeros(2), torch.zeros(2, 2), torch.zeros(2)), []
    for batch in range(400):
        means = network(torch.randn(64, 4))
        moments = batch_moments(means, torch.zeros_like(means))
        found.append(covariance(moments, "i").trace().item())
        weight = torch.tensor((1 - decay) / (1 - decay ** (batch + 1)))
        average = running_moments(past, moments, weight, grad_rescale=grad_rescale)
        past = Moments(*(value.detach() for value in average))
        off_diagonal, diagonal = covariance_gap(covariance(average, "i"))
        optimizer.zero_grad()
        (off_diagonal + 10 * diagonal).backward()
        optimizer.step()
    return found[200:]


@pytest.mark.parametrize("grad_rescale", [True, False])
def test_a_running_covariance_swings_where_that_of_the_batch_settles(grad_rescale):
    """An average over ten batches says what the codes were: by the time that it sees them wide, they are far too wide,
    and they are gone before it sees that. Nothing stops the swing, whether the gradient is rescaled or not."""
    settled = variances_of_codes(0.0, grad_rescale=grad_rescale)
    swinging = variances_of_codes(0.9, grad_rescale=grad_rescale)
    assert np.mean(settled) == pytest.approx(2, abs=0.3)
    assert np.mean(swinging) < 1
    assert min(swinging) < 0.2 < 1 < min(settled)


def test_sums_in_the_place_of_means_ask_for_another_variance():
    """Without 1/B the diagonal is content at a variance of 1/B, and lambda_od is B^2 times what it says."""
    scatter = CODES - CODES.mean(0)
    scatter = scatter.T @ scatter
    c = double([[1.25, 0.5], [0.5, 0.5]])
    torch.testing.assert_close(scatter, 4 * c)
    assert penalty(CODES, 1, 0).item() * 4**2 == pytest.approx(2 * scatter[0, 1].item() ** 2)
    whitened = double([[1, 1], [1, -1], [-1, 1], [-1, -1]]) / 2  # variances of 1/4
    torch.testing.assert_close(whitened.T @ whitened, torch.eye(2).double())
    assert penalty(whitened, 0, 1).item() == pytest.approx(2 * 0.75**2)


# ---- FactorVAE -------------------------------------------------------------------------------------------------


def swapped_pair(log_q: np.ndarray) -> np.ndarray:
    """The best log ratio of q(z) to q(z) with permuted rows, two latents, on a square grid."""
    return log_q - np.logaddexp(log_q, log_q.T) + math.log(2)


def test_permuted_rows_find_dependence_where_there_is_none():
    """Independent latents of deviations 1 and 0.2 would have a total correlation of 0.455 nats, by quadrature."""
    z, step = np.linspace(-6, 6, 1601, retstep=True)
    log_q = stats.norm.logpdf(z)[:, None] + stats.norm.logpdf(z, scale=0.2)
    found = (np.exp(log_q) * swapped_pair(log_q)).sum() * step**2
    assert found == pytest.approx(0.4547, abs=5e-4)

    torch.manual_seed(0)
    scale = double([1.0, 0.2])
    first, second = torch.randn(2, 200_000, 2, dtype=torch.float64) * scale

    def best(codes: torch.Tensor) -> torch.Tensor:
        straight, swapped = (log_normal(codes, codes * 0, 2 * s.log()).sum(1) for s in (scale, scale.flip(0)))
        ratio = straight - torch.logaddexp(straight, swapped) + math.log(2)
        return torch.stack([ratio, torch.zeros_like(ratio)], dim=1)

    assert total_correlation(best(first)).item() == pytest.approx(found, abs=0.005)
    by_rows, right = (
        discriminator_loss(best(first), best(permute(second))) for permute in (mistakes.permuted_rows, permute_dims)
    )
    assert by_rows < 0.6 < math.log(2) < right, "the right permutation leaves it nothing to see"


def test_permuted_rows_miss_dependence_where_it_is():
    """Two latents N(0, 1) with correlation 0.8 have 0.511 nats; their permuted rows are correlated as they are: 0."""
    z, step = np.linspace(-6, 6, 801, retstep=True)
    pair = stats.multivariate_normal([0, 0], [[1, 0.8], [0.8, 1]])
    log_q = pair.logpdf(np.dstack(np.meshgrid(z, z)))
    truth = (xlogy(np.exp(log_q), np.exp(log_q - np.add.outer(*2 * [stats.norm.logpdf(z)])))).sum() * step**2
    assert truth == close(-0.5 * math.log(1 - 0.8**2))
    assert (np.exp(log_q) * swapped_pair(log_q)).sum() * step**2 == pytest.approx(0, abs=1e-9)
    torch.manual_seed(0)
    codes = torch.tensor(pair.rvs(50_000, random_state=0))
    by_rows, right = (permute(codes).T.corrcoef()[0, 1] for permute in (mistakes.permuted_rows, permute_dims))
    assert by_rows.item() == pytest.approx(0.8, abs=0.01)
    assert right.item() == pytest.approx(0, abs=0.02)


# ---- InfoVAE, InfoGAN, GMVAE, the cross-entropy ------------------------------------------------------------------


def test_averaged_distances_flatten_the_kernel_and_the_weight_takes_the_rest():
    """q(z) = N(1/2, I/4), J = 10, lambda = 1000, B = 64: of a penalty of 192 nats 0.003 are left.

    The kernel has a bandwidth of 400 where the right one has 20, and MMD^2 is 0.0124 instead of 0.192; its weight is
    divided by 64 * 63 besides.
    """
    right, flat = (expected_mmd2([0.5] * 10, [0.25] * 10, c) for c in (20, 400))
    assert (right, flat) == pytest.approx((0.192259, 0.012408), abs=5e-7)
    z, prior = 0.5 + 0.5 * random_double(800, 10), random_double(800, 10, seed=1)
    assert mmd2(z, prior, "rbf", 20).item() == pytest.approx(right, rel=0.1)
    assert mistakes.mmd2_of_averaged_distances(z, prior).item() == pytest.approx(flat, rel=0.1)
    averaged = torch.exp(-(z[:5, None] - prior).square().mean(2) / (2 * 10 * 2))
    torch.testing.assert_close(averaged, kernel_matrix(z[:5], prior, "rbf", 400))
    assert 999 * right == pytest.approx(192.07, abs=0.005)
    assert mistakes.weight_by_pairs(999, 64) * flat == close(0.0031)


def test_information_under_the_wrong_prior_is_too_large_by_its_divergence():
    """At perfect recovery of U(-1, 1) with Q = N(x, 1): 1/6 of a nat a code, where the bound is -0.226."""
    codes = (2 * (torch.arange(20_000).double() + 0.5) / 20_000 - 1)[:, None]
    log_q = torch.full_like(codes, -0.5 * math.log(2 * math.pi))
    logged = mistakes.information_under_a_normal_prior(codes, log_q).item()
    assert logged == close(1 / 6)
    bound = math.log(2) + log_q.mean().item()
    assert bound == close(-0.225791)
    divergence = -math.log(2) - stats.norm.logpdf(codes.numpy()).mean()  # KL(U(-1, 1) || N(0, 1))
    assert logged - bound == close(divergence)
    assert divergence == close(0.392458)


def test_the_decoupled_term_of_gmvae_charges_more_than_the_divergence():
    """The library has it, cond=decoupled, as it is published: 1.738 and 2.272 nats where KL(q || p) is 1.075, 0.987."""
    axis, step = np.linspace(-7, 7, 281, retstep=True)
    h = torch.tensor(np.dstack(np.meshgrid(axis, axis)).reshape(-1, 2))
    for i, exact, loose in ((0, 1.075, 1.738), (1, 0.987, 2.272)):
        mean, logvar = MEAN[i].expand(len(h), 2), LOGVAR[i].expand(len(h), 2)
        q = log_normal(h, mean, logvar).sum(1)
        log_p = torch.stack([log_normal(h, MEANS[0, k], LOGVARS[0, k]).sum(1) for k in range(3)]).logsumexp(0)
        divergence = (q.exp() * (q - log_p + math.log(3))).sum().item() * step**2
        cond, kl_k = mixture_kl(h, mean, logvar, MEANS[:1], LOGVARS[:1], "decoupled")
        charged = (q.exp() * (cond + kl_k)).sum().item() * step**2
        assert (divergence, charged) == pytest.approx((exact, loose), abs=5e-4)


def test_a_cross_entropy_without_its_logarithm():
    """q = (.7, .2, .1) and uniform, labels 0 and 2: 0.517 as printed, 0.728 nats by the definition."""
    p, labels = double([[0.7, 0.2, 0.1], [1 / 3, 1 / 3, 1 / 3]]), torch.tensor([0, 2])
    assert mistakes.cross_entropy_without_logarithm(p, labels).item() == pytest.approx(0.516667, abs=5e-7)
    assert F.cross_entropy(p.log(), labels).item() == pytest.approx(0.727644, abs=5e-7)
    assert F.cross_entropy(p.log(), labels).item() == pytest.approx(-(math.log(0.7) - math.log(3)) / 2)


# ---- metrics ---------------------------------------------------------------------------------------------------


def test_a_laplacian_in_bytes_loses_what_is_negative():
    """A bright point: 0.134 of its square by hand instead of 0.8; real digits: 0.175 of the variance."""
    point = np.zeros((1, 5, 5), np.uint8)
    point[0, 2, 2] = 40
    assert variances(point[:, None] / 255.0)[0] == pytest.approx(40**2 * 20 / 25)
    assert mistakes.laplacian_variance_in_bytes(point)[0] == pytest.approx(40**2 * (4 / 25 - (4 / 25) ** 2))
    digits = (load_digits().images * 15.9375).astype(np.uint8)
    ratio = mistakes.laplacian_variance_in_bytes(digits).mean() / variances(digits[:, None] / 255.0).mean()
    assert ratio == pytest.approx(0.175, abs=5e-4)


def test_reshaped_draws_take_the_gap_from_perfect_codes():
    """One narrow code for each of three factors: the gap is 0.99, and 0.01 to 0.06 where draws of latents are mixed."""
    factors = make_grid((4, 6, 8))
    means = (factors - factors.mean(0)) / factors.std(0)
    sigmas = np.full_like(means, 0.1)
    assert mig_exact(means, 2 * np.log(sigmas), factors)["score"] == close(0.98746)
    for seed in range(3):
        rng, information = np.random.default_rng(seed), np.empty((3, 3))
        whole = mistakes.entropies_of_reshaped_draws(means, sigmas, rng)
        for k, levels in enumerate(factors.T):
            parts = [levels == level for level in np.unique(levels)]
            inside = [mistakes.entropies_of_reshaped_draws(means[rows], sigmas[rows], rng) for rows in parts]
            information[:, k] = np.maximum(0, whole - np.mean(inside, axis=0))
        assert (gap(information) / np.log([4, 6, 8])).mean() < 0.1


def test_without_a_threshold_a_constant_code_wins_every_vote():
    """FactorVAE's metric of perfect codes beside one that is constant: 1.00, and 1/4 where the threshold is 0."""
    factors = make_grid((3, 4, 5, 8))
    codes = np.hstack([factors, np.zeros((len(factors), 1))]).astype(np.float32)
    scores = {}
    for threshold in (0.05, 0.0):
        with np.errstate(invalid="ignore"):
            rng = np.random.default_rng(0)
            scores[threshold] = factor_vae(codes, factors, rng, train=1000, test=4000, threshold=threshold)["score"]
    assert scores[0.05] == 1
    assert scores[0.0] == pytest.approx(0.25, abs=0.03)
