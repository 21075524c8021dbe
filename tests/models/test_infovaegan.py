"""InfoVAEGAN, its ablation, its second generator: golden numbers, who learns from what, what the critic sees."""

import math

import pytest
import torch

from tests.support.command_line import run_briefly
from tests.support.configuration import SMALL, build_model, compose_train
from tests.support.mixed import posterior
from tests.support.models import fit, fix_noise, reached, zero
from vaezoo.errors import UserError

KINDS = ("infovaegan", "infovaegan2")
X = (6, 1, 8, 8)


def build(*overrides: str, name: str = "infovaegan"):
    return build_model(f"model={name}", *SMALL, *overrides)


# ---- golden numbers ----------------------------------------------------------------------------------------------


def test_zero_heads():
    """Ten categories, ten codes: every loss in closed form, with sigma = softplus(0) = ln 2."""
    model = build("latent.dim=10")
    zero(model.critic.head)
    zero(model.encoder.layers[-1])
    torch.manual_seed(0)
    terms = model.objective(torch.rand(5_000, 1, 8, 8))
    assert terms["loss_critic"].item() == pytest.approx(1.386294, abs=1e-5)
    assert terms["loss_generator"].item() == pytest.approx(0.693147, abs=1e-5)
    assert terms["s_loss"].item() == pytest.approx(2.302585, abs=1e-5)
    assert terms["c_loss"].item() / 10 == pytest.approx(1 / 3 + math.log(2) ** 2, abs=0.005)
    assert 1 / 3 + math.log(2) ** 2 == pytest.approx(0.813786, abs=5e-7)
    assert terms["vae_kl_c"].item() == pytest.approx(1.067394, abs=1e-5)
    assert terms["vae_kl_s"].item() == pytest.approx(0, abs=1e-5)
    assert terms["mi_s"].item() == pytest.approx(0, abs=1e-5)
    total = terms["vae_rec"] + terms["vae_kl_c"] + 0.001 * terms["vae_kl_s"]
    torch.testing.assert_close(terms["loss_encoder"], total)
    torch.testing.assert_close(terms["loss_information"], terms["s_loss"] + terms["c_loss"])


@pytest.mark.parametrize("scale", ["softplus", "exp"])
def test_a_code_known_too_well_does_not_end_a_run(scale):
    """The squared error narrows posteriors without end: at a log variance of -400 densities are beyond float32."""
    model = build(f"latent.scale={scale}")
    head = [layer for layer in model.encoder.modules() if isinstance(layer, torch.nn.Linear)][-1]
    zero(head)
    with torch.no_grad():
        head.bias[model.latent.continuous : 2 * model.latent.continuous] = -200 if scale == "softplus" else -400
    x = torch.rand(*X)
    q = model.encode(x).continuous
    torch.testing.assert_close(q.sample(), q.mean, atol=1e-7, rtol=0)
    (slope,) = torch.autograd.grad(q.kl().sum(), head.bias)
    assert (slope[model.latent.continuous : 2 * model.latent.continuous] < -1).all(), "the divergence widens it"
    terms = model.objective(x)
    assert all(torch.isfinite(term).all() for term in terms.values())
    moved = [weights for weights in model.parameters() if weights.requires_grad]
    for loss in (value for name, value in terms.items() if name.startswith("loss")):
        gradients = torch.autograd.grad(loss, moved, retain_graph=True, allow_unused=True)
        assert all(torch.isfinite(gradient).all() for gradient in gradients if gradient is not None)


def inferring(model, monkeypatch, drawn, sharpness: float = 1e3) -> None:
    """An encoder that knows the codes of this step."""
    c, s = drawn["codes"].tensor_split([model.latent.continuous], dim=1)
    monkeypatch.setattr(model, "encode", lambda x: posterior(c, sharpness * s, math.exp(-40)))


