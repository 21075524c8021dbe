"""Models: golden numbers of their objectives, and properties that hold for every file in conf/model."""

import io
import math
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from hydra.utils import get_class, instantiate
from omegaconf import OmegaConf
from pytorch_lightning import Trainer
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from tests.support.configuration import MODELS, SMALL, build_model, compose_train
from tests.support.covariances import MEANS, VARIANCES, gradient, penalty, run_average
from tests.support.models import fit, fix_noise
from tests.support.tensors import double
from vaezoo.config.directory import DIRECTORY
from vaezoo.data.batches import Batch
from vaezoo.latents.gaussian import GaussianPosterior
from vaezoo.latents.point import Point
from vaezoo.likelihoods import Gaussian as GaussianImages
from vaezoo.losses.elbo import elbo_terms
from vaezoo.models.adversarial import AdversarialModel
from vaezoo.models.ae import AE
from vaezoo.models.base import images_and_labels, spread
from vaezoo.models.dipvae import batch_moments, covariance, covariance_gap

# ---- every model -----------------------------------------------------------------------------------------------


def trainer_of(steps: int) -> Trainer:
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    return Trainer(max_epochs=1, limit_train_batches=steps, accelerator="cpu", enable_model_summary=False, **quiet)


@pytest.mark.parametrize("name", MODELS)
def test_every_model_trains_in_a_plain_trainer_with_a_plain_loader(name):
    """And logs its terms; images alone are enough where the model needs no labels."""
    images, labels = torch.rand(40, 1, 8, 8), torch.arange(40) % 10
    for tensors in [(images, labels), (images,)]:
        model, trainer = build_model(f"model={name}", *SMALL), trainer_of(steps=3)
        if model.needs_labels and len(tensors) == 1:
            continue
        model.train_images.zero_()
        loader = DataLoader(TensorDataset(*tensors), batch_size=10, shuffle=True)
        trainer.fit(model, loader, DataLoader(TensorDataset(*tensors), batch_size=10))
        assert model.batches == 3
        assert model.train_images == 40
        names = {name for name, _ in spread(model.validate(images[:10], labels[:10]))}
        assert {f"{part}/{name}" for part in ("train", "val") for name in names} <= trainer.callback_metrics.keys()
        assert all(torch.isfinite(value) for value in trainer.callback_metrics.values())


@pytest.mark.parametrize("name", ["vae", "factorvae", "dec"])
def test_models_train_in_a_plain_trainer_with_our_data(name):
    line = ("dataset.batch_size=16", "dataset.val_images=40", *SMALL)
    phases = ["model.pretrain_batches=1", "model.refresh=1"] if name == "dec" else []
    model, trainer = build_model(f"model={name}", *line, *phases), trainer_of(steps=3)
    data = instantiate(compose_train(*line).dataset)
    model.train_images.zero_()
    trainer.fit(model, datamodule=data)
    assert model.train_images == len(data.rows.train)
    assert "val/loss" in trainer.callback_metrics or name == "dec"
    assert name != "dec" or model.clusters.centres.any()


def test_batches_of_any_form():
    x, labels = torch.rand(2, 1, 8, 8), torch.arange(2)
    for batch in (x, (x,), [x], Batch(x, None, labels)):
        assert images_and_labels(batch)[0] is x
        assert images_and_labels(batch)[1] is None
    for batch in ((x, labels), [x, labels], Batch(x, labels, labels)):
        assert images_and_labels(batch) == (x, labels)


# Parameters that wait for a later phase of training.
LATER = {"dec": ["clusters.centres"]}


@pytest.mark.parametrize("name", MODELS)
def test_a_few_steps_move_every_parameter_and_keep_terms_finite(name):
    model = build_model(f"model={name}", *SMALL)
    before = {key: value.clone() for key, value in model.named_parameters()}
    terms = fit(model)
    assert len(terms) == model.batches == 5
    assert all(torch.isfinite(value).all() for step in terms for value in step.values())
    for key, value in model.named_parameters():
        assert key in LATER.get(name, ()) or not torch.equal(value, before[key]), key


