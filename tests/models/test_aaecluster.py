"""The adversarial autoencoder that clusters: two critics and their sums, and the category as a cluster."""

import json
import math

import pytest
import torch
from torch import nn

from tests.support.command_line import QUICK, SCORES, rows, train_in
from tests.support.configuration import SMALL, build_model, check_line
from tests.support.models import reached
from vaezoo.errors import UserError

softplus = nn.functional.softplus


def aaecluster(*overrides: str):
    return build_model("model=aaecluster", *SMALL, *overrides)


def test_a_code_is_a_place_and_a_category():
    model = aaecluster("latent.dim=3", "latent.categories=[5]")
    x = torch.rand(6, 1, 8, 8)
    q = model.encode(x)
    assert q.mean.shape == q.sample().shape == (6, 8)
    torch.testing.assert_close(q.clusters.sum(1), torch.ones(6))
    assert torch.equal(q.mean[:, 3:], q.clusters)
    logits = model.encoder(x)[:, 3:]
    assert torch.equal(q.clusters.argmax(1), logits.argmax(1))
    prior = model.sample_prior(400)
    assert set(prior[:, 3:].unique().tolist()) == {0.0, 1.0}
    assert torch.equal(prior[:, 3:].sum(1), torch.ones(400))
    assert (prior[:, 3:].mean(0) - 0.2).abs().max() < 0.08


def test_each_critic_sees_its_part_and_losses_are_sums():
    model = aaecluster("model.lambda_adv=3", "model.critic.noise=0").double()
    x = torch.rand(6, 1, 8, 8, dtype=torch.float64)
    codes = model(x)
    torch.manual_seed(0)
    terms = model.objective(x)
    torch.manual_seed(0)
    prior = model.sample_prior(6).double()
    (z_p, y_p), (z, y) = prior.split([10, 16], 1), codes.split([10, 16], 1)
    l_y = softplus(-model.critic_y(y_p)).mean() + softplus(model.critic_y(y)).mean()
    l_z = softplus(-model.critic_z(z_p)).mean() + softplus(model.critic_z(z)).mean()
    torch.testing.assert_close(terms["loss_critics"], l_y + l_z)
    torch.testing.assert_close(terms["adv_y"], softplus(-model.critic_y(y)).mean())
    torch.testing.assert_close(terms["adv_z"], softplus(-model.critic_z(z)).mean())
    torch.testing.assert_close(terms["loss_encoder"], 3 * (terms["adv_y"] + terms["adv_z"]))
    torch.testing.assert_close(terms["rec"], (x - model.decode(codes).mean).square().sum() / 6)


def test_two_undecided_critics_pay_twice_log_4():
    model = aaecluster()
    for critic in (model.critic_y, model.critic_z):
        nn.init.zeros_(critic.layers[-1].weight)
    terms = model.objective(torch.rand(6, 1, 8, 8))
    assert terms["loss_critics"].item() == pytest.approx(2 * math.log(4), abs=1e-6)
    assert terms["loss_encoder"].item() == pytest.approx(math.log(4), abs=1e-6)


def test_who_is_reached_by_which_loss():
    model, x = aaecluster(), torch.rand(6, 1, 8, 8)
    assert reached(model, model.autoencoder_objective(x, {})["loss"]) == {"encoder", "decoder"}
    assert reached(model, model.critics_objective(x, {})["loss"]) == {"critic_y", "critic_z"}
    encoder = model.encoder_objective(x, {})
    assert reached(model, encoder["loss"]) == {"encoder", "critic_y", "critic_z"}
    encoder = model.encoder_objective(x, {})
    assert reached(model, encoder["adv_y"]) == {"encoder", "critic_y"}


def test_codes_need_both_parts():
    with pytest.raises(UserError, match="AAECluster needs a category"):
        check_line(["model=aaecluster", "dataset=digits", "latent=point"])
    with pytest.raises(UserError, match=r"It takes latent=clusters"):
        check_line(["model=aaecluster", "dataset=digits", "latent=gaussian"])


@pytest.mark.slow
def test_a_run_from_start_to_scores(tmp_path):
    train_in(tmp_path, "model=aaecluster", "max_batches=10", "logger=csv", *QUICK, *SCORES)
    found = json.loads((tmp_path / "metrics.json").read_text())
    scores = found["scores"]
    assert scores["eval/cluster_count"] == 16
    assert 0.1 <= scores["eval/cluster_acc_majority"] <= 1
    assert {"eval/cluster_acc_majority_train_map", "eval/cluster_acc_exemplar", "eval/recon_mse"} <= set(scores)
    assert "class_grid.png" in {p.name for p in (tmp_path / "figures").iterdir()}
    assert {"train/accuracy_real_y", "train/accuracy_fake_z", "train/adv_y"} <= set(rows(tmp_path)[-1])
