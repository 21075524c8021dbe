"""AS-VAE: every number of a linear-Gaussian pair of joint distributions, the gradient that training follows, routing.

q(x) = N(0, S), q(z|x) = N(a x, t); p(z) = N(0, 1), p(x|z) = N(b z, v): all densities are known, the best critics are
quadratics, and so are the terms of the pair's loss. Their means are those of four points: x = +-sqrt(S) with noise +-1
has the moments up to the second of a Gaussian x with Gaussian noise.
"""

import json
import math

import pytest
import torch
from torch import nn

from tests.support.command_line import QUICK, SCORES, train_in
from tests.support.configuration import SMALL, build_model
from tests.support.linear_gaussian import TOYS, Quadratic, ToyEncoder, densities, draws, log_normal
from tests.support.models import fix_noise
from tests.support.tensors import double
from vaezoo.errors import UserError
from vaezoo.latents.gaussian import Gaussian
from vaezoo.likelihoods import Bernoulli
from vaezoo.likelihoods import Gaussian as GaussianImages
from vaezoo.losses.elbo import elbo_terms
from vaezoo.models.asvae import ASVAE, normalise_spectra

# KL(q||p), KL(p||q), L_x, L_z, E_q log p(x|z), E_q f1*, E_p log q(z|x), E_p f2*, ELBO
VALUES = {
    "equal": (0, 0, -1.765512, -1.418939, -1.418939, 0.346574, -1.072365, 0.346574, -1.765512),
    "second": (0.255000, 0.255000, -2.116646, -1.696764, -1.452365, 0.664281, -1.195791, 0.500973, -2.020512),
    "third": (0.201572, 0.250928, -1.717084, -1.673398, -1.563939, 0.153145, -1.169867, 0.503531, -1.620510),
}


class ToyDecoder(nn.Module):
    def __init__(self, b: float) -> None:
        super().__init__()
        self.b = nn.Parameter(double(b))

    def forward(self, z):
        return (self.b * z)[:, :, None, None]


def best_critics(*toy) -> tuple[torch.Tensor, torch.Tensor]:
    d = densities(*toy)
    return d.q - d.p_marginals, d.p - d.q_marginals


def toy_model(s, a, t, b, v, *, critics=None, lambda_rec: float = 1.0) -> ASVAE:
    """The model itself with these networks, its variance a parameter, and the best critics."""
    model = ASVAE(
        image_shape=(1, 1, 1),
        latent=Gaussian(1),
        likelihood=lambda output: GaussianImages(output, variance=model.variance, link="identity"),
        encoder=lambda shape, params: ToyEncoder(a, t),
        decoder=lambda dim, shape: ToyDecoder(b),
        optimizer=torch.optim.Adam,
        critic=lambda shape, condition: Quadratic(torch.zeros(4, dtype=torch.float64)),
        lambda_rec=lambda_rec,
        spectral_norm=False,
        sample_pixels=True,
    )
    model.variance = nn.Parameter(double(v))
    for critic, best in zip((model.f1, model.f2), critics or best_critics(s, a, t, b, v), strict=True):
        critic.coefficients.data.copy_(best)
    return model


def pair_terms(model: ASVAE, s: float, monkeypatch) -> dict[str, torch.Tensor]:
    """The terms of the pair at four points with the moments of all of q and p; log p with its constant."""
    signs, noise = double([[1], [1], [-1], [-1]]), double([[1], [-1], [1], [-1]])
    fix_noise(monkeypatch, lambda like: noise.view(like.shape))
    terms = model.pair_objective(math.sqrt(s) * signs[:, :, None, None], {"z": signs})
    constant = 0.5 * (2 * math.pi * model.variance).log()
    return {**terms, "loss": terms["loss"] + model.lambda_rec * constant, "rec": terms["rec"] + constant}


