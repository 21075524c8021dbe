"""ALI and BiGAN: the known values of a linear-Gaussian game, who gets which gradient, and where decoders begin."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from tests.support.command_line import QUICK, SCORES, state, train, train_in
from tests.support.configuration import SMALL, build_model
from tests.support.linear_gaussian import TOYS, Quadratic, ToyEncoder, densities, draws
from tests.support.models import fix_noise
from tests.support.tensors import double
from vaezoo.errors import UserError
from vaezoo.latents.gaussian import Gaussian
from vaezoo.likelihoods import Gaussian as GaussianImages
from vaezoo.models.ali import ALI
from vaezoo.models.bigan import BiGAN

VALUES = {  # the best value of the critic, JS(q, p), and what the pair then pays
    "equal": (-1.386294, 0, 1.386294),
    "second": (-1.277245, 0.054525, 1.787245),
    "third": (-1.288782, 0.048756, 1.741282),
}


class NoisyDecoder(nn.Module):
    """A draw from N(b z, v): ALI's generators add no noise, so this one brings its own."""

    def __init__(self, b: float, v: float) -> None:
        super().__init__()
        self.b, self.v = nn.Parameter(double(b)), v

    def forward(self, z):
        images = self.b * z + math.sqrt(self.v) * torch.randn_like(z)
        return images[:, :, None, None]


def toy_model(s, a, t, b, v, *, critic: torch.Tensor | None = None) -> ALI:
    """The model itself with these networks and the critic ln q(x, z) - ln p(x, z)."""
    model = ALI(
        image_shape=(1, 1, 1),
        latent=Gaussian(1),
        likelihood=lambda output: GaussianImages(output, link="identity"),
        encoder=lambda shape, params: ToyEncoder(a, t),
        decoder=lambda dim, shape: NoisyDecoder(b, v),
        optimizer=torch.optim.Adam,
        critic=lambda shape, condition: Quadratic(torch.zeros(4, dtype=torch.float64)),
        disc_batch="concat",
    )
    d = densities(s, a, t, b, v)
    model.critic.coefficients.data.copy_(d.q - d.p if critic is None else critic)
    return model


def expected(loss, nodes: int = 24) -> float:
    """The mean of loss(u, w) over independent standard normals by quadrature, a point at a time."""
    points, weights = np.polynomial.hermite_e.hermegauss(nodes)
    weights /= weights.sum()
    return sum(
        weight * other * loss(double([[u]]), double([[w]]))
        for u, weight in zip(points, weights, strict=True)
        for w, other in zip(points, weights, strict=True)
    )


@pytest.mark.parametrize("name", TOYS)
def test_the_game_has_these_values_at_the_best_critic(name, monkeypatch):
    best, js, pays = VALUES[name]
    model = toy_model(*TOYS[name])

    def loss_of(player: str):
        def loss(u, w) -> float:
            fix_noise(monkeypatch, lambda like: w.view(like.shape))
            x = math.sqrt(TOYS[name][0]) * u[:, :, None, None]
            return model.terms_of(player, x, {"z": u})["loss"].item()

        return loss

    value = -expected(loss_of("critic"))
    assert value == pytest.approx(best, abs=5e-6)
    assert 0.5 * (value + math.log(4)) == pytest.approx(js, abs=3e-6)
    assert expected(loss_of("pair")) == pytest.approx(pays, abs=5e-6)


def test_the_best_critic_of_unequal_joint_distributions():
    assert toy_model(*TOYS["second"]).critic.coefficients.tolist() == pytest.approx([0, 0.25, 0.4, -0.86], abs=1e-9)


def test_at_equal_joint_distributions_no_pair_moves_anybody():
    model = toy_model(*TOYS["equal"])
    assert model.critic.coefficients.abs().max() < 1e-12
    model.critic.coefficients.data.zero_()
    x, drawn = draws(2, 8)
    for i in range(8):
        loss = model.pair_objective(x[i : i + 1], {"z": drawn["z"][i : i + 1]})["loss"]
        networks = [*model.encoder.parameters(), *model.decoder.parameters()]
        assert all(gradient == 0 for gradient in torch.autograd.grad(loss, networks))
    assert loss.item() == pytest.approx(2 * math.log(2), abs=1e-12)


