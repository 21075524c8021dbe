"""The supervised mutual-information VAE: golden numbers of its terms, who gets which gradient, one trunk or two."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from tests.support.configuration import SMALL, build_model
from tests.support.models import fit
from tests.support.tensors import double
from vaezoo.errors import UserError
from vaezoo.models.mivae import TwoEncoders, negative_entropy

JOINT = double([[0.3, 0.1], [0.1, 0.5]])  # p(z, y) of two binary variables


def parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def test_negative_entropy_known_values():
    rows = double([[0.7, 0.2, 0.1], [1 / 3, 1 / 3, 1 / 3]]).log()
    assert negative_entropy(rows[:1]).item() == pytest.approx(-0.801819, abs=5e-7)
    assert negative_entropy(rows[1:]).item() == pytest.approx(-1.098612, abs=5e-7)
    ce = F.cross_entropy(rows, torch.tensor([0, 2]))
    assert ce.item() == pytest.approx(0.727644, abs=5e-7)
    printed = 1 - rows.exp()[[0, 1], [0, 2]].mean()  # without the logarithm, as equation 12 stands
    assert 1 - printed.item() == pytest.approx(0.516667, abs=5e-7)


def test_at_the_exact_posterior_it_is_the_mutual_information_less_the_entropy_of_labels():
    """I(z; y) = H(y) + L_MI for p(y|z) itself, whose cross-entropy is -L_MI."""
    p_z, posterior = JOINT.sum(1), JOINT / JOINT.sum(1, keepdim=True)
    l_mi = sum(p * negative_entropy(row[None].log()) for p, row in zip(p_z, posterior, strict=True)).item()
    h_y = -(JOINT.sum(0) * JOINT.sum(0).log()).sum().item()
    information = (JOINT * (JOINT / (p_z[:, None] * JOINT.sum(0))).log()).sum().item()
    assert l_mi == pytest.approx(-0.495271, abs=5e-7)
    assert h_y == pytest.approx(0.673012, abs=5e-7)
    assert information == pytest.approx(0.177741, abs=5e-7)
    assert h_y + l_mi == pytest.approx(information)
    assert -(JOINT * posterior.log()).sum().item() == pytest.approx(-l_mi)


def mi(*overrides: str):
    return build_model("model=mivae", *SMALL, *overrides)


def test_an_undecided_adversary_leaves_z_alone():
    model = mi()
    for parameter in model.adversary.layers[-1].parameters():
        nn.init.zeros_(parameter)
    z = torch.randn(6, 10, requires_grad=True)
    value = negative_entropy(model.adversary(z))
    assert value.item() == pytest.approx(-math.log(10), abs=1e-6)
    value.backward()
    assert z.grad.abs().max() == 0


def test_the_loss_and_its_parts():
    """rec + KL_z + KL_s + rho_label CE + rho_mi L_MI, from the pieces, on the same noise."""
    model = mi("model.rho_label=3", "model.rho_mi=2").double()
    x, labels = torch.rand(6, 1, 8, 8, dtype=torch.float64), torch.arange(6)
    torch.manual_seed(0)
    terms = model.objective(x, labels)
    torch.manual_seed(0)
    q = model.encode(x)
    draw = q.sample()
    rec = model.decode(draw).rec(x).mean()
    ce = F.cross_entropy(q.categorical[0].logits, labels)
    l_mi = negative_entropy(model.adversary(draw[:, :10]))
    expected = rec + q.kl().sum(1).mean() + 3 * ce + 2 * l_mi
    torch.testing.assert_close(terms["loss"], expected)
    torch.testing.assert_close(terms["loss_adversary"], F.cross_entropy(model.adversary(draw[:, :10]), labels))


def test_who_is_reached_by_which_loss():
    model = mi()
    x, labels = torch.rand(6, 1, 8, 8), torch.arange(6)

    def reached(loss) -> set[str]:
        model.zero_grad(set_to_none=True)
        loss.backward()
        return {
            name.split(".")[0] for name, p in model.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0
        }

    drawn = {"labels": labels}
    vae = model.vae_objective(x, drawn)
    # Backwards from L_MI the adversary is in the way; the loop freezes it, which tests of every player check.
    assert {"encoder", "decoder"} <= reached(vae["loss"])
    assert not drawn["z"].requires_grad
    assert reached(model.adversary_objective(x, drawn)["loss"]) == {"adversary"}


def test_one_trunk_or_two():
    shape, sizes = (1, 28, 28), [20, 9]
    from hydra.utils import instantiate

    from tests.support.configuration import compose_train

    line = ("model=mivae", "dataset=digits", "network=mlp002", "latent.dim=10", "dataset.classes=9", *SMALL)
    single = instantiate(compose_train(*line).model, image_shape=shape)
    assert parameters(single.encoder) == 643000 + 14529
    assert parameters(single.decoder) == 653284
    assert parameters(single.adversary) == 10 * 500 + 500 + 500 * 500 + 500 + 500 * 9 + 9
    dual = instantiate(compose_train(*line, "model.encoders=dual").model, image_shape=shape)
    assert isinstance(dual.encoder, TwoEncoders)
    assert [parameters(part) for part in dual.encoder.parts] == [643000 + 501 * size for size in sizes]
    x = torch.rand(3, *shape)
    q = dual.encode(x)
    torch.testing.assert_close(q.categorical[0].logits, dual.encoder.parts[1](x))
    torch.testing.assert_close(q.continuous.mean, dual.encoder.parts[0](x)[:, :10])
    q.continuous.mean.sum().backward()
    assert all(not p.grad.any() for p in dual.encoder.parts[1].parameters())


@pytest.mark.parametrize("encoders", ["single", "dual"])
def test_both_structures_learn_labels(encoders):
    model = mi(f"model.encoders={encoders}")
    x = torch.rand(32, 1, 8, 8)
    labels = torch.arange(32) % 10
    optimizers = model.configure_optimizers()
    for _ in range(60):
        optimizers[0].zero_grad()
        terms = model.objective(x, labels)
        terms["loss"].backward()
        optimizers[0].step()
    assert terms["label_accuracy"] > 0.8


def test_near_zero_temperature_decodes_one_hot_categories():
    model = mi("latent.temperature=0.001")
    drawn = model.encode(torch.rand(64, 1, 8, 8)).sample()[:, 10:]
    torch.testing.assert_close(drawn.max(1).values, torch.ones(64), rtol=0, atol=0.02)
    assert len(fit(model)) == 5


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("model=mivae dataset=dsprites", "MIVAE is given the class of each image, but dataset=dsprites has no labels"),
        (
            "model=mivae dataset=digits latent.categories=[7]",
            r"MIVAE needs one categorical latent with a value for each class",
        ),
        ("model=mivae dataset=digits latent=gaussian", "It takes latent=classes, latent=mixed"),
        ("model=mivae dataset=digits model.encoders=two", "model.encoders=two: must be one of single, dual"),
    ],
)
def test_what_cannot_work_is_refused(line, complaint):
    from tests.support.configuration import check_line

    with pytest.raises(UserError, match=complaint):
        check_line(line.split())
