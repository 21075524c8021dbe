"""Ada-GVAE and Ada-ML-VAE: divergences, averages and the loss against closed forms and loops."""

import pytest
import torch
from torch.distributions import Normal, kl_divergence

from tests.support.configuration import build_model
from tests.support.models import fix_noise
from tests.support.tensors import double
from vaezoo.errors import UserError
from vaezoo.latents.gaussian import GaussianPosterior
from vaezoo.models.adagvae import AdaGVAE, divergences, find_shared
from vaezoo.models.adamlvae import AdaMLVAE

SMALL = ("dataset=digits", "metric=none", "figure=none", "logger=csv")


def draw_posteriors(pairs: int, dim: int) -> tuple[GaussianPosterior, GaussianPosterior]:
    torch.manual_seed(0)
    return tuple(GaussianPosterior(*torch.randn(2, pairs, dim, dtype=torch.float64)) for _ in range(2))


def normal(q: GaussianPosterior) -> Normal:
    return Normal(q.mean, (0.5 * q.logvar).exp())


def test_divergences_are_those_of_torch():
    first, second = draw_posteriors(5, 4)
    there, back = kl_divergence(normal(first), normal(second)), kl_divergence(normal(second), normal(first))
    torch.testing.assert_close(divergences(first, second, "forward"), there)
    torch.testing.assert_close(divergences(first, second, "symmetric"), (there + back) / 2)


def test_shared_latents_are_below_the_middle_of_the_extremes():
    divergence = double([[0, 4, 1.9, 2.1], [3, 3, 3, 3], [10, 1, 1, 1], [5, 9, 6.9, 7]])
    expected = [[True, False, True, False], [False] * 4, [False, True, True, True], [True, False, True, False]]
    assert find_shared(divergence).tolist() == expected
    known = [[True, False, True, True], [False, True, True, True], [False, True, True, True], [True, False, True, True]]
    assert find_shared(divergence[[0, 2, 3]], 1).tolist() == [known[0], known[2], known[3]]
    assert find_shared(divergence[:1], 3).tolist() == [[True, False, False, False]]


def test_averages():
    """N(1, 1) and N(4, 1/2): variances have the mean 3/4, and precisions 1 and 2 have the mean 3/2."""
    first, second = (GaussianPosterior(double([[m]]), double([[v]]).log()) for m, v in ((1, 1), (4, 0.5)))
    for model, mean, variance in ((AdaGVAE, 2.5, 0.75), (AdaMLVAE, 3.0, 2 / 3)):
        average = model.average(None, first, second)
        assert average.mean.item() == pytest.approx(mean)
        assert average.logvar.exp().item() == pytest.approx(variance)
        torch.testing.assert_close(model.average(None, first, first), first)
    # The mean of Ada-ML-VAE is that of the product of both densities, whose variance is half of its own.
    z = torch.linspace(-10, 10, 20_001, dtype=torch.float64)
    density = (normal(first).log_prob(z) + normal(second).log_prob(z)).exp()[0]
    density = density / density.sum()
    mean = (density * z).sum()
    assert mean.item() == pytest.approx(3, abs=1e-6)
    assert (density * (z - mean).square()).sum().item() == pytest.approx(1 / 3, abs=1e-6)


@pytest.mark.parametrize("name", ["adagvae", "adamlvae"])
@pytest.mark.parametrize("differing", [None, 2])
def test_the_loss_is_that_of_a_loop_over_pairs_and_latents(name, differing, monkeypatch):
    value = "null" if differing is None else differing
    model = build_model(f"model={name}", "latent.dim=5", "model.beta=3", f"model.differing={value}", *SMALL).double()
    fix_noise(monkeypatch, torch.zeros_like)
    x = torch.rand(8, 1, 8, 8, dtype=torch.float64)
    terms = model.objective(x)
    means, logvars = (half.detach().clone() for half in model.encode(x))
    shared = 0
    for pair in range(4):
        a, b = pair, pair + 4
        divergence = [
            kl_divergence(
                Normal(means[a, j], (logvars[a, j] / 2).exp()), Normal(means[b, j], (logvars[b, j] / 2).exp())
            )
            for j in range(5)
        ]
        middle = (min(divergence) + max(divergence)) / 2
        apart = sorted(range(5), key=lambda j: -divergence[j])[: differing or 0]
        for j in range(5):
            if (divergence[j] < middle) if differing is None else (j not in apart):
                shared += 1
                va, vb = logvars[a, j].exp(), logvars[b, j].exp()
                if name == "adagvae":
                    m, v = (means[a, j] + means[b, j]) / 2, (va + vb) / 2
                else:
                    v = 2 / (1 / va + 1 / vb)
                    m = v * (means[a, j] / va + means[b, j] / vb) / 2
                means[[a, b], j], logvars[[a, b], j] = m, v.log()
    q = GaussianPosterior(means, logvars)
    rec, kl = model.decode(means).rec(x).mean(), q.kl().sum(1).mean()
    torch.testing.assert_close(terms["loss"], rec + 3 * kl)
    assert terms["shared"].item() == shared / 4
    assert 0 < shared < 20


@pytest.mark.parametrize("name", ["adagvae", "adamlvae"])
def test_pairs_of_one_image_and_latents_that_all_differ_leave_a_beta_vae(name, monkeypatch):
    fix_noise(monkeypatch, torch.zeros_like)
    x = torch.rand(6, 1, 8, 8)
    for overrides, images in (["model.differing=10"], x), ([], torch.cat([x, x])):
        losses = []
        for line in ([f"model={name}", *overrides], ["model=betavae"]):
            model = build_model(*line, "model.beta=4", *SMALL)
            loss = model.objective(images)["loss"]
            losses.append((loss, *torch.autograd.grad(loss, list(model.parameters()))))
        assert all(torch.equal(a, b) for a, b in zip(*losses, strict=True))


def test_the_order_of_a_pair_does_not_matter_to_the_symmetric_divergence(monkeypatch):
    fix_noise(monkeypatch, torch.zeros_like)
    x = torch.rand(40, 1, 8, 8, dtype=torch.float64)
    turned = torch.cat([*reversed(x.chunk(2))])
    for divergence, same in (("symmetric", True), ("forward", False)):
        model = build_model("model=adagvae", f"model.divergence={divergence}", *SMALL).double()
        losses = [model.objective(images)["loss"].item() for images in (x, turned)]
        assert (losses[0] == pytest.approx(losses[1], abs=1e-12)) is same


def test_an_odd_batch_is_refused():
    with pytest.raises(UserError, match="AdaGVAE sees pairs: 5 images in a batch"):
        build_model("model=adagvae", *SMALL).objective(torch.rand(5, 1, 8, 8))
