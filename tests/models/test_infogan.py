"""InfoGAN: golden numbers of the bounds on what images say of their codes, and who learns from which loss."""

import math

import pytest
import torch
import torch.nn.functional as F
from hydra.utils import instantiate

from tests.support.command_line import run_briefly
from tests.support.configuration import SMALL, build_model, compose_train
from tests.support.mixed import posterior
from tests.support.models import fit, reached, zero
from tests.support.tensors import double
from vaezoo.errors import UserError
from vaezoo.latents.categories import CategoricalPosterior
from vaezoo.latents.codes import Codes
from vaezoo.latents.gaussian import GaussianPosterior
from vaezoo.latents.mixed import MixedPosterior
from vaezoo.losses.information_bounds import information_bounds

SYMMETRIC = double([[-1], [1]]) / math.sqrt(3)  # as a code of U(-1, 1): mean 0, mean square 1/3


def codes_of(dim: int = 1, categories=(10,), prior="uniform") -> Codes:
    return Codes(dim, categories, 0.1, noise=4, prior=prior, noise_prior="uniform", scale="exp")


def gan(*overrides: str):
    return build_model("model=infogan", *SMALL, *overrides)


# ---- codes and their relaxation ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("temperature", "mean", "largest"),
    [
        (0.1, (0.598, 0.301, 0.101), 0.963),
        (1.0, (0.522, 0.328, 0.150), 0.692),
        (5.0, (0.388, 0.339, 0.273), 0.425),
    ],
)
def test_a_relaxed_category_keeps_its_law_in_its_largest_entry_alone(temperature, mean, largest):
    torch.manual_seed(0)
    law = double([0.6, 0.3, 0.1])
    drawn = CategoricalPosterior(law.log().expand(400_000, 3), temperature).sample()
    assert drawn.mean(0).tolist() == pytest.approx(mean, abs=0.0025)
    assert drawn.max(1).values.mean().item() == pytest.approx(largest, abs=0.0025)
    assert drawn.argmax(1).bincount().div(400_000).tolist() == pytest.approx(law.tolist(), abs=0.0025)


def test_entropies_of_priors():
    assert codes_of(3, (10, 4)).entropies == pytest.approx((3 * math.log(2), math.log(40)))
    assert codes_of(2, (), "normal").entropies == pytest.approx((math.log(2 * math.pi * math.e), 0))
    # What a Gaussian KL on uniform codes cannot fall below in the aggregate: KL(U(-1, 1) || N(0, 1)).
    log_normal = GaussianPosterior(torch.zeros(2, 1), torch.zeros(2, 1)).log_prob(SYMMETRIC).mean().item()
    assert -codes_of().entropies[0] - log_normal == pytest.approx(0.392458, abs=5e-7)


def test_the_density_of_codes_has_a_column_for_each_latent():
    q = MixedPosterior(
        GaussianPosterior(torch.zeros(4, 2), torch.zeros(4, 2)),
        (CategoricalPosterior(torch.zeros(4, 3), 0.1), CategoricalPosterior(torch.zeros(4, 5), 0.1)),
    )
    s = torch.cat([torch.zeros(4, 2), F.one_hot(torch.tensor([0, 1, 2, 0])), F.one_hot(torch.arange(4), 5)], dim=1)
    expected = torch.tensor([-0.5 * math.log(2 * math.pi)] * 2 + [-math.log(3), -math.log(5)]).expand(4, 4)
    torch.testing.assert_close(q.log_prob(s), expected)
    assert q.kl().shape == (4, 4)


# ---- bounds on the information -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("believed", "bound"), [(0.1, 1.757780), (0.05, 1.737125), (0.3, 1.641458), (0.9, 0.0)])
def test_the_bound_of_a_category_through_a_noisy_channel(believed, bound):
    """One time in ten a category becomes another: the bound is I = ln 10 - 0.544805 for a Q that knows it."""
    pairs = [(s, x) for s in range(10) for x in range(10) for _ in range(81 if s == x else 1)]
    s, x = torch.tensor(pairs).T
    logits = torch.full((10, 10), believed / 9, dtype=torch.float64).fill_diagonal_(1 - believed).log()[x]
    nothing = torch.zeros(len(pairs), 1, dtype=torch.float64)
    codes = torch.cat([nothing, F.one_hot(s, 10)], dim=1)
    found = information_bounds(posterior(nothing, logits), codes, codes_of())
    assert found["mi_s"].item() == pytest.approx(bound, abs=5e-7)


