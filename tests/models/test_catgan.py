"""CatGAN: golden entropies, whom each loss reaches, and that the category has no part in an image."""

import json
import math

import pytest
import torch

from tests.support.command_line import QUICK, train_in
from tests.support.configuration import SMALL, build_model, check_line
from tests.support.tensors import double
from vaezoo.errors import UserError
from vaezoo.models.catgan import entropies

SURE = 1e3 * torch.eye(3, dtype=torch.float64)  # three rows, each one-hot
LEANING = double([[0.8, 0.1, 0.1], [0.1, 0.8, 0.1], [0.1, 0.1, 0.8]]).log()
UNIFORM = torch.zeros(4, 3, dtype=torch.float64)


def cat(*overrides: str):
    return build_model("model=catgan", *SMALL, *overrides)


def losses(real, fake) -> tuple[float, float]:
    """Of critic and generator, of a model whose critic says `real` and `fake`."""
    model = cat()
    said = iter([real, fake, fake])
    model.logits = lambda x: next(said)
    terms = model.objective(torch.rand(4, 1, 8, 8))
    return terms["loss_critic"].item(), terms["loss_generator"].item()


@pytest.mark.parametrize(
    ("logits", "expected"),
    [
        (SURE, (1.098612, 0)),
        (LEANING, (1.098612, 0.639032)),
        (SURE[:1].repeat(5, 1), (0, 0)),
        (UNIFORM, (1.098612,) * 2),
    ],
)
def test_known_entropies(logits, expected):
    assert [value.item() for value in entropies(logits)] == pytest.approx(expected, abs=5e-7)


def test_entropies_stay_finite_where_probabilities_vanish():
    logits = (1e4 * torch.eye(3)).requires_grad_()
    mean, each = entropies(logits)
    (mean + each).backward()
    assert torch.isfinite(logits.grad).all()


def test_known_losses():
    k = math.log(3)
    assert losses(UNIFORM, UNIFORM) == pytest.approx((-k, 0), abs=1e-12)
    assert losses(SURE, UNIFORM) == pytest.approx((-2 * k, 0), abs=1e-12), "the critic's best"
    assert losses(SURE, SURE) == pytest.approx((-k, -k), abs=1e-12), "the generator's best"
    assert losses(LEANING, UNIFORM) == pytest.approx((-k + 0.639032 - k, 0), abs=5e-7)


def test_who_is_reached_by_which_loss():
    model = cat()
    x = torch.rand(6, 1, 8, 8)

    def reached(loss) -> set[str]:
        model.zero_grad(set_to_none=True)
        loss.backward()
        return {name.split(".")[0] for name, p in model.named_parameters() if p.grad is not None and p.grad.any()}

    drawn = model.draw(x)
    assert reached(model.critic_objective(x, drawn)["loss"]) == {"encoder"}
    # The critic is in the way of the generator; the loop freezes it, which tests of every player check.
    assert reached(model.generator_objective(x, drawn)["loss"]) == {"encoder", "decoder"}


def test_the_code_is_a_category_and_images_come_from_noise_alone():
    model = cat()
    q = model.encode(torch.rand(5, 1, 8, 8))
    torch.testing.assert_close(q.mean.sum(1), torch.ones(5))
    assert q.mean.shape == q.clusters.shape == (5, 20)
    z = model.sample_prior(5)
    assert z.shape == (5, 20 + 128)
    assert (z[:, :20].sum(1) == 1).all()
    other = torch.cat([z[:, :20].roll(1, dims=1), z[:, 20:]], dim=1)
    assert torch.equal(model.decode(z).mean, model.decode(other).mean)
    assert not torch.equal(model.decode(z).mean, model.decode(z.roll(1, dims=0)).mean)


def test_the_critic_of_the_published_networks_has_an_output_for_each_category():
    model = cat("dataset.size=32", "network=catgan", "latent.categories=[10]")
    assert model.encoder.head.out_features == 10
    assert [layer.dropout.p for layer in model.encoder.layers] == [0.5] * 3
    assert model.decode(model.sample_prior(2)).mean.shape == (2, 1, 32, 32)


@pytest.mark.slow
def test_a_whole_run(tmp_path):
    line = ["model=catgan", "network=catgan", "max_batches=6", "logger=csv", "metric.rows=300"]
    train_in(tmp_path, *line, *QUICK)
    found = json.loads((tmp_path / "metrics.json").read_text())
    assert found["scores"]["eval/cluster_count"] == 20
    assert found["skipped"]["elbo"].startswith("the model has no likelihood of images")
    assert found["skipped"]["reconstruction"].startswith("the model reconstructs no images")
    assert found["about"]["batch_norm"].startswith("re-estimated")
    assert (tmp_path / "figures" / "samples.png").is_file()
    assert not (tmp_path / "figures" / "reconstructions.png").exists()


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("latent=gaussian", r"these latents \(Gaussian\). It takes latent=categorynoise"),
        ("latent=codes", "CatGAN has one category and no other code; latent=categorynoise does that"),
        ("latent.categories=[10,10]", "CatGAN has one category and no other code"),
        ("dataset.batch_size=1", "the mean category of CatGAN needs at least 2 images"),
    ],
)
def test_what_cannot_work_is_refused(line, complaint):
    with pytest.raises(UserError, match=complaint):
        check_line(["model=catgan", "dataset=digits", *line.split()])
