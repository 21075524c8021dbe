"""Categorical latents and what is made of them: golden numbers, exact sums, JointVAE, scores of mixed codes."""

import json
import math

import numpy as np
import pytest
import torch
from scipy import stats

from tests.support.configuration import SMALL, build_model
from tests.support.models import fit
from tests.support.tensors import double
from vaezoo.data.sources.digits import digits
from vaezoo.errors import UserError
from vaezoo.evaluation.evaluate_model import evaluate_model
from vaezoo.latents.categories import CategoricalPosterior, relaxation
from vaezoo.latents.gaussian import Gaussian
from vaezoo.latents.mixed import Mixed
from vaezoo.metrics.decomposition import kl_decomposition
from vaezoo.metrics.evidence import elbo
from vaezoo.metrics.votes import factor_vae, gini, one_hot

PI, GUMBEL = double([[0.5, 0.3, 0.2]]), double([[0.1, 0.7, -0.3]])


def category(*probabilities: float, temperature: float = 0.67) -> CategoricalPosterior:
    return CategoricalPosterior(double([probabilities]).log(), temperature)


# ---- the categorical posterior ---------------------------------------------------------------------------------


def test_divergence_of_a_category_from_the_uniform_prior():
    assert category(1 / 3, 1 / 3, 1 / 3).kl().item() == pytest.approx(0, abs=1e-12)
    assert category(0.5, 0.3, 0.2).kl().item() == pytest.approx(0.068959, abs=5e-7)
    for values, most in ((3, 1.098612), (10, 2.302585)):
        logits = torch.full((1, values), -800.0, dtype=torch.float64)
        logits[0, 1] = 0
        assert CategoricalPosterior(logits, 1.0).kl().item() == pytest.approx(most, abs=5e-7)
    three = Mixed(2, [2, 2, 2], 1.0)
    q = three.posterior(double([[0, 0, 0, 0, 900, 0, 0, 900, 900, 0]]))
    assert q.kl()[:, 2:].sum().item() == pytest.approx(2.079442, abs=5e-7)


@pytest.mark.parametrize(
    ("temperature", "expected"),
    [
        (10, (0.3465, 0.3496, 0.3038)),
        (1, (0.4235, 0.4630, 0.1135)),
        (0.67, (0.4381, 0.5005, 0.0614)),
        (0.01, (0.0001, 0.9999, 0)),
    ],
)
def test_relaxation_at_known_noise(temperature, expected):
    assert relaxation(PI.log(), GUMBEL, temperature)[0].tolist() == pytest.approx(expected, abs=5e-5)


def test_relaxed_draws_have_the_right_winners_but_not_the_right_mean():
    torch.manual_seed(0)
    q = CategoricalPosterior(PI.log().expand(200_000, 3), 0.67)
    relaxed, hard = q.sample(), q.sample(relaxed=False)
    winners = torch.bincount(relaxed.argmax(1), minlength=3) / len(relaxed)
    torch.testing.assert_close(winners.double(), PI[0], rtol=0, atol=0.004)
    torch.testing.assert_close(hard.mean(0), PI[0], rtol=0, atol=0.004)
    assert relaxed.mean(0).tolist() == pytest.approx((0.468, 0.310, 0.222), abs=0.003)
    assert set(hard.unique().tolist()) == {0.0, 1.0}
    cold = CategoricalPosterior(PI.log().expand(200_000, 3), 0.01).sample()
    torch.testing.assert_close(cold.mean(0), PI[0], rtol=0, atol=0.004)


def test_only_relaxed_draws_carry_a_gradient():
    logits = PI.log().requires_grad_()
    q = CategoricalPosterior(logits, 0.67)
    assert not q.sample(relaxed=False).requires_grad
    torch.manual_seed(0)
    q.sample()[0, 0].backward()
    assert logits.grad.abs().sum() > 0


