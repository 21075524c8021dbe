"""VAE/GAN: the gate, who is reached by which loss, and the VAE that it is when the critic looks at pixels."""

import json
import math

import pytest
import torch
from torch import nn

from tests.support.command_line import QUICK, SCORES, rows, train_in
from tests.support.configuration import SMALL, build_model
from tests.support.models import fit
from vaezoo.models.vaegan import who_sits_out


def vaegan(*overrides: str):
    return build_model("model=vaegan", *SMALL, *overrides)


class Pixels(nn.Module):
    """A critic whose features are the image, so that L_like is half the summed squared error."""

    def __init__(self):
        super().__init__()
        self.head = nn.Linear(64, 1, dtype=torch.float64)

    def features(self, x):
        return x.flatten(1)

    def forward(self, x):
        return self.head(x.flatten(1))


@pytest.mark.parametrize(
    ("costs", "idle"),
    [
        ((0.7, 0.7), set()),
        ((0.2, 0.7), {"dis"}),
        ((0.7, 1.2), {"dec"}),
        ((0.2, 1.2), set()),
        ((0.32, 0.9), {"dis"}),
    ],
)
def test_the_gate(costs, idle):
    assert who_sits_out(*costs, equilibrium=0.68, margin=0.35) == idle
    assert who_sits_out(*reversed(costs), equilibrium=0.68, margin=0.35) == idle