def class_of(name: str) -> type:
    """Return the class that conf/model/`name`.yaml builds."""
    return get_class(OmegaConf.load(Path(DIRECTORY) / "model" / f"{name}.yaml")["_target_"])


ADVERSARIAL = [name for name in MODELS if issubclass(class_of(name), AdversarialModel)]


@pytest.mark.parametrize("name", ADVERSARIAL)
def test_a_move_changes_the_players_own_networks_alone(name, monkeypatch):
    """Nobody else's weights move and nobody else gets a gradient, also by momentum left from an earlier move."""
    model = build_model(f"model={name}", *SMALL)
    moves = []

    def watched(player, optimizer, parts, *, plays, move=model.move):
        owned = {id(p) for network in model.owned()[player] for p in network.parameters()}
        others = [p for p in model.parameters() if id(p) not in owned]
        before = [p.clone() for p in others]
        own = [p.clone() for network in model.owned()[player] for p in network.parameters()]
        for p in others:
            p.grad = None
        terms = move(player, optimizer, parts, plays=plays)
        assert all(torch.equal(p, b) for p, b in zip(others, before, strict=True)), player
        assert all(p.grad is None for p in others), player
        assert not plays or any(
            not torch.equal(p, b)
            for p, b in zip((p for n in model.owned()[player] for p in n.parameters()), own, strict=True)
        ), player
        moves.append(player)
        return terms

    monkeypatch.setattr(model, "move", watched)
    fit(model, steps=3)
    assert moves == list(model.players()) * 3
    assert all(p.requires_grad for p in model.parameters())


@pytest.mark.parametrize("name", ["factorvae", "vae model.classifier=frozen"])
def test_running_statistics_are_learned_once_and_by_their_owners(name):
    """With a network of batch norms: a second look, or another player's, teaches them nothing."""
    model, plain = build_model(*f"model={name}".split(), *SMALL), build_model("model=vae", *SMALL)
    for each in (model, plain):
        torch.manual_seed(1)
        each.encoder = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(64), nn.Linear(64, 20), nn.BatchNorm1d(20))
    fit(model, steps=2)
    fit(plain, steps=2, images=8 if name == "factorvae" else 16)  # FactorVAE's own batch is the first of two
    buffers = dict(model.named_buffers())
    for key, value in plain.named_buffers():
        if key.endswith("num_batches_tracked"):
            assert buffers[key] == value == 2, key
        if key.endswith("running_mean") and name != "factorvae":
            assert torch.equal(buffers[key], value), key