def test_layout_of_mixed_latents():
    latent = Mixed(2, [3, 2], 0.5)
    assert (latent.dim, latent.num_params, latent.continuous) == (7, 9, 2)
    params = torch.randn(5, 9)
    q = latent.posterior(params)
    torch.testing.assert_close(q.mean[:, :2], params[:, :2])
    torch.testing.assert_close(q.logvar, params[:, 2:4])
    torch.testing.assert_close(q.mean[:, 2:5], params[:, 4:7].softmax(1))
    torch.testing.assert_close(q.mean[:, 5:], params[:, 7:].softmax(1))
    assert q.kl().shape == (5, 4)
    gaussian = Gaussian(2).posterior(params[:, :4])
    assert torch.equal(q.kl()[:, :2], gaussian.kl())
    mode = latent.mode(q.mean)
    assert torch.equal(mode[:, :2], q.mean[:, :2])
    assert torch.equal(mode[:, 2:5].argmax(1), params[:, 4:7].argmax(1))
    for drawn in (mode, latent.sample_prior(64), q.sample(relaxed=False)):
        assert torch.equal(drawn[:, 2:5].sum(1), torch.ones(len(drawn)))
        assert set(drawn[:, 2:].unique().tolist()) <= {0.0, 1.0}
    prior = latent.sample_prior(30_000)
    torch.testing.assert_close(prior[:, 2:].mean(0), torch.tensor([1 / 3] * 3 + [1 / 2] * 2), rtol=0, atol=0.01)


# ---- JointVAE --------------------------------------------------------------------------------------------------


def joint(*overrides: str):
    return build_model("model=jointvae", "latent.dim=3", *SMALL, *overrides)


def test_the_authors_schedule_on_mnist():
    """gamma 30, both capacities to 5 in 25,000 batches, ten categories: at half of them C_z 2.5, C_c at its ceiling."""
    ends = ("model.capacity_z.end=5", "model.capacity_c.end=5")
    slow = ("model.capacity_z.batches=25000", "model.capacity_c.batches=25000")
    model = joint("model.gamma_z=30", "model.gamma_c=30", "latent.categories=[10]", *ends, *slow).double()
    model.batches += 12_500
    x = torch.rand(4, 1, 8, 8, dtype=torch.float64)
    terms = model.objective(x)
    assert terms["capacity_z"].item() == pytest.approx(2.5)
    assert terms["capacity_c"].item() == pytest.approx(2.302585, abs=5e-7)
    penalty = 30 * abs(terms["kl_z"].item() - 2.5) + 30 * abs(terms["kl_c"].item() - math.log(10))
    assert (terms["loss"] - terms["rec"]).item() == pytest.approx(penalty)
    # The same penalties at divergences that the published numbers are for.
    assert 30 * abs(2.1 - 2.5) == pytest.approx(12)
    assert 30 * abs(1.5 - math.log(10)) == pytest.approx(24.0776, abs=5e-5)
    torch.testing.assert_close(terms["kl_z"] + terms["kl_c"], terms["kl"])


def test_without_capacities_and_with_gamma_one_it_is_the_vae():
    zero = ("model.capacity_z=0", "model.capacity_c=0", "model.gamma_z=1", "model.gamma_c=1")
    losses = []
    for line in (
        ("model=jointvae", *zero),
        ("model=vae", "latent=mixed"),
    ):
        model = build_model(*line, *SMALL)
        torch.manual_seed(1)
        losses.append(model.objective(torch.rand(8, 1, 8, 8, generator=torch.Generator().manual_seed(0)))["loss"])
    torch.testing.assert_close(losses[0], losses[1], rtol=1e-6, atol=0)


def test_capacity_of_all_categories_together():
    assert joint("latent.categories=[2,2,2]").most_c == pytest.approx(2.079442, abs=5e-7)


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("model=jointvae latent=gaussian", "It takes latent=classes, latent=mixed"),
        ("model=betatcvae latent=mixed", "no term for categories. It takes latent=gaussian"),
        (
            "model=jointvae latent.categories=[1]",
            r"latent.categories=\[1\]: must be a list of whole numbers of at least 2",
        ),
        ("model=jointvae latent.temperature=0", "latent.temperature=0: must be a number above 0"),
        ("model=vae model.classifier=joint dataset=dsprites", "learns the class of each image, but dataset=dsprites"),
        ("model=vae model.classifier=both", "model.classifier=both: must be one of frozen, joint, or null"),
    ],
)
def test_what_cannot_work_is_refused(line, complaint):
    from tests.support.configuration import check_line

    with pytest.raises(UserError, match=complaint):
        check_line(line.split())


# ---- scores of mixed codes -------------------------------------------------------------------------------------


def test_elbo_counts_the_category():
    result = elbo(np.array([-10.0]), np.array([2.0, 0.5, 1.1]))
    assert result["kl"] == pytest.approx(3.6)
    assert result["elbo"] == pytest.approx(-13.6)


