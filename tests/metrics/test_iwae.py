"""The importance-weighted likelihood against exact ones, on a model whose density is known."""

import math
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy import integrate, stats

from tests.support.configuration import build_model
from tests.support.datasets import data_module, squares
from vaezoo.data.sources.digits import digits
from vaezoo.evaluation.metric_inputs import MetricInputs
from vaezoo.evaluation.outputs import Outputs
from vaezoo.evaluation.table import encode
from vaezoo.latents.gaussian import Gaussian
from vaezoo.latents.mixed import Mixed
from vaezoo.likelihoods import Gaussian as GaussianPixels
from vaezoo.metrics.importance import iwae, log_mean_weights

PARTS = ("dataset.shape=[1,16,16]", "network=mlpk", "metric=none", "figure=none", "logger=csv", "latent.dim=4")
W, B, NOISE = 0.5, 0.2, 0.2  # x = W z + B + NOISE e


class Pixel(torch.nn.Module):
    """One latent, one pixel; `mean` and `variance` of the posterior are functions of the pixel."""

    likelihood_free, reconstructs = False, True

    def __init__(self, mean, variance, latent=None):
        super().__init__()
        self.mean, self.variance = mean, variance
        self.latent = latent or Gaussian(1)
        self.where = torch.nn.Parameter(torch.zeros(1))

    def encode(self, x, labels=None):
        mean = self.mean(x.flatten(1))
        return self.latent.posterior(torch.cat([mean, torch.full_like(mean, math.log(self.variance))], 1))

    def decode(self, z, labels=None):
        return GaussianPixels((W * z[:, :1] + B).view(-1, 1, 1, 1), variance=NOISE**2, link="identity")

    reconstruct = decode