def test_perfect_inference(monkeypatch):
    model, x = build(), torch.rand(*X)
    drawn = model.draw(x)
    inferring(model, monkeypatch, drawn)
    terms = model.information_objective(x, drawn)
    assert terms["loss"].item() == pytest.approx(0, abs=1e-6)
    terms = model.encoder_objective(x, drawn)
    assert terms["vae_rec"].item() == pytest.approx(0, abs=1e-6)
    assert terms["mi_s"].item() == pytest.approx(math.log(10))
    weighted = terms["loss"] - terms["vae_rec"] - terms["vae_kl_c"]
    assert weighted.item() == pytest.approx(0.002303, abs=1e-5), "kappa ln 10 for categories without a doubt"


def test_losses_of_continuous_codes(monkeypatch):
    model, x = build("model.c_loss=gaussian"), torch.rand(*X)
    drawn = model.draw(x)
    q = model.encode(model.generate(drawn["codes"], drawn).mean)
    normal = torch.distributions.Normal(q.continuous.mean, q.continuous.logvar.div(2).exp())
    expected = -normal.log_prob(drawn["codes"][:, :2]).sum(1).mean()
    torch.testing.assert_close(model.information_objective(x, drawn)["c_loss"], expected)
    squared = build()
    fix_noise(monkeypatch, torch.zeros_like)
    expected = (drawn["codes"][:, :2] - q.continuous.mean).square().sum(1).mean()
    torch.testing.assert_close(squared.information_objective(x, drawn)["c_loss"], expected)


def test_the_squared_error_and_its_range():
    """A sum over pixels in [0, 1]; a variance of 1/8 makes it that of images in [-1, 1]."""
    narrow, wide = build(), build("likelihood.variance=0.125")
    x = torch.rand(*X)
    drawn = narrow.draw(x)
    found = []
    for model in (narrow, wide):
        torch.manual_seed(0)
        found.append(model.encoder_objective(x, drawn)["vae_rec"])
    torch.manual_seed(0)
    image = narrow.generate(drawn["codes"], drawn).mean
    again = narrow.generate(narrow.encode(image).sample(), drawn).mean
    torch.testing.assert_close(found[0], (image - again).square().flatten(1).sum(1).mean())
    torch.testing.assert_close(found[1], (2 * image - 2 * again).square().flatten(1).sum(1).mean())


# ---- who learns from what ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "change", "player", "networks"),
    [
        ("infovaegan", "", "critic", {"critic"}),
        ("infovaegan", "", "generator", {"decoder", "critic"}),
        ("infovaegan", "model.encoder_adversarial=true", "generator", {"encoder", "decoder", "critic"}),
        ("infovaegan", "model.hard_codes=false model.encoder_adversarial=true", "critic", {"critic"}),
        ("infovaegan", "", "information", {"encoder", "decoder"}),
        ("infovaegan", "", "encoder", {"encoder", "decoder"}),
        ("infovaegan2", "", "second", {"second_decoder"}),
        ("infovaegan2", "model.train_encoder=true", "second", {"encoder", "second_decoder"}),
    ],
)
def test_who_is_reached_by_which_loss(name, change, player, networks):
    """Nobody frozen; in the encoder's loss the generator is in the way, as the critic is in the generator's."""
    model, x = build(*change.split(), name=name), torch.rand(*X)
    assert reached(model, getattr(model, f"{player}_objective")(x, model.draw(x))["loss"]) == networks


@pytest.mark.parametrize("name", KINDS)
def test_whose_gradients_there_are_after_each_move(name, monkeypatch):
    model, found = build(name=name), {}

    def watched(player, *arguments, move=model.move, **options):
        model.zero_grad(set_to_none=True)
        terms = move(player, *arguments, **options)
        found[player] = {key.split(".")[0] for key, p in model.named_parameters() if p.grad is not None}
        return terms

    monkeypatch.setattr(model, "move", watched)
    fit(model, steps=1)
    second = {"second": {"second_decoder"}} if name == "infovaegan2" else {}
    assert found == {
        "critic": {"critic"},
        "generator": {"decoder"},
        "information": {"encoder", "decoder"},
        "encoder": {"encoder"},
        **second,
    }


def test_players_of_the_variants():
    four = ["critic", "generator", "information", "encoder"]
    assert list(build().players()) == four
    assert list(build("model.mutual_information=false").players()) == ["critic", "generator", "encoder"]
    assert list(build(name="infovaegan2").players()) == [*four, "second"]
    text = build("model.train_encoder=true", name="infovaegan2")
    assert list(text.players()) == [*four[:3], "second"]
    both = build("model.encoder_adversarial=true")
    assert both.players()["generator"] == [both.decoder, both.encoder]