@pytest.mark.parametrize("name", TOYS)
def test_the_terms_are_those_of_the_exact_densities(name, monkeypatch):
    s, a, t, b, v = TOYS[name]
    kl_qp, kl_pq, l_x, l_z, log_p, f1, log_q, f2, elbo = VALUES[name]
    model = toy_model(*TOYS[name])
    terms = {key: term.item() for key, term in pair_terms(model, s, monkeypatch).items()}
    assert -terms["rec"] == pytest.approx(log_p, abs=6e-7)
    assert -terms["rec_z"] == pytest.approx(log_q, abs=6e-7)
    assert terms["f1"] == pytest.approx(f1, abs=6e-7)
    assert terms["f2"] == pytest.approx(f2, abs=6e-7)
    assert -terms["rec"] - terms["f1"] == pytest.approx(l_x, abs=6e-7)
    assert -terms["rec_z"] - terms["f2"] == pytest.approx(l_z, abs=6e-7)
    assert terms["loss"] == pytest.approx(-l_x - l_z, abs=1.2e-6)
    # What a marginal expects of the other, and so the two KLs: L_x = E_q ln p(x) - KL(q || p), and L_z likewise.
    d = densities(*TOYS[name])
    marginal_x = (log_normal(double(b**2 + v)) @ double([1, s])).item()
    marginal_z = (log_normal(double(a**2 * s + t)) @ double([1, 1])).item()
    assert marginal_x - l_x == pytest.approx(kl_qp, abs=1.2e-6)
    assert marginal_z - l_z == pytest.approx(kl_pq, abs=1.2e-6)
    assert ((d.q - d.p) @ d.moments_q).item() == pytest.approx(kl_qp, abs=6e-7)
    assert ((d.p - d.q) @ d.moments_p).item() == pytest.approx(kl_pq, abs=6e-7)
    # The ELBO of the same networks, which is no more than L_x less what L_x has twice.
    x = double([[[[math.sqrt(s)]]], [[[-math.sqrt(s)]]]]).repeat(2, 1, 1, 1)
    q = model.encode(x)
    z = q.mean + math.sqrt(t) * double([[1], [1], [-1], [-1]])
    bound = elbo_terms(model.decode(z), q, x)["elbo"].item() - 0.5 * math.log(2 * math.pi * v)
    entropy = 0.5 * math.log(2 * math.pi * math.e * s)
    assert bound == pytest.approx(elbo, abs=6e-7)
    assert bound == pytest.approx(-kl_qp - entropy, abs=1.2e-6)
    assert l_x == pytest.approx(marginal_x + bound + entropy, abs=1.2e-6)


def test_at_equal_joint_distributions_the_critics_see_the_mutual_information(monkeypatch):
    terms = pair_terms(toy_model(*TOYS["equal"]), 2, monkeypatch)
    information = 0.5 * math.log(2)
    assert terms["f1"].item() == pytest.approx(information, abs=1e-12)
    assert terms["f2"].item() == pytest.approx(information, abs=1e-12)


def test_the_best_critics_have_these_coefficients():
    f1, f2 = best_critics(*TOYS["equal"])
    assert f1.tolist() == pytest.approx([0.347, -0.25, 1, -0.5], abs=5e-4)
    torch.testing.assert_close(f1, f2)
    f1, f2 = best_critics(*TOYS["second"])
    assert f1.tolist() == pytest.approx([0.412, -0.311, 2, -1.5], abs=5e-4)
    assert f2.tolist() == pytest.approx([0.549, -0.75, 1.6, -0.473], abs=5e-4)


# ---- what the gradient is ------------------------------------------------------------------------------------------


def ascent(name: str, monkeypatch, lambda_rec: float = 1.0) -> torch.Tensor:
    """Minus the pair's gradient in (a, t, b, v), the critics frozen at their best."""
    model = toy_model(*TOYS[name], lambda_rec=lambda_rec)
    loss = pair_terms(model, TOYS[name][0], monkeypatch)["loss"]
    parameters = [model.encoder.a, model.encoder.t, model.decoder.b, model.variance]
    return -torch.stack(torch.autograd.grad(loss, parameters))


def exact_ascent(name: str, *, marginals: bool) -> torch.Tensor:
    """Minus the gradient of KL(q || p) + KL(p || q), or with the `marginals` the gradient of L_x + L_z."""
    s, *rest = TOYS[name]
    toy = [double(value).requires_grad_() for value in rest]
    d = densities(s, *toy)
    value = -(d.q - d.p) @ d.moments_q - (d.p - d.q) @ d.moments_p
    if marginals:
        a, t, b, v = toy
        value = value + log_normal(b**2 + v) @ double([1, s]) + log_normal(a**2 * s + t) @ double([1, 1])
    return torch.stack(torch.autograd.grad(value, toy))


