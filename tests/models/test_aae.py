"""Adversarial autoencoder: golden numbers of its critic, who is reached by which loss, and the plain autoencoder."""

import json

import pytest
import torch
from hydra.utils import instantiate
from torch import nn

from tests.support.command_line import QUICK, SCORES, rows, train_in
from tests.support.configuration import SMALL, build_model, compose_train
from tests.support.models import fit, reached
from tests.support.tensors import double
from vaezoo.latents.point import PointPosterior
from vaezoo.models.aae import AAE


def aae(*overrides: str):
    return build_model("model=aae", *SMALL, *overrides)


class Known(AAE):
    """Codes are what the images are, one number each, and the prior gives known draws."""

    def encode(self, x, labels=None):
        return PointPosterior(x.flatten(1))

    def sample_prior(self, count, *, device="cpu"):
        return self.drawn[:count]


class Best(nn.Module):
    """The best critic of real N(0, 1) and generated N(m, 1) codes."""

    def __init__(self, m):
        super().__init__()
        self.m = m

    def forward(self, z):
        return self.m**2 / 2 - self.m * z


def known(m: float, quantiles: torch.Tensor):
    """The model whose codes are N(m, 1), by their quantiles, with its best critic."""
    model = aae()
    model.__class__ = Known
    model.critic, model.drawn = Best(m), quantiles
    return model


QUANTILES = torch.distributions.Normal(double(0), double(1)).icdf(
    (torch.arange(200_000, dtype=torch.float64) + 0.5)[:, None] / 200_000
)


def test_the_prior_is_the_real_side():
    model = known(1.0, QUANTILES)
    terms = model.critic_objective((QUANTILES + 1).view(-1, 1, 1, 1), {})
    assert terms["loss"].item() == pytest.approx(1.163451, abs=2e-5)
    assert terms["accuracy_real"].item() == pytest.approx(0.691462, abs=1e-4)  # Phi(1/2)
    assert terms["accuracy_fake"].item() == pytest.approx(0.691462, abs=1e-4)


@pytest.mark.parametrize("m", [0.0, 1.0, -2.0])
def test_the_pull_on_a_code(m):
    """m (1 - D) for each image: against the mean of the codes, and none when they follow the prior already."""
    x = torch.tensor([-1.0, 0.0, 0.5, 3.0], dtype=torch.float64).view(4, 1, 1, 1).requires_grad_()
    known(m, QUANTILES).encoder_objective(x, {})["loss"].backward()
    d = torch.sigmoid(m**2 / 2 - m * x.detach())
    torch.testing.assert_close(4 * x.grad, m * (1 - d))


def test_the_losses_from_their_pieces():
    model = aae("model.lambda_adv=3", "model.critic.noise=0").double()
    x = torch.rand(6, 1, 8, 8, dtype=torch.float64)
    z = model(x)
    torch.manual_seed(0)
    terms = model.objective(x)
    torch.manual_seed(0)
    z_p = torch.randn(6, 10).double()
    softplus = nn.functional.softplus
    torch.testing.assert_close(terms["rec"], (x - model.decode(z).mean).square().sum() / 6)
    torch.testing.assert_close(terms["loss_autoencoder"], terms["rec"])
    torch.testing.assert_close(
        terms["loss_critic"], softplus(-model.critic(z_p)).mean() + softplus(model.critic(z)).mean()
    )
    torch.testing.assert_close(terms["adv"], softplus(-model.critic(z)).mean())
    torch.testing.assert_close(terms["loss_encoder"], 3 * terms["adv"])


def test_who_is_reached_by_which_loss():
    """Without the loop, which freezes whoever does not move."""
    model, x = aae(), torch.rand(6, 1, 8, 8)
    assert reached(model, model.autoencoder_objective(x, {})["loss"]) == {"encoder", "decoder"}
    assert reached(model, model.critic_objective(x, {})["loss"]) == {"critic"}
    assert reached(model, model.encoder_objective(x, {})["loss"]) == {"encoder", "critic"}


def test_the_encoder_has_two_optimisers():
    first, critic, second = aae().configure_optimizers()
    assert first.param_groups[0]["lr"] == 1e-3
    assert critic.param_groups[0]["lr"] == second.param_groups[0]["lr"] == 1e-4
    shared = {id(p) for p in first.param_groups[0]["params"]} & {id(p) for p in second.param_groups[0]["params"]}
    assert len(shared) == len(list(aae().encoder.parameters()))


@pytest.mark.parametrize("network", ["mlpk", "aae"])
def test_without_its_weight_it_trains_as_the_autoencoder_bit_for_bit(network):
    model = aae("model.lambda_adv=0", f"network={network}")
    plain = build_model("model=ae", *SMALL, f"network={network}", "optimizer.lr=1e-3")
    plain.load_state_dict({k: v for k, v in model.state_dict().items() if not k.startswith("critic")})
    terms, expected = fit(model), fit(plain)
    assert [step["rec"] for step in terms] == [step["rec"] for step in expected]
    for part in ("encoder", "decoder"):
        states = [getattr(m, part).state_dict().values() for m in (model, plain)]
        assert all(map(torch.equal, *states))


def test_published_sizes():
    line = ("model=aae", "dataset=digits", "network=aae", "latent.dim=8", *SMALL)
    model = instantiate(compose_train(*line).model, image_shape=(1, 28, 28))
    counts = [sum(p.numel() for p in part.parameters()) for part in (model.encoder, model.decoder, model.critic)]
    assert counts == [1794008, 1794784, 1011001]


@pytest.mark.parametrize(
    "line", ["latent=gaussian", "likelihood=bernoulli", "latent=clusters", "dataset.size=32 network=convh"]
)
def test_other_choices(line):
    model = aae(*line.split())
    side = model.image_shape[1]
    terms = model.objective(torch.rand(4, 1, side, side))
    assert all(torch.isfinite(value) for value in terms.values())
    assert "kl" not in terms


@pytest.mark.slow
def test_a_run_from_start_to_scores(tmp_path):
    train_in(tmp_path, "model=aae", "max_batches=10", "logger=csv", *QUICK, *SCORES)
    found = json.loads((tmp_path / "metrics.json").read_text())
    assert "eval/recon_mse" in found["scores"]
    assert found["skipped"]["kl_decomposition"].startswith("the model has no Gaussian posterior")
    assert {"elbo", "active_units", "clustering"} <= set(found["skipped"])
    assert {"samples", "reconstructions", "traversals"} <= {path.stem for path in (tmp_path / "figures").iterdir()}
    assert {"train/rec", "train/adv", "train/grad_norm_critic", "val/loss_critic"} <= set(rows(tmp_path)[-1])