@pytest.mark.parametrize(("r", "information", "bound"), [(0.1, 1.667113, 1.576794), (0.5, 0.418694, -0.032644)])
def test_the_bound_of_a_continuous_code_in_noise(r, information, bound):
    """x = c + r n read by Q = N(x, r^2), which is not the posterior: its prior is no Gaussian."""
    x = torch.linspace(-5, 5, 200_001, dtype=torch.float64)
    normal = torch.distributions.Normal(double(0), double(1))
    density = (normal.cdf((x + 1) / r) - normal.cdf((x - 1) / r)) / 2
    h_x = torch.trapezoid(-torch.xlogy(density, density), x).item()
    assert h_x - 0.5 * math.log(2 * math.pi * math.e * r**2) == pytest.approx(information, abs=5e-7)

    c, noise = SYMMETRIC, double([[-1], [1]])
    codes = torch.cat([c, F.one_hot(torch.tensor([0, 1]), 10)], dim=1)
    found = information_bounds(posterior(c + r * noise, torch.zeros(2, 10), r**2), codes, codes_of())
    assert found["mi_c"].item() == pytest.approx(bound, abs=5e-7)
    assert found["mi_c"] < information


def test_without_an_opinion_and_at_perfect_recovery():
    s = F.one_hot(torch.tensor([3, 7]), 10)
    codes = torch.cat([SYMMETRIC, s], dim=1)
    found = information_bounds(posterior(torch.zeros(2, 1), torch.zeros(2, 10)), codes, codes_of())
    assert found["mi_s"].item() == pytest.approx(0, abs=1e-6)
    assert found["mi_c"].item() == pytest.approx(-0.392458, abs=5e-7)
    perfect = information_bounds(posterior(SYMMETRIC, 1e3 * s), codes, codes_of())
    assert perfect["mi_s"].item() == pytest.approx(math.log(10))
    assert perfect["mi_c"].item() == pytest.approx(-0.225791, abs=5e-7), "with variance 1 it stays below 0"


def test_zero_heads_of_the_model():
    model = gan()
    zero(model.encoder.critic.head)
    zero(model.encoder.recognition[-1])
    torch.manual_seed(0)
    terms = model.objective(torch.rand(5_000, 1, 8, 8))
    assert terms["critic_adversarial"].item() == pytest.approx(1.386294, abs=1e-5)
    assert terms["generator_adversarial"].item() == pytest.approx(0.693147, abs=1e-5)
    assert terms["mi_s"].item() == pytest.approx(0, abs=1e-5)
    assert terms["mi_c"].item() == pytest.approx(2 * -0.392458, abs=0.02)


# ---- the losses --------------------------------------------------------------------------------------------------


def test_the_weights_of_the_losses():
    model = gan("model.lambda_s=3", "model.lambda_c=0.1")
    x = torch.rand(8, 1, 8, 8)
    for name in ("critic", "generator"):
        torch.manual_seed(1)
        terms = getattr(model, f"{name}_objective")(x, {})
        if name == "generator":
            torch.manual_seed(1)
            terms |= model.judge(*model.generate(x))[1]
        expected = terms[f"{name}_adversarial"] - 3 * terms["mi_s"] - 0.1 * terms["mi_c"]
        torch.testing.assert_close(terms["loss"], expected)


@pytest.mark.parametrize(
    ("likelihood", "outputs", "error"),
    [
        ("fixed", 12, lambda d, q: 0.5 * d.square() + 0.5 * math.log(2 * math.pi)),
        ("mse", 12, lambda d, q: d.square() + 0.5 * math.log(math.pi)),
        ("learned", 14, lambda d, q: -torch.distributions.Normal(d, q.continuous.logvar.div(2).exp()).log_prob(0 * d)),
    ],
)
def test_likelihoods_of_continuous_codes(likelihood, outputs, error):
    model = gan(f"model.cont_likelihood={likelihood}")
    assert model.encoder.recognition[-1].out_features == outputs
    q = model.encode(torch.rand(6, 1, 8, 8))
    z = model.sample_prior(6)
    found = information_bounds(q, z[:, :12], model.latent)["mi_c"]
    expected = 2 * math.log(2) - error(z[:, :2] - q.continuous.mean, q).sum(1).mean()
    torch.testing.assert_close(found, expected)