def test_the_ablation_is_the_model_whose_third_player_stands_still(monkeypatch):
    """Bit for bit, where each move has noise of its own."""

    def trained(*overrides: str):
        model = build(*overrides)
        terms_of = model.terms_of

        def seeded(name, x, drawn):
            torch.manual_seed(1000 * list("cgie").index(name[0]) + int(model.batches))
            return terms_of(name, x, drawn)

        monkeypatch.setattr(model, "terms_of", seeded)
        torch.manual_seed(0)
        return model, fit(model)

    ablation, fewer = trained("model.mutual_information=false")
    still, terms = trained("model.optimizers.information.lr=0")
    ours, theirs = dict(ablation.named_parameters()), dict(still.named_parameters())
    assert all(torch.equal(ours[key], theirs[key]) for key in ours | theirs)
    for here, there in zip(fewer, terms, strict=True):
        assert all(torch.equal(here[key], there[key]) for key in here)
    assert "loss_information" not in fewer[0]
    moving, _ = trained()
    assert not all(torch.equal(ours[key], value) for key, value in moving.named_parameters())


@pytest.mark.parametrize("name", KINDS)
def test_all_players_of_a_step_see_the_same_images(name, monkeypatch):
    model, seen = build(name=name), []
    monkeypatch.setattr(model, "generate", lambda c, d, one=model.generate: seen.append((c, d["noise"])) or one(c, d))
    fit(model, steps=1)
    codes, noise = seen[0]
    of_prior = [c for c, _ in seen if torch.equal(c, codes)]
    assert len(of_prior) == 4, "critic, generator, information, encoder"
    assert len(seen) == 5, "and once more from the codes that the encoder draws"
    assert all(torch.equal(n, noise) for _, n in seen)
    assert codes.shape == (16, 12)
    assert (codes[:, :2].abs() <= 1).all()
    assert (codes[:, 2:].sum(1) == 1).all()


# ---- what the critic is shown ------------------------------------------------------------------------------------


def test_hard_codes_look_like_those_of_the_prior():
    x = torch.rand(200, 1, 8, 8)
    hard, soft = (build(f"model.hard_codes={hard}", "latent.categories=[3,4]") for hard in (True, False))
    for model in (hard, soft):
        torch.manual_seed(0)
        zero(model.encoder.layers[-1])
    torch.manual_seed(0)
    shown = hard.judged_codes(x)
    torch.manual_seed(0)
    relaxed = soft.judged_codes(x)
    assert set(shown[:, 2:].unique().tolist()) == {0.0, 1.0}
    assert (relaxed[:, 2:].max(1).values < 1).any()
    torch.testing.assert_close(shown[:, :2], relaxed[:, :2])
    for part in (slice(2, 5), slice(5, 9)):
        assert torch.equal(shown[:, part].argmax(1), relaxed[:, part].argmax(1))
    shown[:, 2:].square().sum().backward()
    assert hard.encoder.layers[-1].weight.grad.any(), "one-hot codes have the gradient of relaxed ones"


def test_the_critic_judges_pairs_of_image_and_code(monkeypatch):
    model, pairs = build(), []
    model.critic.register_forward_hook(lambda _, inputs, output: pairs.append(inputs))
    x = torch.rand(*X)
    drawn = model.draw(x)
    model.critic_objective(x, drawn)
    (real, inferred), (generated, codes) = pairs
    assert torch.equal(real, x)
    assert torch.equal(codes, drawn["codes"])
    torch.testing.assert_close(generated, model.generate(codes, drawn).mean)
    assert not any(t.requires_grad for t in (real, inferred, generated, codes))


# ---- the second generator ----------------------------------------------------------------------------------------