class Pixels:
    """A data set of single pixels, all of them held out, and its own source."""

    factors, labels, shape = None, None, (1, 1, 1)
    factor_names, label_names = (), ()

    def __init__(self, x):
        self.x = torch.as_tensor(x, dtype=torch.float32).view(-1, 1, 1, 1)
        self.source = self
        self.rows = SimpleNamespace(test=np.arange(len(self.x)))

    def batch(self, rows):
        return SimpleNamespace(images=self.x[rows], labels=None)

    def batches(self, rows, size):
        return [self.batch(torch.from_numpy(part)) for part in np.array_split(rows, -(-len(rows) // size))]

    def __len__(self):
        return len(self.x)


def told(x, mean, variance, seed=0):
    data, model = Pixels(x), Pixel(mean, variance)
    return Outputs(model, data, encode(model, data, rows=None, test_rows=None, seed=seed), "t", seed)


EXACT = (lambda x: (x - B) * W / (W**2 + NOISE**2), NOISE**2 / (W**2 + NOISE**2))
WRONG = (lambda x: x - 0.8, 0.4)
X = np.linspace(0, 1, 40)


def by_quadrature(x: float) -> float:
    """ln of the integral of p(x|z) p(z) over z."""
    centre = EXACT[0](x)
    joint = lambda z: stats.norm.pdf(x, W * z + B, NOISE) * stats.norm.pdf(z)  # noqa: E731
    return math.log(integrate.quad(joint, centre - 6, centre + 6, points=[centre], epsabs=1e-13)[0])


def bound(x: np.ndarray) -> float:
    """The evidence lower bound of the wrong posterior, in closed form."""
    mean, variance = WRONG[0](x), WRONG[1]
    squares = (x - W * mean - B) ** 2 + W**2 * variance
    rec = -0.5 * squares / NOISE**2 - 0.5 * math.log(2 * math.pi * NOISE**2)
    return float(np.mean(rec - 0.5 * (mean**2 + variance - 1 - math.log(variance))))


def test_quadrature_and_closed_form_agree():
    assert by_quadrature(0.7) == pytest.approx(stats.norm.logpdf(0.7, B, math.hypot(W, NOISE)), abs=1e-10)


@pytest.mark.parametrize("samples", [1, 7])
def test_under_the_exact_posterior_every_draw_gives_the_likelihood(samples):
    result = iwae(told(X, *EXACT).log_weights, samples=samples, rows=None)
    assert result[f"iwae_{samples}"] == pytest.approx(np.mean([by_quadrature(x) for x in X]), abs=1e-5)
    assert result["iwae_images"] == len(X)


def test_many_draws_reach_the_likelihood_under_another_posterior():
    estimates = log_mean_weights(told(X, *WRONG).log_weights(None, 5_000), 5_000)
    assert np.abs(estimates - [by_quadrature(x) for x in X]).max() < 0.25
    assert estimates.mean() == pytest.approx(np.mean([by_quadrature(x) for x in X]), abs=0.01)


def test_one_draw_is_the_bound_and_more_are_closer():
    outputs = told(np.tile(X, 100), *WRONG)
    found = {k: iwae(outputs.log_weights, samples=k, rows=None) for k in (1, 3, 10, 50)}
    means = [result[f"iwae_{k}"] for k, result in found.items()]
    assert means[0] == pytest.approx(bound(X), abs=5 * found[1]["iwae_1_error"])
    assert means[0] == pytest.approx(outputs.table.log_likelihood.mean() - outputs.kl_per_dim.sum(), abs=0.2)
    assert all(more > fewer + 0.01 for fewer, more in pairwise(means))
    assert means[-1] < np.mean([by_quadrature(x) for x in X]) + 0.02


def test_the_error_is_that_of_the_mean_over_images():
    log_w = np.log(np.random.default_rng(0).random((400, 6)))
    blocks = [(slice(0, 150), log_w[:150, :4]), (slice(0, 150), log_w[:150, 4:]), (slice(150, 400), log_w[150:])]
    result = iwae(lambda rows, samples: iter(blocks), samples=6, rows=None)
    each = np.log(np.exp(log_w).mean(axis=1))
    assert result["iwae_6"] == pytest.approx(each.mean(), abs=1e-12)
    assert result["iwae_6_error"] == pytest.approx(each.std() / 20, abs=1e-12)


def test_far_from_zero_nothing_overflows():
    log_w = np.array([[-5000.0, -5001.0]], np.float32)
    assert log_mean_weights(iter([(slice(0, 1), log_w)]), 2)[0] == pytest.approx(-5000 + np.log((1 + np.exp(-1)) / 2))


def test_memory_is_bounded_and_rows_are_few(monkeypatch):
    outputs, decoded = told(np.tile(X, 5), *WRONG), []
    decode = outputs.model.decode
    monkeypatch.setattr(outputs.model, "decode", lambda z, labels=None: decoded.append(len(z)) or decode(z))
    blocks = list(outputs.log_weights(10, 2500))
    assert max(decoded) <= 1024
    assert sum(decoded) == 10 * 2500 == sum(weights.size for _, weights in blocks)
    assert len({here.start for here, _ in blocks}) == 10
    again = list(outputs.log_weights(10, 2500))
    assert all(np.array_equal(a, b) for (_, a), (_, b) in zip(blocks, again, strict=True)), (
        "the same seed, the same draws"
    )


def test_categories_are_drawn_and_weighed():
    """The decoder ignores the category: its weight is p(s)/q(s), of mean 1 under q."""
    outputs = told(X, *EXACT)
    latent = Mixed(1, [3], 0.5)
    outputs.model.latent = latent
    p = np.array([0.7, 0.2, 0.1], np.float32)
    table = outputs.table
    object.__setattr__(table, "codes", np.hstack([table.codes, np.tile(p, (len(X), 1))]))
    weights = np.concatenate([w for _, w in outputs.log_weights(None, 400)])
    ratios = np.exp(weights - np.array([[by_quadrature(x)] for x in X]))
    assert set(np.round(np.unique(np.round(ratios, 3)), 2)) == {0.48, 1.67, 3.33}
    assert ratios.mean() == pytest.approx(1, abs=0.03)


def test_a_real_model_is_encoded_only_once():
    model = build_model("model=vae", *PARTS)
    outputs = Outputs(model, data := data_module(squares), encode(model, data, rows=10, test_rows=10, seed=0), "t")
    model.encoder.register_forward_pre_hook(lambda *_: pytest.fail("encoded again"))
    assert np.isfinite(iwae(outputs.log_weights, samples=5, rows=4)["iwae_5"])
    assert MetricInputs(outputs, None, None).log_weights is not None


@pytest.mark.parametrize("name", ["cvae", "mivae", "vae"])
def test_the_mean_weight_is_the_bound_that_the_table_has(name):
    """Conditional models are told the label, categories are weighed: E[log weight] = rec - kl."""
    model = build_model(f"model={name}", "dataset=digits", "metric=none", "figure=none", "logger=csv", "latent.dim=4")
    data = data_module(digits, name="digits", shape=(1, 8, 8), classes=10)
    outputs = Outputs(model, data, encode(model, data, rows=0, test_rows=None, seed=0), "t")
    each = np.concatenate([weights.mean(axis=1) for _, weights in outputs.log_weights(None, 40)])
    expected = outputs.table.log_likelihood - outputs.kl_per_dim.sum()
    error = np.std(each - expected) / np.sqrt(len(each))
    assert each.mean() == pytest.approx(expected.mean(), abs=5 * error)
    assert error < 0.1


@pytest.mark.parametrize("name", ["ae", "gmvae", "vaegan"])
def test_without_a_density_there_are_no_weights(name):
    model = build_model(f"model={name}", *PARTS[:1], *PARTS[2:])
    data = data_module(squares)
    table = encode(model, data, rows=5, test_rows=5, seed=0)
    assert MetricInputs(Outputs(model, data, table, "t"), None, None).log_weights is None
