"""GMVAE: golden numbers of its divergences, its gate, and what it says at evaluation."""

import math

import numpy as np
import pytest
import torch

from tests.support.configuration import SMALL, build_model, compose_train
from tests.support.mixtures import LOGVAR, LOGVARS, MEAN, MEANS
from tests.support.tensors import double
from vaezoo.evaluation.evaluate_model import evaluate_model
from vaezoo.latents.gaussian import GaussianPosterior
from vaezoo.losses.mixture import log_normal, mixture_kl, responsibilities

H = MEAN + (0.5 * LOGVAR).exp() * double([[0.1, -0.3], [0.7, 0.2]])


def close(values, expected):
    assert values.tolist() == pytest.approx(expected, abs=6e-5)


def test_known_values():
    pi = responsibilities(H, MEANS, LOGVARS)
    close(pi[0], [0.8884, 0.0114, 0.1002])
    close(pi[1], [0.1286, 0.8251, 0.0464])
    decoupled, kl_k = mixture_kl(H, MEAN, LOGVAR, MEANS, LOGVARS, "decoupled")
    sampled, same = mixture_kl(H, MEAN, LOGVAR, MEANS, LOGVARS, "sampled")
    close(kl_k, [0.7120, 0.5338])
    assert torch.equal(kl_k, same)
    close(decoupled, [0.6211, 2.3562])
    close(sampled, [1.2195, 0.7632])
    close(sampled + kl_k, [1.9314, 1.2970])


def test_sampled_form_is_exact_at_every_draw():
    """COND + KL_k = log q(h|x) - log (1/K) sum_k N_k(h)."""
    sampled, kl_k = mixture_kl(H, MEAN, LOGVAR, MEANS, LOGVARS, "sampled")
    log_p = log_normal(H[:, None], MEANS, LOGVARS).logsumexp(1) - math.log(3)
    torch.testing.assert_close(sampled + kl_k, log_normal(H, MEAN, LOGVAR) - log_p)


def test_decoupled_form_is_larger_on_average():
    torch.manual_seed(0)
    many = 200_000
    totals = {}
    for i, exact, loose in ((0, 1.075, 1.737), (1, 0.987, 2.273)):
        mean, logvar = MEAN[i].expand(many, 2), LOGVAR[i].expand(many, 2)
        h = GaussianPosterior(mean, logvar).sample()
        for form, expected in (("sampled", exact), ("decoupled", loose)):
            cond, kl_k = mixture_kl(h, mean, logvar, MEANS[:1], LOGVARS[:1], form)
            totals[form, i] = (cond + kl_k).mean().item()
            assert totals[form, i] == pytest.approx(expected, abs=0.02)


def test_equal_components_are_one_gaussian_prior():
    zeros = torch.zeros(2, 3, 2, dtype=torch.float64)
    cond, kl_k = mixture_kl(H, MEAN, LOGVAR, zeros, zeros, "decoupled")
    close(kl_k, [0, 0])
    torch.testing.assert_close(cond, GaussianPosterior(MEAN, LOGVAR).kl().sum(1))
    close(cond, [0.3822, 1.1127])


def test_far_components_cost_the_whole_choice():
    means = double([[0, 0], [90, 0], [-90, 0]]).expand(2, 3, 2)
    _, kl_k = mixture_kl(H, MEAN, LOGVAR, means, torch.zeros_like(means), "sampled")
    close(kl_k, [math.log(3)] * 2)


def gm(*overrides: str):
    return build_model("model=gmvae", "latent.dim=4", "model.clusters=5", *SMALL, *overrides)