def test_split_of_the_divergence_with_a_category_against_an_exact_sum():
    """One Gaussian latent and three categories that depend on one another through the image."""
    rng = np.random.default_rng(0)
    images = 6
    mu, logvar = rng.normal(size=(images, 1)) * 2, np.log(rng.uniform(0.2, 0.6, size=(images, 1)))
    p = rng.dirichlet(np.ones(3) * 0.4, size=images)
    codes = np.hstack([mu, p])

    grid = np.linspace(-9, 9, 20_001)
    density = stats.norm.pdf(grid, mu, np.exp(logvar / 2))  # (images, grid)
    each = density[:, :, None] * p[:, None]  # q(z, s|x)
    q = each.mean(0)
    step = grid[1] - grid[0]
    safe = np.where(q > 0, q, 1.0)

    def total(weights: np.ndarray, values: np.ndarray) -> float:
        return float((weights * values).sum() * step)

    mi = np.mean([total(e, np.log(np.where(e > 0, e, 1.0)) - np.log(np.where(e > 0, safe, 1.0))) for e in each])
    qz, qs = q.sum(1), q.sum(0) * step
    product = np.where(q > 0, qz[:, None] * qs[None], 1.0)
    tc = total(q, np.log(safe) - np.log(product))
    dw = total(qz, np.log(np.maximum(qz, 1e-300)) - stats.norm.logpdf(grid)) + float((qs * np.log(qs * 3)).sum())

    found = kl_decomposition(
        codes.astype(np.float32), logvar.astype(np.float32), np.random.default_rng(1), (3,), samples=60_000
    )
    assert found["kl_mi"] == pytest.approx(mi, abs=5 * found["kl_mi_error"])
    assert found["kl_tc"] == pytest.approx(tc, abs=5 * found["kl_mi_error"])
    assert found["kl_dw"] == pytest.approx(dw, abs=1e-3)
    assert found["kl_mi_error"] < 0.01
    mean_kl = (0.5 * (mu**2 + np.exp(logvar) - logvar - 1)).mean() + (np.log(3) + (p * np.log(p)).sum(1)).mean()
    assert found["kl_mi"] + found["kl_tc"] + found["kl_dw"] == pytest.approx(mean_kl, abs=1e-3)


def test_a_certain_category_breaks_nothing():
    codes = np.array([[0.0, 1, 0], [0.0, 0, 1]], np.float32)
    found = kl_decomposition(codes, np.zeros((2, 1), np.float32), np.random.default_rng(0), (2,), samples=1000)
    assert found["kl_mi"] == pytest.approx(math.log(2), abs=1e-6)  # the category alone says which image it is
    assert found["kl_tc"] == pytest.approx(0, abs=1e-4)


def test_factor_vae_takes_a_category_for_one_code():
    """A factor known to the category alone, another to a Gaussian latent: a perfect score, which neither has alone."""
    grid = np.stack(np.unravel_index(np.arange(3 * 8 * 4), (3, 8, 4)), axis=1)[:, :2]
    rng = np.random.default_rng(0)
    z = grid[:, 1:] + 0.01 * rng.normal(size=(len(grid), 1))
    codes = np.hstack([z, np.eye(3)[grid[:, 0]] * 0.8 + 0.05]).astype(np.float32)
    full = factor_vae(codes, grid, np.random.default_rng(0), (3,), train=500, test=500)
    assert full["score"] == 1
    assert full["active_dims"] == 2
    assert full["votes"].shape == (2, 2)
    alone = factor_vae(codes[:, :1], grid, np.random.default_rng(0), train=500, test=500)
    assert alone["score"] < 0.7


def test_gini_of_categories():
    shares = np.array([0.5, 0.5, 1.0, 0.0, 0.0])
    np.testing.assert_allclose(gini(shares, (2, 3)), [0.5, 0.0])
    np.testing.assert_array_equal(one_hot(np.array([[0.2, 0.8, 0.1, 0.7, 0.2]]), (2, 3)), [[0, 1, 0, 1, 0]])