def set_costs(model, real: float, fake: float) -> None:
    """Make the critic's costs what they should be, whatever the image: its head judges by the place in the batch."""

    def judge(images):
        logits = images.new_full((len(images), 1), math.log(math.expm1(fake)))
        logits[: len(images) // 3] = -math.log(math.expm1(real))
        return logits + 0 * model.critic.head(model.critic.hidden(images))

    model.critic.forward = judge


def states(model) -> list[dict]:
    """The weights of critic, encoder and decoder, and what their optimisers remember."""
    networks = (model.critic, model.encoder, model.decoder)
    return [
        {"weights": [p.clone() for p in network.parameters()], "memory": [*memory(optimizer)]}
        for network, optimizer in zip(networks, model.all_optimizers(), strict=True)
    ]


def memory(optimizer) -> list[torch.Tensor]:
    held = [value for state in optimizer.state.values() for value in state.values()]
    return [value.clone() for value in held if isinstance(value, torch.Tensor)]


def same(a: dict, b: dict) -> bool:
    return all(len(a[key]) == len(b[key]) and all(map(torch.equal, a[key], b[key])) for key in a)


@pytest.mark.parametrize(
    ("costs", "margin", "moving"),
    [
        ((0.7, 0.7), "0.35", [True, True, True]),
        ((0.2, 0.7), "0.35", [False, True, True]),
        ((0.7, 1.2), "0.35", [True, True, False]),
        ((0.2, 1.2), "0.35", [True, True, True]),
        ((0.2, 0.7), "null", [True, True, True]),
    ],
)
def test_who_sits_out_keeps_weights_and_memory_and_is_still_logged(costs, margin, moving):
    model = vaegan(f"model.margin={margin}")
    before: list[dict] = []

    class Watched(type(model)):
        def on_train_batch_start(self, batch, batch_idx):
            if batch_idx == 2:  # after two steps in which everybody moved, so that there is memory to keep
                set_costs(self, *costs)
                before.extend(states(self))

        def on_train_batch_end(self, outputs, batch, batch_idx):
            if batch_idx == 2:
                after.extend(states(self))

    after: list[dict] = []
    model.__class__ = Watched
    terms = fit(model, steps=3)
    assert all(step["skipped_dis"] == step["skipped_dec"] == 0 for step in terms[:2])
    assert [not same(a, b) for a, b in zip(before, after, strict=True)] == moving
    last = terms[-1]
    assert [last["skipped_dis"], last["skipped_dec"]] == [not moving[0], not moving[2]]
    assert last["cost_real"].item() == pytest.approx(costs[0], abs=1e-6)
    assert last["cost_fake"].item() == pytest.approx(costs[1], abs=1e-6)
    assert last["loss_dis"].item() == pytest.approx(sum(costs) / 2, abs=1e-6)
    assert terms[0].keys() == last.keys() >= {"like", "kl", "like_dec", "adv", "accuracy_real", "grad_norm_dis"}
    assert last["grad_norm_enc"] > 0


def test_the_gate_sees_the_costs_that_the_critic_then_pays():
    model = vaegan()
    x = torch.rand(8, 1, 8, 8)
    drawn = model.draw(x)
    assert model.sitting_out([(x, drawn)]) == set()
    shared = model.dis_objective(x, drawn)
    drawn.pop("images")
    alone = model.dis_objective(x, drawn)
    assert all(torch.equal(shared[key], alone[key]) for key in shared)


def test_batch_statistics_learn_from_moves_and_not_from_the_gate():
    hidden = [f"network.{part}.hidden=[16,16]" for part in ("encoder", "decoder", "critic")]
    statistics = []
    for margin in ("10", "null"):  # With a margin of 10 the gate looks, and everybody moves.
        torch.manual_seed(0)
        model = build_model("model=vaegan", "dataset=digits", "network=vaeganmlp", *hidden, f"model.margin={margin}")
        fit(model, steps=1)
        statistics.append({name: value for name, value in model.named_buffers() if "running_" in name})
    assert len(statistics[0]) == 12
    assert all(torch.equal(value, statistics[1][name]) for name, value in statistics[0].items())


def test_an_undecided_critic_pays_ln_2():
    model = vaegan()
    nn.init.zeros_(model.critic.head.weight)
    nn.init.zeros_(model.critic.head.bias)
    terms = model.objective(torch.rand(6, 1, 8, 8))
    for key in ("cost_real", "cost_fake", "loss_dis", "adv"):
        assert terms[key].item() == pytest.approx(0.693147, abs=5e-7), key


def test_the_losses_from_their_pieces():
    model = vaegan("model.r=0.25", "model.w=0.125").double()
    x = torch.rand(6, 1, 8, 8, dtype=torch.float64)
    softplus = nn.functional.softplus
    drawn = model.draw(x)
    q = model.encode(x)
    z = q.mean + (0.5 * q.logvar).exp() * drawn["eps"]
    recon, prior = model.decode(z).mean, model.decode(drawn["z_p"]).mean
    c_real = softplus(-model.critic(x)).mean()
    costs = {"recon": softplus(model.critic(recon)).mean(), "prior": softplus(model.critic(prior)).mean()}
    costs["both"] = (costs["recon"] + costs["prior"]) / 2
    pulls = {"recon": softplus(-model.critic(recon)).mean(), "prior": softplus(-model.critic(prior)).mean()}
    pulls["both"] = (pulls["recon"] + pulls["prior"]) / 2
    like = 0.5 * (model.critic.features(recon) - model.critic.features(x)).square().sum() / len(x)
    for model.fake_sources in ("both", "recon", "prior"):
        cost, pull = costs[model.fake_sources], pulls[model.fake_sources]
        torch.testing.assert_close(model.dis_objective(x, dict(drawn))["loss"], 0.25 * c_real + 0.75 * cost)
        torch.testing.assert_close(model.enc_objective(x, drawn)["loss"], q.kl().sum() / len(x) + like)
        model.gen_loss = "nonsaturating"
        torch.testing.assert_close(model.dec_objective(x, drawn)["loss"], 0.125 * like + 0.875 * pull)
        model.gen_loss = "saturating"
        torch.testing.assert_close(model.dec_objective(x, drawn)["loss"], 0.125 * like - 0.875 * cost)
    # Both fakes added, as the paper has it, is r = 1/3, up to the factor of the whole.
    model.r, model.fake_sources = 1 / 3, "both"
    added = (c_real + costs["recon"] + costs["prior"]) / 3
    torch.testing.assert_close(model.dis_objective(x, dict(drawn))["loss"], added)


def test_feature_distance_known_value():
    model = vaegan()
    model.critic = Pixels()
    x = torch.zeros(1, 1, 1, 2)
    images = torch.cat([torch.tensor([3.0, 4.0]).view(1, 1, 1, 2), torch.rand(1, 1, 1, 2)])
    assert model.feature_distance(x, images).item() == 12.5


@pytest.mark.parametrize("network", ["mlpk", "vaeganmlp"])
def test_a_perfect_reconstruction_is_at_no_distance_whatever_the_critic(network):
    model = vaegan(f"network={network}")
    x = torch.rand(6, 1, 8, 8)
    assert model.feature_distance(x, torch.cat([x, torch.rand_like(x)])) == 0


def test_with_pixels_for_features_it_is_the_vae():
    """At w = 1, encoder and decoder have the losses and gradients of the VAE with Gaussian pixels of variance 1.

    On images in [0, 1], here and there. A network of images in [-1, 1] would make L_like four times as large.
    """
    model, vae = (
        build_model(f"model={name}", *SMALL, "likelihood=gaussian", "likelihood.variance=1").double()
        for name in ("vaegan", "vae")
    )
    vae.load_state_dict({k: v for k, v in model.state_dict().items() if not k.startswith("critic")})
    model.critic, model.w = Pixels(), 1.0
    x = torch.rand(8, 1, 8, 8, dtype=torch.float64)
    drawn = model.draw(x)
    q = vae.encode(x)
    rec = vae.decode(q.at(drawn["eps"])).rec(x).mean()
    expected = rec + q.kl().sum(1).mean()
    enc, dec = model.enc_objective(x, drawn)["loss"], model.dec_objective(x, drawn)["loss"]
    torch.testing.assert_close(enc, expected)
    torch.testing.assert_close(dec, rec)
    for loss, part in ((enc, "encoder"), (dec, "decoder")):
        found = torch.autograd.grad(loss, list(getattr(model, part).parameters()), retain_graph=True)
        wanted = torch.autograd.grad(expected, list(getattr(vae, part).parameters()), retain_graph=True)
        torch.testing.assert_close(found, wanted)


def test_who_is_reached_by_which_loss():
    """Without the loop, which freezes whoever does not move."""
    model = vaegan("network=vaeganmlp")
    x = torch.rand(6, 1, 8, 8)

    def reached(loss) -> set[str]:
        model.zero_grad(set_to_none=True)
        loss.backward(retain_graph=True)
        names = {name for name, p in model.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0}
        called = {"critic.layers": "trunk", "critic.head": "head"}
        parts = {".".join(name.split(".")[:2]) if name.startswith("critic") else name.split(".")[0] for name in names}
        return {called.get(part, part) for part in parts}

    drawn = model.draw(x)
    assert reached(model.dis_objective(x, drawn)["loss"]) == {"trunk", "head"}
    enc, dec = model.enc_objective(x, drawn), model.dec_objective(x, drawn)
    assert reached(enc["kl"]) == {"encoder"}
    assert reached(enc["like"]) == {"encoder", "decoder", "trunk"}
    assert reached(dec["like_dec"]) == {"decoder", "trunk"}
    assert reached(dec["adv"]) == {"decoder", "trunk", "head"}


def test_features_of_images_are_targets():
    """Raising L_like moves the reconstruction alone: no gradient flows through what the critic sees in the image."""
    model = vaegan()
    x = torch.rand(4, 1, 8, 8, requires_grad=True)
    model.feature_distance(x, torch.rand(8, 1, 8, 8, requires_grad=True)).backward()
    assert x.grad is None or x.grad.abs().max() == 0


def test_the_critic_sees_all_images_in_one_batch():
    model = vaegan("network=vaeganmlp")
    seen = []
    for layer in model.critic.layers:
        layer.register_forward_pre_hook(lambda _, inputs: seen.append(len(inputs[0])))
    fit(model, steps=1)
    assert set(seen) == {48}


@pytest.mark.parametrize("line", ["network=vaegan32 dataset.size=32", "network=vaeganmlp", "model.micro_batches=2"])
def test_published_networks_and_parts_of_batches(line):
    model = vaegan(*line.split())
    side = model.image_shape[1]
    x = torch.rand(4, 1, side, side)
    assert all(torch.isfinite(value).all() for value in model.objective(x).values())
    if side == 8:
        assert fit(model, steps=2)[-1]["skipped_dis"].shape == ()


def test_a_run_from_start_to_scores(tmp_path):
    train_in(tmp_path, "model=vaegan", "max_batches=10", "logger=csv", *QUICK, *SCORES)
    found = json.loads((tmp_path / "metrics.json").read_text())
    assert found["about"]["likelihood"] == "none"
    assert found["skipped"]["elbo"].startswith("the model has no likelihood of images")
    assert {"eval/recon_mse", "eval/active_units", "eval/kl_tc"} <= set(found["scores"])
    assert {"samples", "reconstructions", "traversals"} <= {path.stem for path in (tmp_path / "figures").iterdir()}
    history = rows(tmp_path)
    assert {"train/skipped_dis", "train/skipped_dec", "train/like", "val/loss_enc"} <= set(history[-1])