@pytest.mark.parametrize(("floor", "open_gate"), [(0.0, True), (5.0, False)])
def test_gate_of_the_cluster_divergence(floor, open_gate):
    """Below its floor KL_k adds the floor to the loss and no gradient."""
    model = gm(f"model.free_kl={floor}").double()
    torch.nn.init.normal_(model.prior[-1].bias)
    torch.manual_seed(0)
    terms = model.objective(torch.rand(8, 1, 8, 8, dtype=torch.float64))
    rest = terms["rec"] + terms["kl_w"] + terms["cond"]
    assert 0 < terms["kl_k"] < math.log(5)
    torch.testing.assert_close(terms["loss"], rest + (terms["kl_k"] if open_gate else floor))
    torch.testing.assert_close(-terms["elbo"], rest + terms["kl_k"])
    with_gate = torch.autograd.grad(terms["loss"], model.prior[-1].bias, retain_graph=True)[0]
    without = torch.autograd.grad(rest, model.prior[-1].bias, retain_graph=True)[0]
    assert torch.equal(with_gate, without) != open_gate


def test_one_cluster_of_the_standard_normal_is_the_vae():
    """With a silent prior network the loss is that of the VAE on the same draws, and KL_w."""
    model = gm("model.clusters=2", "model.free_kl=0").double()
    for parameter in model.prior[-1].parameters():
        torch.nn.init.zeros_(parameter)
    x = torch.rand(6, 1, 8, 8, dtype=torch.float64)
    torch.manual_seed(0)
    terms = model.objective(x)
    torch.manual_seed(0)
    q = model.encode(x)
    expected = model.decode(q.h.sample()).rec(x).mean() + q.h.kl().sum(1).mean() + q.w.kl().sum(1).mean()
    torch.testing.assert_close(terms["loss"], expected)


def test_more_draws_have_less_noise_and_the_same_mean():
    x = torch.rand(4, 1, 8, 8)
    values = {}
    for samples in (1, 50):
        model = gm(f"model.samples={samples}")
        model.prior[-1].bias.data.copy_(torch.linspace(-2, 2, len(model.prior[-1].bias)))
        torch.manual_seed(0)
        with torch.no_grad():
            values[samples] = torch.stack([model.objective(x)["loss"] for _ in range(200)])
    assert values[50].std() < 0.3 * values[1].std()
    assert abs(values[50].mean() - values[1].mean()) < 5 * values[1].std() / math.sqrt(200)


def test_prior_samples_follow_the_components():
    model = gm()
    bias = model.prior[-1].bias.data.view(2, 5, 4)
    bias[0] = torch.arange(5.0)[:, None] * 10
    bias[1] = -6
    model.prior[-1].weight.data.zero_()
    h = model.sample_prior(5000)
    component = (h / 10).round().mean(1)
    torch.testing.assert_close(
        torch.bincount(component.long(), minlength=5) / 5000, torch.full((5,), 0.2), atol=0.03, rtol=0
    )
    assert (h - 10 * component[:, None]).std() == pytest.approx(math.exp(-3), rel=0.05)


def test_scores_of_a_mixture_prior_are_its_own(tmp_path):
    from omegaconf import OmegaConf

    from tests.support.datasets import data_module
    from vaezoo.data.sources.digits import digits

    data, model = data_module(digits, shape=(1, 8, 8)), gm()
    full = compose_train("metric=fast", "figure=default")
    metric = OmegaConf.merge(full.metric, {"rows": 300, "test_rows": 60})
    scores, pictures = evaluate_model(model, data, tmp_path, title="t", metric=metric, figure=full.figure, seed=0)
    table = np.load(tmp_path / "latents.npz")
    assert table["logvars"].shape[1] == 0
    assert table["clusters"].shape[1] == 5
    assert scores.values["eval/kl"] == pytest.approx(table["kl_per_dim"].sum())
    assert scores.skipped["kl_decomposition"].endswith("with a standard normal prior")
    assert "eval/cluster_acc_majority" in scores.values
    assert {"samples", "traversals"} <= set(pictures)
    assert not {"kl_per_dim", "class_grid"} & set(pictures)


def test_samples_in_double_precision():
    model = build_model("model=gmvae", *SMALL).double()
    assert model.sample_prior(3).dtype == torch.float64