def test_logistic_regression_finds_the_best_critic():
    toy = TOYS["second"]
    model = toy_model(*toy, critic=torch.zeros(4, dtype=torch.float64))
    x, drawn = draws(toy[0], 50_000)
    optimizer = torch.optim.LBFGS(model.critic.parameters(), line_search_fn="strong_wolfe")

    def closure():
        torch.manual_seed(1)
        optimizer.zero_grad()
        loss = model.critic_objective(x, drawn)["loss"]
        loss.backward()
        return loss

    optimizer.step(closure)
    expected = double([0, 0.25, 0.4, -0.86])
    torch.testing.assert_close(model.critic.coefficients.data, expected, rtol=0, atol=0.03)


@pytest.mark.parametrize("name", ["ali", "bigan"])
def test_swapped_labels_are_the_other_sign_of_the_logit(name):
    """L_D(l) = L_EG(-l)."""
    model = build_model(f"model={name}", *SMALL)
    x = torch.rand(6, 1, 8, 8)
    drawn = model.draw(x)

    def losses() -> tuple[torch.Tensor, torch.Tensor]:
        found = []
        for player in model.players():
            torch.manual_seed(0)
            found.append(model.terms_of(player, x, drawn)["loss"])
        return found[0], found[1]

    critic, pair = losses()
    with torch.no_grad():
        for parameter in model.critic.head.parameters():
            parameter.neg_()
    torch.testing.assert_close(losses(), (pair, critic))
    assert not torch.isclose(critic, pair)


@pytest.mark.parametrize("name", ["ali", "bigan"])
def test_an_undecided_critic_costs_log_4(name):
    model = build_model(f"model={name}", *SMALL)
    with torch.no_grad():
        for parameter in model.critic.head.parameters():
            parameter.zero_()
    terms = model.objective(torch.rand(6, 1, 8, 8))
    assert terms["loss_critic"].item() == terms["loss_pair"].item() == pytest.approx(1.386294, abs=5e-7)


@pytest.mark.parametrize("name", ["ali", "bigan"])
def test_who_is_reached_by_which_loss(name):
    model = build_model(f"model={name}", *SMALL)
    x = torch.rand(6, 1, 8, 8)
    drawn = model.draw(x)

    def reached(loss) -> set[str]:
        model.zero_grad(set_to_none=True)
        loss.backward()
        return {
            name.split(".")[0] for name, p in model.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0
        }

    assert reached(model.critic_objective(x, drawn)["loss"]) == {"critic"}
    assert reached(model.pair_objective(x, drawn)["loss"]) == {"encoder", "decoder", "critic"}


class Halves(nn.Module):
    """A critic that notes the batches it is shown, and calls a pair real by its code."""

    def __init__(self) -> None:
        super().__init__()
        self.batches: list[int] = []

    def forward(self, x, z):
        self.batches.append(len(x))
        return x.flatten(1).sum(1, keepdim=True) + z.sum(1, keepdim=True)


@pytest.mark.parametrize(("disc_batch", "batches"), [("concat", [10]), ("separate", [5, 5])])
def test_both_halves_in_one_batch_or_one_after_the_other(disc_batch, batches):
    model = build_model("model=ali", f"model.disc_batch={disc_batch}", *SMALL)
    model.critic = Halves()
    x, codes, fakes, z = torch.rand(5, 1, 8, 8), torch.randn(5, 10), torch.rand(5, 1, 8, 8), torch.randn(5, 10)
    real, fake = model.judge(x, codes, fakes, z)
    assert model.critic.batches == batches
    torch.testing.assert_close(real, model.critic(x, codes))
    torch.testing.assert_close(fake, model.critic(fakes, z))


def test_defaults_are_those_of_the_papers():
    ali, bigan = build_model("model=ali", *SMALL), build_model("model=bigan", *SMALL)
    assert ali.disc_batch == "concat"
    assert bigan.disc_batch == "separate"
    for model, lr, decay in ((ali, 1e-4, 0), (bigan, 2e-4, 2.5e-5)):
        for optimizer in model.configure_optimizers():
            group = optimizer.param_groups[0]
            assert (group["lr"], group["betas"], group["weight_decay"]) == (lr, (0.5, 0.999), decay)


