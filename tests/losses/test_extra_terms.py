"""Extra terms of any model: their values against loops and closed forms, and what they leave alone."""

import itertools

import numpy as np
import pytest
import torch
from hydra.utils import instantiate

from tests.support.command_line import BARE, QUICK, same_weights, train, train_in
from tests.support.configuration import MODELS, SMALL, build_model, check_line, choose_line, compose_train
from tests.support.models import fit
from tests.support.tensors import double
from vaezoo.data.images import ImageArrays
from vaezoo.data.module import ImageDataModule
from vaezoo.errors import UserError
from vaezoo.losses.factorised_support import HausdorffSupport, hausdorff_support
from vaezoo.losses.few_labels import FewLabels

FACTORS = np.array(list(itertools.product(range(2), range(3), range(4))))


# ---- Hausdorff factorised support ------------------------------------------------------------------------------


def test_hfs_by_trying_every_combination():
    torch.manual_seed(0)
    for count, dim in ((2, 2), (5, 3), (7, 4)):
        z = torch.randn(count, dim, dtype=torch.float64)
        expected = sum(
            max(
                min((a[i] - c[i]) ** 2 + (b[j] - c[j]) ** 2 for c in z.tolist())
                for a, b in itertools.product(z.tolist(), repeat=2)
            )
            for i, j in itertools.combinations(range(dim), 2)
        )
        assert hausdorff_support(z).item() == pytest.approx(expected, abs=1e-12)


def test_hfs_of_known_sets():
    """0 for a full grid, however often its points occur; a missing corner is at 1 from the nearest point."""
    grid = double(list(itertools.product([0, 1], [0, 2, 5])))
    assert hausdorff_support(grid).item() == 0
    assert hausdorff_support(torch.cat([grid, grid[1:3]])).item() == 0
    corner = double([[0, 0], [0, 2], [1, 0]])
    assert hausdorff_support(corner).item() == 1
    assert hausdorff_support(3 * corner).item() == 9
    assert hausdorff_support(double([[0, 0], [1, 1]])).item() == 1  # (0, 1) and (1, 0) lack
    assert hausdorff_support(grid[:, :1]).item() == 0  # of one latent there is no pair