def test_who_is_reached_by_which_loss():
    x = torch.rand(6, 1, 8, 8)
    shared = gan()
    assert reached(shared, shared.critic_objective(x, {})["loss"]) == {"encoder"}
    # The critic and Q are in the generator's way; the loop freezes them, which tests of every player check.
    assert reached(shared, shared.generator_objective(x, {})["loss"]) == {"encoder", "decoder"}
    apart = gan("model.shared=false")
    assert reached(apart, apart.critic_objective(x, {})["loss"]) == {"critic"}
    assert reached(apart, apart.generator_objective(x, {})["loss"]) == {"critic", "decoder"}
    assert reached(apart, apart.information_objective(x, {})["loss"]) == {"encoder", "decoder"}


def test_q_stands_on_the_trunk_or_has_a_network_of_its_own():
    shape = (1, 28, 28)
    model = instantiate(compose_train("model=infogan", "network=infogan").model, image_shape=shape)
    assert sum(p.numel() for p in model.encoder.recognition.parameters()) == 133004
    assert sum(p.numel() for p in model.encoder.critic.parameters()) == 6558144 + 1025
    assert list(model.players()) == ["critic", "generator"]
    x = torch.rand(3, *shape)
    model.eval()
    torch.testing.assert_close(
        model.encode(x).clusters, model.posterior(model.encoder.both(x)[1]).categorical[0].probabilities
    )
    apart = gan("model.shared=false")
    assert list(apart.players()) == ["critic", "generator", "information"]
    terms = fit(apart)
    assert {"loss_critic", "loss_generator", "loss_information", "mi_s", "mi_c"} <= set(terms[0])


@pytest.mark.parametrize(
    "change",
    [
        "model.shared=false",
        "model.cont_likelihood=learned",
        "model.cont_likelihood=mse latent.prior=normal latent.noise_prior=normal",
        "latent.categories=[]",
        "latent.categories=[3,4]",
        "model.classifier=joint",
        "model.classifier=frozen model.shared=false",
        "model.micro_batches=2",
    ],
)
def test_variants_train(change):
    model = gan(*change.split())
    before = {key: value.clone() for key, value in model.named_parameters()}
    for step in fit(model, steps=4):
        assert all(term.isfinite() for term in step.values())
    assert [key for key, value in model.named_parameters() if torch.equal(value, before[key])] == []


def test_on_convolutions_with_batch_normalisation():
    model = build_model("model=infogan", "dataset=digits", "dataset.size=32", "network=infogan", "logger=csv")
    x = torch.rand(4, 1, 32, 32)
    assert all(term.isfinite() for term in model.objective(x).values())
    assert model(x).shape == (4, 12)


@pytest.mark.slow
def test_a_whole_run(tmp_path):
    told = run_briefly(tmp_path, "infogan")
    assert {"eval/cluster_acc_hungarian", "eval/recon_mse"} <= set(told["scores"])
    assert "no likelihood of images" in told["skipped"]["elbo"]
    assert told["about"]["likelihood"] == "none"
    assert told["about"]["batch_norm"].startswith("re-estimated")


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("latent=gaussian", "does not work with these latents .Gaussian.*It takes latent=codes"),
        ("model.cont_likelihood=gaussian", "must be one of fixed, learned, mse"),
        ("dataset.batch_size=1", "needs at least 2 images in a batch"),
        ("model.lambda_s=-1", "must be a number of at least 0, or a schedule"),
    ],
)
def test_what_cannot_work_is_refused(line, complaint):
    from tests.support.configuration import check_line

    with pytest.raises(UserError, match=complaint):
        check_line(["model=infogan", "dataset=digits", line])