def test_the_second_generator_reconstructs_without_noise():
    model = build(name="infovaegan2")
    codes = model(torch.rand(*X))
    once, twice = (model.latent.mode(codes) for _ in range(2))
    assert torch.equal(model.reconstruct(once).mean, model.reconstruct(twice).mean)
    assert not torch.equal(model.decode(once).mean, model.decode(twice).mean)
    torch.testing.assert_close(model.reconstruct(once).mean, model.second_decoder(once[:, :12]).sigmoid())
    first = build()
    torch.testing.assert_close(first.reconstruct(once).mean, first.decode(once).mean)


def test_the_second_generators_loss():
    model, x = build(name="infovaegan2"), torch.rand(*X)
    drawn = model.draw(x)
    torch.manual_seed(0)
    loss = model.second_objective(x, drawn)["loss"]
    torch.manual_seed(0)
    again = model.second_decoder(model.encode(x).sample()).sigmoid()
    torch.testing.assert_close(loss, (x - again).square().flatten(1).sum(1).mean())
    text = build("model.train_encoder=true", name="infovaegan2")
    terms = text.second_objective(x, drawn)
    torch.testing.assert_close(terms["loss"], terms["vae_rec"] + terms["vae_kl_c"] + 0.001 * terms["vae_kl_s"])


# ---- whole models ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        "model.mutual_information=false",
        "model.encoder_adversarial=true",
        "model.encoder_adversarial=true model.hard_codes=false",
        "model.c_loss=gaussian latent.scale=exp",
        "latent.prior=normal latent.noise_prior=normal",
        "latent.categories=[]",
        "latent.categories=[3,4]",
        "model.classifier=joint",
        "model.micro_batches=2",
        "model.train_encoder=true",
    ],
)
def test_variants_train(change):
    name = "infovaegan2" if "train_encoder" in change else "infovaegan"
    model = build(*change.split(), name=name)
    before = {key: value.clone() for key, value in model.named_parameters()}
    for step in fit(model, steps=4):
        assert all(term.isfinite() for term in step.values())
    assert [key for key, value in model.named_parameters() if torch.equal(value, before[key])] == []


@pytest.mark.parametrize("name", KINDS)
def test_on_the_published_network(name):
    line = ("dataset=digits", "dataset.size=32", "network=infovaegan32", "latent.dim=10", "latent.noise=100")
    model = build_model(f"model={name}", *line, "logger=csv")
    counted = {key: sum(p.numel() for p in net.parameters()) for key, net in model.named_children()}
    # One grey channel instead of three.
    assert counted["encoder"] == 3681822 - 2 * 9 * 64
    assert counted["critic"] == 3672577 - 2 * 9 * 64
    assert counted["decoder"] == 4352259 - 2 * (9 * 256 + 1)
    assert counted.get("second_decoder") == (2713859 - 2 * (9 * 256 + 1) if name == "infovaegan2" else None)
    assert all(term.isfinite() for term in model.objective(torch.rand(4, 1, 32, 32)).values())


def test_rates_are_the_published_ones():
    rates = {name: each.lr for name, each in compose_train("model=infovaegan2").model.optimizers.items()}
    assert rates == {"critic": 2e-4, "generator": 1e-3, "information": 1e-3, "encoder": 1e-3, "second": 1e-3}


@pytest.mark.parametrize("name", ["infovaegan", pytest.param("infovaegan2", marks=pytest.mark.slow)])
def test_a_whole_run(name, tmp_path):
    told = run_briefly(tmp_path, name)
    assert {"eval/cluster_acc_hungarian", "eval/recon_mse"} <= set(told["scores"])
    assert "no likelihood of images" in told["skipped"]["elbo"]
    assert told["about"]["batch_norm"].startswith("re-estimated")


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("latent=mixed", "does not work with these latents .Mixed.*It takes latent=codes"),
        ("model.c_loss=mse", "must be one of squared, gaussian"),
        ("model.hard_codes=1", "must be true or false"),
        ("model.kappa=-1", "must be a number of at least 0, or a schedule"),
        ("model.train_encoder=true", "not a key of this configuration"),
    ],
)
def test_what_cannot_work_is_refused(line, complaint):
    from tests.support.configuration import check_line

    with pytest.raises(UserError, match=complaint):
        check_line(["model=infovaegan", "dataset=digits", line])