@pytest.mark.parametrize(
    ("name", "expected"),
    [("equal", (0, 0, 0, 0)), ("second", (1.84, 2.74, 1.6, 1.01)), ("third", (0.9, -0.546875, -1.3275, 0.08875))],
)
def test_training_follows_the_symmetric_kl(name, expected, monkeypatch):
    found = ascent(name, monkeypatch)
    assert found.tolist() == pytest.approx(expected, abs=1e-9)
    torch.testing.assert_close(found, exact_ascent(name, marginals=False), rtol=0, atol=1e-9)


def test_training_does_not_follow_the_marginals(monkeypatch):
    """The gradient of L_xz is another."""
    full = exact_ascent("second", marginals=True)
    assert full.tolist() == pytest.approx((2.284444, 2.962222, 2.129394, 1.340871), abs=6e-7)
    assert (full - ascent("second", monkeypatch)).abs().min() > 0.2


@pytest.mark.parametrize(
    ("lambda_rec", "expected"),
    [
        (1, (0, 0, 0, 0)),
        (0.5, (-0.5, 0.25, -0.25, 0.125)),
        (0, (-1, 0.5, -0.5, 0.25)),  # codes forget the image
        (2, (1, -0.5, 0.5, -0.25)),
    ],
)
def test_lambda_moves_the_optimum(lambda_rec, expected, monkeypatch):
    assert ascent("equal", monkeypatch, lambda_rec).tolist() == pytest.approx(expected, abs=1e-9)


# ---- the critics ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", TOYS)
def test_logistic_regression_finds_the_best_critics(name):
    """Who is given which pairs decides what the critics learn."""
    toy = TOYS[name]
    zeros = torch.zeros(4, dtype=torch.float64)
    model = toy_model(*toy, critics=(zeros, zeros))
    x, drawn = draws(toy[0], 100_000)
    optimizer = torch.optim.LBFGS([*model.f1.parameters(), *model.f2.parameters()], line_search_fn="strong_wolfe")

    def closure():
        torch.manual_seed(1)
        optimizer.zero_grad()
        loss = model.critics_objective(x, drawn)["loss"]
        loss.backward()
        return loss

    assert optimizer.step(closure).item() == pytest.approx(4 * math.log(2))
    for critic, best in zip((model.f1, model.f2), best_critics(*toy), strict=True):
        torch.testing.assert_close(critic.coefficients.data, best, rtol=0, atol=0.03)


def test_the_best_critics_cannot_do_better_than_this():
    """At equal joint distributions each of the two costs 1.205419."""
    toy = TOYS["equal"]
    loss = toy_model(*toy).critics_objective(*draws(toy[0], 400_000))["loss"].item()
    assert loss / 2 == pytest.approx(1.205419, abs=0.003)


# ---- the model -----------------------------------------------------------------------------------------------------


def asvae(*overrides: str):
    return build_model("model=asvae", *SMALL, *overrides)