def test_hfs_has_the_gradient_of_its_value():
    torch.manual_seed(0)
    z = torch.randn(6, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(hausdorff_support, z)
    assert hausdorff_support(z).requires_grad


def test_hfs_looks_at_posterior_means_of_the_first_images():
    model = build_model("model=jointvae", "extra=hfs", "model.extra.hfs.images=5", *SMALL)
    x = torch.rand(8, 1, 8, 8)
    means = model.encode(x).continuous.mean
    assert means.shape[1] < model(x).shape[1]  # there are categories, which take no part
    assert torch.equal(model.encode_means(x), means)
    assert torch.equal(model.validate(x)["hfs"], hausdorff_support(means[:5]))


# ---- few labels ------------------------------------------------------------------------------------------------


def make_data(**options) -> ImageDataModule:
    images = np.random.default_rng(0).integers(256, size=(len(FACTORS), 1, 8, 8)).astype(np.uint8)
    source = ImageArrays("grid", images, (1, 8, 8), {}, **{"factors": FACTORS, **options})
    places = {"batch_size": 8, "split": "all", "val_images": 4, "split_seed": 0, "seed": 0}
    module = ImageDataModule(name="grid", shape=(1, 8, 8), source=lambda: source, **places)
    module.place(torch.device("cpu"))
    return module


def test_labels_by_a_loop():
    """Codes that are set by hand: as many drawn images as the batch has, all factors, the mean over images."""
    term = FewLabels(weight=1.0, images=3, seed=0)
    term.prepare(make_data())
    images, _, targets = term.labelled
    assert images.shape == (3, 1, 8, 8)
    assert {tuple(row) for row in (targets * torch.tensor([1, 2, 3])).int().tolist()} <= {*map(tuple, FACTORS.tolist())}
    shown = []

    def encode(x, labels):
        shown.append(x)
        return x.flatten(1)[:, :5]

    torch.manual_seed(0)
    value = term(encode, torch.zeros(10, 1, 8, 8), None)
    expected = 0.0
    for image in shown[0]:
        target = targets[(images == image).flatten(1).all(dim=1)][0]
        p = image.flatten()[:3].sigmoid()
        expected -= (target * p.log() + (1 - target) * (1 - p).log()).sum() / 10
    assert len(shown[0]) == 10
    assert value.item() == pytest.approx(expected.item(), rel=1e-6)


def test_the_seed_draws_the_labelled_images():
    data, chosen = make_data(), []
    for seed in (0, 0, 1):
        term = FewLabels(weight=1.0, images=10, seed=seed)
        term.prepare(data)
        chosen.append(term.labelled[0])
        assert len({image.numpy().tobytes() for image in chosen[-1]}) == 10
    assert torch.equal(chosen[0], chosen[1])
    assert not torch.equal(chosen[0], chosen[2])


def test_labels_that_cannot_be_had_are_refused(in_tmp, monkeypatch, capsys):
    with pytest.raises(UserError, match="images=100: dataset=grid has 24 training images"):
        FewLabels(weight=1.0, images=100, seed=0).prepare(make_data())
    term = FewLabels(weight=1.0, images=5, seed=0)
    with pytest.raises(UserError, match=r"call prepare\(data\)"):
        term(lambda x, labels: x, torch.zeros(2, 1, 8, 8), None)
    term.prepare(make_data())
    with pytest.raises(UserError, match=r"latent\.dim=2: extra=labels needs a latent for each of 3 factors"):
        term(lambda x, labels: torch.zeros(len(x), 2), torch.zeros(2, 1, 8, 8), None)
    assert train(monkeypatch, "model=vae", "extra=labels", *QUICK, *BARE, "max_batches=5", "hydra.run.dir=run") == 2
    assert "dataset=digits has no ground-truth factors, and extra=labels" in capsys.readouterr().err


# ---- any model -------------------------------------------------------------------------------------------------


NO_CODES = ("catgan", "pixelgan")  # whose code is a category alone


@pytest.mark.parametrize("name", [name for name in MODELS if name not in NO_CODES])
def test_any_model_takes_an_extra_term(name):
    """A weight of 0 trains the model as it is, bit for bit; another weight adds that much to the loss of one player."""
    x, labels = torch.rand(8, 1, 8, 8), torch.arange(8)
    losses, values, ends = [], [], []
    for words in ([], ["extra=hfs", "model.extra.hfs.weight=0"], ["extra=hfs", "model.extra.hfs.weight=5"]):
        model = build_model(f"model={name}", *words, *SMALL)
        torch.manual_seed(0)
        terms = model.validate(x, labels)
        losses.append({key: value.item() for key, value in terms.items() if key.startswith("loss")})
        values.append(terms.get("hfs"))
        steps = fit(model, steps=2)
        assert all(torch.isfinite(value).all() for step in steps for value in step.values())
        assert ("hfs" in steps[0]) == bool(words)
        ends.append(model.encoder.state_dict())
    added = {key: losses[2][key] - losses[0][key] for key in losses[0] if losses[2][key] != losses[0][key]}
    assert values[0] is None
    assert list(added.values()) == [pytest.approx(5 * values[2].item(), rel=1e-3, abs=1e-4)]
    assert losses[1] == losses[0]
    assert all(torch.equal(ends[1][key], value) for key, value in ends[0].items())
    assert any(not torch.equal(ends[2][key], value) for key, value in ends[0].items())


def test_extra_terms_go_together_follow_schedules_and_go_on(in_tmp, monkeypatch):
    line = ["model=betavae", "extra=[hfs,labels]", *choose_line("adagvae")[1:], "model.extra.labels.images=20"]
    line = [*QUICK, *line, "+schedule@model.extra.hfs.weight=linear", "model.extra.hfs.weight.end=3"]
    line += ["model.extra.hfs.weight.batches=8", *BARE]
    whole = train_in("whole", *line, "max_batches=12")
    parts = train_in("parts", *line, "max_batches=5")
    assert train(monkeypatch, "run=parts", "max_batches=12") == 0
    assert same_weights(parts, whole)
    check_line(line)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["extra=hfss"], "there is no such extra. Did you mean 'hfs'?"),
        (["extra=hfs", "model.extra.hfs.images=1"], "model.extra.hfs.images=1: must be a whole number of at least 2"),
        (["extra=hfs", "latent.dim=1"], "latent.dim=1: HausdorffSupport needs two continuous latents or more"),
        (["extra=labels", "model.extra.labels.weight=-1"], "must be a number of at least 0, or a schedule"),
    ],
)
def test_slips_are_answered(words, message):
    with pytest.raises(UserError, match=message):
        check_line([*words, *SMALL])


def test_a_model_with_an_extra_term_is_built_again_from_its_configuration():
    config = compose_train("model=vae", "extra=hfs", *SMALL)
    model = instantiate(config.model)
    assert isinstance(model.extra_terms["hfs"], HausdorffSupport)
    assert not any("extra" in key for key in model.state_dict())