@pytest.mark.parametrize("name", ADVERSARIAL)
def test_a_players_gradient_is_clipped_on_request(name):
    norms = []

    class Norms(type(build_model(f"model={name}", *SMALL))):
        def on_before_optimizer_step(self, optimizer):
            super().on_before_optimizer_step(optimizer)
            grads = [p.grad.norm() for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
            norms.append(torch.stack(grads).norm().item())

    model = build_model(f"model={name}", "model.gradient_clip=0.01", *SMALL)
    model.__class__ = Norms
    steps = fit(model, steps=2)
    skipped = sum(int(value) for terms in steps for key, value in terms.items() if key.startswith("skipped_"))
    assert len(norms) == 2 * len(model.players()) - skipped
    assert max(norms) <= 0.01001


def test_models_name_their_paper():
    classes = [get_class(OmegaConf.load(Path(DIRECTORY, "model", f"{name}.yaml"))["_target_"]) for name in MODELS]
    assert [cls for cls in classes if not re.search(r"\(\d{4}\)\. \w.+\.", cls.paper or "")] == [AE]


@pytest.mark.parametrize("name", MODELS)
def test_shapes(name):
    model = build_model(f"model={name}", "latent.dim=3", *SMALL)
    x, labels = torch.rand(6, 1, 8, 8), torch.arange(6)
    assert model(x, labels).shape == (6, 3 + sum(model.latent.categories))
    if model.reconstructs:
        assert model.decode(model.latent.mode(model(x, labels)), labels).mean.shape == x.shape
    assert model.decode(model.sample_prior(6), labels).mean.shape == x.shape
    terms = model.objective(x, labels)
    assert all(terms[key].ndim == 0 for key in terms if key.startswith("loss") or key == "rec")
    assert any(key.startswith("loss") for key in terms)


@pytest.mark.parametrize("name", MODELS)
def test_terms_are_means_over_the_batch(name, monkeypatch):
    """Doubling the batch with copies changes no term, so nothing is summed over images. Noise is switched off."""
    model = build_model(f"model={name}", *SMALL).double()
    fix_noise(monkeypatch, torch.zeros_like)
    monkeypatch.setattr(torch.Tensor, "exponential_", lambda self: self.fill_(1.0))
    x = torch.rand(6, 1, 8, 8, dtype=torch.float64)
    parts = x.chunk(getattr(model, "batches_a_step", 1))
    torch.manual_seed(0)
    labels = torch.arange(6)
    once = model.objective(x, labels)
    torch.manual_seed(0)
    twice = model.objective(torch.cat([part for part in parts for _ in range(2)]), torch.cat([labels, labels]))
    # Estimators of the aggregate posterior depend on the size of the batch by their nature.
    same = {"rec", "kl", "kl_per_dim", "elbo", "dip_od", "dip_d", "kl_z", "kl_c", "cond", "kl_w", "kl_k", "rec_light"}
    for key in (same | {"overlap", "ce_label"}) & set(once):
        torch.testing.assert_close(twice[key], once[key], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", MODELS)
def test_terms_have_full_precision_under_autocast(name):
    model = build_model(f"model={name}", *SMALL)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        terms = model.objective(torch.rand(8, 1, 8, 8), torch.arange(8))
    assert {key: value.dtype for key, value in terms.items() if value.dtype != torch.float32} == {}
    assert all(torch.isfinite(value).all() for value in terms.values())


def equal(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


@pytest.mark.parametrize("name", MODELS)
def test_saved_weights_of_a_trained_model_give_the_same_outputs(name):
    model, other = build_model(f"model={name}", *SMALL), build_model(f"model={name}", *SMALL)
    fit(model, steps=3)
    x, labels = torch.rand(8, 1, 8, 8), torch.arange(8)

    def outputs(model) -> dict[str, torch.Tensor]:
        model.eval()
        torch.manual_seed(0)
        return {"codes": model(x, labels), **model.objective(x, labels)}

    expected = outputs(model)
    assert not torch.equal(outputs(other)["codes"], expected["codes"])
    file = io.BytesIO()
    torch.save(model.state_dict(), file)
    file.seek(0)
    other.load_state_dict(torch.load(file, weights_only=True))
    assert equal(outputs(other), expected)


@pytest.mark.parametrize("name", MODELS)
def test_the_seed_decides_every_term_and_weight(name):
    def run(seed: int) -> tuple[list[dict[str, torch.Tensor]], dict[str, torch.Tensor]]:
        model = build_model(f"model={name}", *SMALL)
        return fit(model, steps=3, seed=seed), model.state_dict()

    (terms, weights), (again, same), (_, others) = run(0), run(0), run(1)
    assert all(map(equal, terms, again))
    assert equal(weights, same)
    assert not equal(weights, others)


# Not here: a conditional model is told more than the VAE, and the prior of a GMVAE is another (test_gmvae.py).
NEUTRAL = {
    "betavae model.beta=1": "vae",
    "annealedvae model.gamma=1 model.capacity=0": "vae",
    "betatcvae model.beta=1": "vae",
    "dipvae model.lambda_od=0": "vae",
    "dipvae model.lambda_od=0 model.kind=ii model.cov=running": "vae",
    "infovae model.alpha=0 model.lambda_mmd=1": "vae",
    "guidedvae model.light=0 model.orthogonality=0": "vae",
    "guidedtcvae model.light=0 model.orthogonality=0 model.beta=3": "betatcvae model.form=terms model.beta=3",
    "factorvae model.gamma=0": "vae",
    "jointvae model.gamma_z=1 model.gamma_c=1 model.capacity_z=0 model.capacity_c=0": "vae latent=mixed",
    "mivae model.rho_label=0 model.rho_mi=0": "vae latent=classes",
}


@pytest.mark.parametrize(("line", "plain"), NEUTRAL.items())
def test_without_its_own_weight_a_model_trains_as_the_vae_bit_for_bit(line, plain):
    """The same images and noise leave the same encoder and decoder.

    FactorVAE takes two batches a step and reconstructs the first: the VAE has to be given that one alone, so runs of
    the two from one seed are not the same. Two models add up their losses in another order than the VAE.
    """
    model, other = build_model(*f"model={line}".split(), *SMALL), build_model(*f"model={plain}".split(), *SMALL)
    terms, expected = fit(model), fit(other, images=16 // getattr(model, "batches_a_step", 1))
    for part in ("encoder", "decoder"):
        assert equal(getattr(model, part).state_dict(), getattr(other, part).state_dict())
    last_bit = 1e-6 if line.startswith(("guidedtcvae", "jointvae")) else 0
    for step, same in zip(terms, expected, strict=True):
        torch.testing.assert_close(step["loss"], same["loss"], rtol=last_bit, atol=0)


def test_batches_count_training_steps_and_are_saved():
    model = build_model("model=vae", *SMALL)
    fit(model, 3)
    model.validate(torch.rand(4, 1, 8, 8), torch.zeros(4, dtype=torch.int64))
    assert model.batches == 3
    assert model.state_dict()["batches"] == 3


def test_a_fused_optimizer_takes_the_same_steps():
    """Twenty of them, from one start: what is left is rounding of single precision."""
    ends = []
    for fused in ("true", "false"):
        torch.manual_seed(0)
        model = build_model("model=betavae", "dataset=digits", "network=mlph", f"optimizer.fused={fused}")
        optimizer = model.configure_optimizers()
        assert optimizer.defaults["fused"] is (fused == "true")
        for parameter in model.parameters():
            parameter.grad = torch.empty_like(parameter)
        noise = torch.Generator().manual_seed(0)
        for _ in range(20):
            for parameter in model.parameters():
                parameter.grad.normal_(generator=noise)
            optimizer.step()
        ends.append(list(model.parameters()))
    for one, other in zip(*ends, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-7)


# ---- AE --------------------------------------------------------------------------------------------------------


def test_linear_autoencoder_attains_the_pca_bound():
    """Images (+-2, 0), (0, +-1) through one latent: the best summed squared error is 0.5, the lost direction's."""
    torch.manual_seed(0)

    def linear(inputs, outputs):
        return nn.Sequential(nn.Flatten(), nn.Linear(inputs, outputs, bias=False, dtype=torch.float64))

    model = AE(
        image_shape=(1, 1, 2),
        latent=Point(1),
        likelihood=lambda output: GaussianImages(output, link="identity"),
        encoder=lambda shape, params: linear(2, params),
        decoder=lambda dim, shape: nn.Sequential(linear(dim, 2), nn.Unflatten(1, (1, 1, 2))),
        optimizer=lambda parameters: torch.optim.LBFGS(parameters, max_iter=200, line_search_fn="strong_wolfe"),
    )
    x = double([[2, 0], [-2, 0], [0, 1], [0, -1]]).view(4, 1, 1, 2)
    optimizer = model.configure_optimizers()

    def closure():
        optimizer.zero_grad()
        loss = model.objective(x)["loss"]
        loss.backward()
        return loss

    optimizer.step(closure)
    assert model.objective(x)["loss"].item() == pytest.approx(0.5, abs=1e-6)


def test_autoencoder_adds_no_noise():
    model = build_model("model=ae", *SMALL)
    x = torch.rand(4, 1, 8, 8)
    assert torch.equal(model.objective(x)["loss"], model.objective(x)["loss"])
    expected = (x - model.decode(model(x)).mean).square().flatten(1).sum(1).mean()
    torch.testing.assert_close(model.objective(x)["loss"], expected)


# ---- VAE, beta-VAE ---------------------------------------------------------------------------------------------


class KnownTerms:
    """A likelihood and a posterior with given values."""

    def __init__(self, rec, kl):
        self.values = {"rec": double(rec), "kl": double(kl)}

    def rec(self, x):
        return self.values["rec"]

    def kl(self):
        return self.values["kl"]


def test_elbo_terms_and_their_signs():
    known = KnownTerms([10.0, 20.0], [[1.0, 2.0], [3.0, 0.0]])
    terms = elbo_terms(known, known, torch.empty(0))
    assert terms["rec"] == 15
    assert terms["kl"] == 3
    assert terms["elbo"] == -18
    assert terms["kl_share"] == pytest.approx(3 / 18)
    assert terms["kl_per_dim"].tolist() == [2.0, 1.0]


def test_betavae_known_value_and_slope():
    """beta = 4 on KL 0.943147 adds 3.772589 nats; the slope in beta is the KL itself."""
    kl = GaussianPosterior(double([[0.5, -1.0]]), double([[1.0, 0.25]]).log()).kl().sum().item()
    assert 4 * kl == pytest.approx(3.772589, abs=5e-7)
    losses = []
    for beta in (4.0, 5.0):
        model = build_model("model=betavae", f"model.beta={beta}", *SMALL)
        torch.manual_seed(0)
        losses.append(model.objective(torch.full((2, 1, 8, 8), 0.3)))
    first, second = losses
    torch.testing.assert_close(second["loss"] - first["loss"], first["kl"], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(first["loss"], first["rec"] + 4 * first["kl"])
    torch.testing.assert_close(first["kl_share_w"], 4 * first["kl"] / first["loss"])


def test_linear_gaussian_vae_reaches_the_exact_log_evidence():
    """One-dimensional data, x = w z + noise of variance s2: at the exact posterior the ELBO is log p(x)."""
    w, s2 = 1.3, 0.4
    x = torch.linspace(-2, 2, 9, dtype=torch.float64).view(9, 1, 1, 1)
    precision = 1 + w**2 / s2
    logvar = torch.full((9, 1), -math.log(precision), dtype=torch.float64)
    q = GaussianPosterior(w * x.view(9, 1) / s2 / precision, logvar)
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    expected_rec = sum(
        weight
        / math.sqrt(2 * math.pi)
        * GaussianImages(
            (w * (q.mean + math.exp(-0.5 * math.log(precision)) * node)).view(9, 1, 1, 1), variance=s2, link="identity"
        ).log_prob(x)
        for node, weight in zip(nodes, weights, strict=True)
    )
    elbo = expected_rec - q.kl().sum(1)
    evidence = torch.distributions.Normal(double(0), double(math.sqrt(w**2 + s2))).log_prob(x).flatten()
    torch.testing.assert_close(elbo, evidence, rtol=1e-10, atol=1e-10)


# ---- conditional VAE --------------------------------------------------------------------------------------------


def test_conditional_networks_have_the_published_sizes():
    model = build_model("model=cvae", "dataset=digits", "latent.dim=10", "metric=none", "figure=none", "logger=csv")
    assert model.encoder.layers[0].in_features == 64 + 10
    assert model.decoder.layers[0].in_features == 10 + 10
    shape = {"image_shape": (1, 28, 28)}
    config = compose_train("model=cvae", "dataset=digits", *SMALL).model
    model = instantiate(config, **shape)
    counts = [sum(p.numel() for p in network.parameters()) for network in (model.encoder, model.decoder)]
    assert counts == [407520, 403284]
    assert model.encoder.layers[0].in_features == 794


def test_the_class_matters_to_a_conditional_model():
    model = build_model("model=cvae", *SMALL)
    x, labels = torch.rand(8, 1, 8, 8), torch.arange(8)
    losses = []
    for permuted in (labels, labels.flip(0)):
        torch.manual_seed(0)
        losses.append(model.objective(x, permuted)["loss"])
    assert losses[0] != losses[1]
    z = torch.zeros(2, 10)
    images = model.decode(z, torch.tensor([0, 1])).mean
    assert not torch.equal(images[0], images[1])
    with pytest.raises(ValueError, match="needs the labels"):
        model.objective(x)


def test_a_conditional_convolutional_network():
    line = ("model=cvae", "dataset=digits", "dataset.size=32", "network=convh", "metric=none", "logger=csv")
    model = build_model(*line)
    terms = model.objective(torch.rand(3, 1, 32, 32), torch.arange(3))
    assert torch.isfinite(terms["loss"])
    assert model.encoder.dense[0].in_features == 64 * 2 * 2 + 10


# ---- DIP-VAE ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "rows", [[[2**0.5, 0], [-(2**0.5), 0], [0, 2**0.5], [0, -(2**0.5)]], [[1, 1], [1, -1], [-1, 1], [-1, -1]]]
)
def test_dip_penalty_of_whitened_codes_is_zero(rows):
    assert penalty(double(rows), 1e3, 1e3).item() == pytest.approx(0, abs=1e-12)


def test_dip_kind_i_known_value_and_gradient():
    means = MEANS.clone().requires_grad_()
    value = penalty(means, 10, 100)
    value.backward()
    assert covariance(batch_moments(MEANS, torch.zeros_like(MEANS)), "i").tolist() == [[1.25, 0.5], [0.5, 0.5]]
    assert value.item() == pytest.approx(36.25, abs=1e-12)
    expected = double([[17.5, -47.5], [-12.5, -2.5], [-42.5, 42.5], [37.5, 7.5]])
    torch.testing.assert_close(means.grad, expected, rtol=0, atol=1e-11)


def test_dip_kind_ii_adds_the_mean_variances_to_the_diagonal_alone():
    c = covariance(batch_moments(MEANS, VARIANCES.log()), "ii")
    torch.testing.assert_close(c, double([[1.75, 0.5], [0.5, 1.0]]), rtol=0, atol=1e-12)
    assert penalty(MEANS, 10, 10, "ii", VARIANCES).item() == pytest.approx(10.625, abs=1e-12)


def test_dip_kind_ii_is_the_covariance_of_samples():
    torch.manual_seed(0)
    z = MEANS.repeat(400_000, 1) + VARIANCES.sqrt().repeat(400_000, 1) * torch.randn(1_600_000, 2, dtype=torch.float64)
    expected = covariance(batch_moments(MEANS, VARIANCES.log()), "ii")
    torch.testing.assert_close(z.T.cov(), expected, rtol=0, atol=0.005)


def test_dip_batch_noise_of_perfect_codes():
    """E sum_{i != j} C_ij^2 = J(J-1)(B-1)/B^2 and E sum (C_ii - 1)^2 = J(2B-1)/B^2 for means from N(0, I)."""
    torch.manual_seed(0)
    batch, dim = 64, 10
    gaps = [
        covariance_gap(covariance(batch_moments(m, torch.zeros(batch, dim)), "i"))
        for m in torch.randn(3000, batch, dim)
    ]
    off, diagonal = (torch.stack(parts).mean().item() for parts in zip(*gaps, strict=True))
    assert off == pytest.approx(dim * (dim - 1) * (batch - 1) / batch**2, rel=0.03)
    assert diagonal == pytest.approx(dim * (2 * batch - 1) / batch**2, rel=0.03)
    # The two formulas at lambda = (10, 100): what a perfect code still pays.
    assert pytest.approx(44.85, abs=0.005) == 10 * 90 * 63 / 64**2 + 100 * 10 * 127 / 64**2


BATCHES = [double([[1, 0], [-1, 0]]), double([[0, 2], [0, 0]]), double([[1, 0], [-1, 0]])]


def test_dip_running_average_known_values():
    steps = list(run_average(BATCHES, 0.9))
    assert [weight for weight, _, _ in steps] == pytest.approx([1, 0.526316, 0.369004], abs=5e-7)
    diagonals = [covariance(average, "i").diagonal().tolist() for _, _, average in steps]
    for got, expected in zip(diagonals, [(1, 0), (0.473684, 0.775623), (0.667897, 0.553914)], strict=True):
        assert got == pytest.approx(expected, abs=5e-7)
    gaps = [covariance_gap(covariance(average, "i")) for _, _, average in steps]
    assert [(10 * off + 100 * d).item() for off, d in gaps] == pytest.approx([100, 32.7353, 30.9285], abs=5e-5)


def test_dip_running_average_of_a_constant_batch_is_that_batch():
    reference = MEANS.clone().requires_grad_()
    expected = torch.autograd.grad(penalty(reference, 10, 100), reference)[0]
    for _, means, average in run_average([MEANS] * 5, 0.9, requires_grad=True):
        torch.testing.assert_close(covariance(average, "i"), covariance(batch_moments(MEANS, MEANS * 0), "i"))
        torch.testing.assert_close(gradient(means, average), expected)


def test_dip_literal_running_gradient_is_smaller_by_the_weight():
    rescaled = run_average([MEANS, 2 * MEANS, MEANS], 0.9, True, True)
    literal = run_average([MEANS, 2 * MEANS, MEANS], 0.9, False, True)
    for (weight, means, average), (_, same, written) in zip(rescaled, literal, strict=True):
        torch.testing.assert_close(covariance(average, "i"), covariance(written, "i"))
        torch.testing.assert_close(weight * gradient(means, average), gradient(same, written))


def test_dip_running_without_memory_is_the_minibatch_form_and_validation_leaves_the_average_alone():
    minibatch = build_model("model=dipvae", *SMALL)
    running = build_model("model=dipvae", "model.cov=running", "model.decay=0", *SMALL)
    for step in range(3):
        x = torch.rand(8, 1, 8, 8, generator=torch.Generator().manual_seed(step))
        values = []
        for model in (minibatch, running):
            torch.manual_seed(step)
            loss = model.objective(x)["loss"]
            values.append((loss, torch.autograd.grad(loss, list(model.parameters()))))
            model.batches += 1
        torch.testing.assert_close(values[0], values[1])
    kept = running.running_second.clone()
    running.eval().objective(x)
    assert torch.equal(running.running_second, kept)


def test_dip_default_weights_of_the_diagonal():
    assert build_model("model=dipvae", "model.lambda_od=3", *SMALL).lambda_d == 30
    assert build_model("model=dipvae", "model.lambda_od=3", "model.kind=ii", *SMALL).lambda_d == 3
    assert build_model("model=dipvae", "model.lambda_od=3", "model.lambda_d=7", *SMALL).lambda_d == 7


def test_dip_covariance_keeps_full_precision_under_autocast():
    means = torch.randn(64, 10)
    exact = covariance(batch_moments(means.double(), torch.zeros(64, 10)), "i")
    with torch.autocast("cpu", dtype=torch.bfloat16):
        c = covariance(batch_moments(means, torch.zeros(64, 10)), "i")
    torch.testing.assert_close(c.double(), exact, rtol=1e-5, atol=1e-5)