def test_a_mixed_model_is_scored_and_drawn(tmp_path):
    from omegaconf import OmegaConf

    from tests.support.configuration import compose_train
    from tests.support.datasets import data_module

    data, model = data_module(digits, shape=(1, 8, 8)), joint("latent.categories=[10]")
    full = compose_train("metric=fast", "figure=default")
    metric = OmegaConf.merge(full.metric, {"rows": 300, "test_rows": 60})
    options = {"title": "t", "metric": metric, "figure": full.figure, "seed": 0}
    scores, pictures = evaluate_model(model, data, tmp_path, **options)
    table = np.load(tmp_path / "latents.npz")
    assert table["codes"].shape[1] == 13
    assert table["logvars"].shape[1] == 3
    np.testing.assert_allclose(table["clusters"], table["codes"][:, 3:])
    np.testing.assert_allclose(table["clusters"].sum(1), 1, rtol=1e-5)
    assert {"eval/elbo", "eval/kl_tc", "eval/cluster_acc_hungarian", "eval/gtc_continuous"} <= set(scores.values)
    assert scores.values["eval/kl"] == pytest.approx(table["kl_per_dim"].sum())
    assert table["kl_per_dim"].shape == (4,)
    assert {"traversals", "class_grid", "kl_per_dim", "samples"} <= set(pictures)
    about = json.loads((tmp_path / "metrics.json").read_text())["about"]
    assert about["code_layout"] == "3 means, probabilities of 10 categories"
    grid = np.load(tmp_path / "figures" / "class_grid.npz")["class_grid"]
    assert grid.shape[:2] == (8, 10)
    assert np.ptp(grid, axis=1).max() > 0
    assert np.load(tmp_path / "figures" / "traversals.npz")["traversal"].shape[0] == 3


# ---- the linear classifier beside any model ----------------------------------------------------------------------


def test_a_frozen_classifier_leaves_the_model_as_it_is():
    def trained(*line: str):
        torch.manual_seed(5)
        model = build_model("model=vae", *SMALL, *line)
        return model, fit_seeded(model)

    plain, terms = trained()
    frozen, more = trained("model.classifier=frozen")
    assert "class_ce" not in terms[-1]
    assert {"class_ce", "class_accuracy"} <= set(more[-1])
    weights = frozen.state_dict()
    assert all(torch.equal(value, weights[key]) for key, value in plain.state_dict().items())
    assert frozen.classifier.weight.abs().sum() > 0
    joint_model, _ = trained("model.classifier=joint")
    assert not torch.equal(joint_model.encoder.layers[0].weight, plain.encoder.layers[0].weight)


def fit_seeded(model):
    """Three steps on fixed images with fresh noise in each, from the same generator state."""
    images = torch.rand(3, 16, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    optimizer = model.configure_optimizers()
    terms = []
    for step, x in enumerate(images):
        torch.manual_seed(step)
        terms.append(model.terms_of("model", x, {"labels": torch.arange(16) % 10}))
        optimizer.zero_grad()
        terms[-1]["loss"].backward()
        optimizer.step()
        model.batches += 1
    return terms


@pytest.mark.parametrize("name", ["vae", "cvae", "ae", "factorvae", "mivae"])
@pytest.mark.parametrize("kind", ["frozen", "joint"])
def test_any_model_takes_a_classifier(name, kind):
    model = build_model(f"model={name}", f"model.classifier={kind}", *SMALL)
    before = model.classifier.weight.clone()
    terms = fit(model)
    assert not torch.equal(model.classifier.weight, before)
    assert all(torch.isfinite(step["class_ce"]) for step in terms)
    assert terms[0]["class_ce"].item() == pytest.approx(math.log(10), abs=1e-5)  # it begins without an opinion


def test_the_cross_entropy_reaches_the_encoder_only_when_joint():
    x, labels = torch.rand(8, 1, 8, 8), torch.arange(8)
    for kind in ("frozen", "joint"):
        model = build_model("model=vae", f"model.classifier={kind}", "model.classifier_weight=2", *SMALL)
        model.classifier.weight.data.normal_()
        zero = {"loss": torch.zeros(())}
        terms = model.classified(zero, x, labels)
        torch.testing.assert_close(terms["loss"], 2 * terms["class_ce"])
        terms["loss"].backward()
        reached = [p.grad is not None and bool(p.grad.abs().sum() > 0) for p in model.encoder.parameters()]
        assert all(reached) if kind == "joint" else not any(reached)
        assert model.classifier.weight.grad is not None
        assert all(p.grad is None for p in model.decoder.parameters())
    model.eval()
    assert torch.equal(model.classified(zero, x, labels)["class_ce"], model.classified(zero, x, labels)["class_ce"])