def test_bigan_has_point_codes_and_a_uniform_prior():
    model = build_model("model=bigan", *SMALL)
    assert isinstance(model, BiGAN)
    x = torch.rand(4, 1, 8, 8)
    z = model.draw(torch.rand(1000, 1, 8, 8))["z"]
    assert z.abs().max() <= 1
    assert z.var().item() == pytest.approx(1 / 3, abs=0.02)
    assert torch.equal(model.encode(x).sample(), model.encoder(x))


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("model=bigan latent=clusters", "BiGAN needs continuous codes alone"),
        (
            "model=bigan latent=gaussian",
            r"these latents \(Gaussian\). It takes latent=clusters",
        ),
        ("model=ali latent=uniform", r"these latents \(Point\)"),
        ("model=ali model.disc_batch=both", "model.disc_batch=both: must be one of concat, separate"),
    ],
)
def test_what_cannot_work_is_refused(line, complaint):
    from tests.support.configuration import check_line

    with pytest.raises(UserError, match=complaint):
        check_line([*line.split(), "dataset=digits"])


@pytest.mark.slow
@pytest.mark.parametrize(("name", "figures"), [("ali", {"kl_per_dim"}), ("bigan", set())])
def test_a_whole_run(name, figures, tmp_path):
    train_in(tmp_path, f"model={name}", "max_batches=10", "logger=csv", *QUICK, *SCORES)
    scores = json.loads((tmp_path / "metrics.json").read_text())
    assert scores["skipped"]["elbo"].startswith("the model has no likelihood of images")
    assert scores["scores"]["eval/recon_mse"] > 0
    assert ("eval/kl_mi" in scores["scores"]) == (name == "ali")
    drawn = {path.stem for path in (tmp_path / "figures").glob("*.png")}
    assert {"samples", "reconstructions", "traversals", "curves"} | figures <= drawn


# ---- where ALI's generator begins ----------------------------------------------------------------------------------


def with_pixel_biases(*overrides: str):
    """A model with the generator of the paper, and the data."""
    from hydra.utils import instantiate

    from tests.support.configuration import compose_train

    line = ("model=ali", "dataset=digits", "dataset.size=32", "network=ali32", "latent.dim=8", *SMALL[1:], *overrides)
    torch.manual_seed(0)
    config = compose_train(*line)
    model, data = instantiate(config.model), instantiate(config.dataset)
    data.place(torch.device("cpu"))
    return model, data


@pytest.mark.parametrize("model_name", ["ali", "vae"])
def test_a_fresh_run_begins_at_the_mean_training_image(model_name):
    model, data = with_pixel_biases(f"model={model_name}")
    assert not model.decoder[-1].bias.any()
    model.begin_at(data.mean_image)
    mean = torch.from_numpy(data.source.images[data.rows.train]).double().mean(0) / data.source.scale
    torch.testing.assert_close(data.mean_image().double(), mean, rtol=0, atol=1e-6)
    torch.testing.assert_close(model.decoder[-1].bias, mean.clamp(0.5 / 255, 1 - 0.5 / 255).logit().float())
    images = model.decode(model.sample_prior(16)).mean
    torch.testing.assert_close(images.mean(0), mean.float(), rtol=0, atol=0.05)


def test_the_mean_image_is_computed_only_where_it_is_used():
    build_model("model=vae", *SMALL).begin_at(lambda: pytest.fail("a pass over all images for nothing"))


@pytest.mark.slow
def test_biases_of_a_resumed_run_are_those_of_a_run_in_one_go(in_tmp, monkeypatch):
    size = ["model=ali", "dataset.size=32", "network=ali32", "latent.dim=4", "dataset.batch_size=4"]
    line = [*size, *QUICK, *SMALL[1:]]
    train_in("once", *line, "max_batches=2")
    train_in("twice", *line, "max_batches=1")
    assert train(monkeypatch, "run=twice", "max_batches=2") == 0
    once, twice = (state(Path(folder))["state_dict"] for folder in ("once", "twice"))
    key = next(key for key in once if key.startswith("decoder") and once[key].shape == (1, 32, 32))
    assert torch.equal(once[key], twice[key])
    assert once[key].abs().mean() > 1  # near the log-odds of the mean image, not near 0


def test_pixels_that_never_change_have_finite_biases():
    model, _ = with_pixel_biases()
    model.decoder[-1].begin_at(torch.zeros(1, 32, 32))
    assert model.decoder[-1].bias.max() == model.decoder[-1].bias.min()
    assert model.decoder[-1].bias.min().item() == pytest.approx(math.log(0.5 / 254.5), abs=1e-4)