class Recorder(nn.Module):
    """Keeps the pairs that it is shown."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(()))
        self.seen: list[tuple[torch.Tensor, torch.Tensor]] = []

    def forward(self, x, z):
        self.seen.append((x, z))
        return self.weight * z[:, :1]


def test_which_pairs_each_critic_judges():
    model = asvae()
    model.f1, model.f2 = Recorder(), Recorder()
    x = torch.rand(32, 1, 8, 8)
    z = torch.randn(32, 10)
    model.critics_objective(x, {"z": z})
    (x1, codes), (fakes, unrelated) = model.f1.seen
    (fakes2, z2), (x2, shuffled) = model.f2.seen
    assert torch.equal(x1, x)
    assert torch.equal(x2, x)
    assert torch.equal(fakes, model.decode(z).mean)
    assert torch.equal(fakes2, fakes)
    assert torch.equal(z2, z)
    assert torch.equal(shuffled.sort(0).values, codes.sort(0).values)
    assert not torch.equal(shuffled, codes)
    assert not torch.isin(unrelated, z).any()
    assert not any(tensor.requires_grad for pair in (*model.f1.seen, *model.f2.seen) for tensor in pair)
    model.f1.seen, model.f2.seen = [], []
    model.pair_objective(x, {"z": z})
    assert torch.equal(model.f1.seen[0][0], x)
    assert torch.equal(model.f2.seen[0][1], z)


def test_who_is_reached_by_which_loss():
    model = asvae()
    x = torch.rand(6, 1, 8, 8)
    drawn = model.draw(x)
    everyone = {"encoder", "decoder", "f1", "f2"}

    def reached(loss) -> set[str]:
        model.zero_grad(set_to_none=True)
        loss.backward()
        return {
            name.split(".")[0] for name, p in model.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0
        }

    assert reached(model.critics_objective(x, drawn)["loss"]) == {"f1", "f2"}
    assert reached(model.pair_objective(x, drawn)["loss"]) == everyone
    assert reached(model.pair_objective(x, drawn)["f1"]) == {"encoder", "f1"}
    assert reached(model.pair_objective(x, drawn)["f2"]) == {"decoder", "f2"}
    assert reached(model.pair_objective(x, drawn)["rec"]) == {"encoder", "decoder"}
    assert reached(model.pair_objective(x, drawn)["rec_z"]) == {"encoder", "decoder"}


def test_the_loss_is_made_of_its_terms():
    model = asvae("model.lambda_rec=3").double()
    terms = model.objective(torch.rand(6, 1, 8, 8, dtype=torch.float64))
    expected = 3 * (terms["rec"] + terms["rec_z"]) + terms["f1"] + terms["f2"]
    torch.testing.assert_close(terms["loss_pair"], expected)


def test_images_have_variance_one_and_that_can_be_set():
    x = torch.rand(4, 1, 8, 8)
    for line, variance in (([], 1), (["likelihood.variance=0.25"], 0.25)):
        p = asvae(*line).decode(torch.zeros(4, 10))
        torch.testing.assert_close(p.rec(x), (x - p.mean).square().flatten(1).sum(1) / (2 * variance))


def test_generated_images_are_means_or_draws():
    z = torch.zeros(4000, 10)
    model = asvae()
    x = torch.rand(4000, 1, 8, 8)
    assert torch.equal(model.infer_and_generate(x, z)[1], model.decode(z).mean)
    noisy = asvae("model.sample_pixels=true", "likelihood.variance=0.25").infer_and_generate(x, z)[1]
    assert (noisy - model.decode(z).mean).var(0).mean().item() == pytest.approx(0.25, abs=0.01)


def test_spectral_norm_bounds_every_layer_of_the_critics():
    critic, normal = asvae().f1, normalise_spectra(asvae().f1)
    for _ in range(30):
        normal(torch.rand(4, 1, 8, 8), torch.randn(4, 10))
    normal.eval()
    layers = [layer for layer in normal.modules() if isinstance(layer, nn.Linear)]
    assert len(layers) == 3
    for layer, free in zip(layers, (m for m in critic.modules() if isinstance(m, nn.Linear)), strict=True):
        assert torch.linalg.matrix_norm(layer.weight, 2).item() == pytest.approx(1, abs=0.01)
        assert torch.linalg.matrix_norm(free.weight, 2).item() != pytest.approx(1, abs=0.01)
    for network in ("f1", "f2"):
        named = getattr(asvae("model.spectral_norm=true"), network).named_parameters()
        assert sum("parametrizations" in name for name, _ in named) == 3


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("likelihood=bernoulli model.sample_pixels=true", "ASVAE needs Gaussian pixels, which likelihood=gaussian has"),
        ("dataset.batch_size=1", "the permutation of AS-VAE needs at least 2 images in a batch"),
        ("latent=point", r"these latents \(Point\)"),
        ("model.lambda_rec=-1", "model.lambda_rec=-1: must be a number of at least 0"),
    ],
)
def test_what_cannot_work_is_refused(line, complaint):
    from tests.support.configuration import check_line

    with pytest.raises(UserError, match=complaint):
        check_line(["model=asvae", "dataset=digits", *line.split()])


@pytest.mark.slow
def test_a_whole_run(tmp_path):
    train_in(tmp_path, "model=asvae", "max_batches=10", "logger=csv", *QUICK, *SCORES)
    scores = json.loads((tmp_path / "metrics.json").read_text())
    assert scores["scores"]["eval/elbo"] == pytest.approx(scores["scores"]["eval/rec"] - scores["scores"]["eval/kl"])
    drawn = {path.stem for path in (tmp_path / "figures").glob("*.png")}
    assert {"samples", "reconstructions", "traversals", "curves", "kl_per_dim"} <= drawn


def test_it_also_takes_binary_pixels():
    model = asvae("likelihood=bernoulli")
    assert isinstance(model.decode(torch.zeros(2, 10)), Bernoulli)
    assert torch.isfinite(model.objective(torch.rand(4, 1, 8, 8))["loss_pair"])
