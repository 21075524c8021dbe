"""What adversarial models share: noise, parts of a batch, idle players, latents of generators, real batch norms."""

import copy
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from pytorch_lightning import Trainer
from pytorch_lightning.plugins import MixedPrecision
from torch import nn

from tests.support.configuration import SMALL, build_model
from tests.support.datasets import data_module
from vaezoo.errors import UserError
from vaezoo.evaluation.calibration import real_batches, recalibrate
from vaezoo.latents.codes import Codes
from vaezoo.latents.gaussian import Gaussian
from vaezoo.latents.point import Point
from vaezoo.likelihoods import Gaussian as GaussianImages
from vaezoo.models.adversarial import AdversarialModel, split
from vaezoo.training.clock import Clock
from vaezoo.training.sample_watch import SampleWatch, diversity


class Duel(AdversarialModel):
    """A critic of images and a generator, without batch statistics; the smallest model with players."""

    gated = ("critic",)
    idle = False

    def __init__(self, **options):
        super().__init__(
            image_shape=(1, 2, 2),
            latent=Gaussian(2),
            likelihood=GaussianImages,
            encoder=lambda shape, params: nn.Sequential(nn.Flatten(), nn.Linear(4, params)),
            decoder=lambda dim, shape: nn.Sequential(nn.Linear(dim, 4), nn.Unflatten(1, shape)),
            optimizer=lambda parameters: torch.optim.Adam(parameters, lr=0.01, fused=True),
            **options,
        )
        self.critic = nn.Sequential(nn.Flatten(), nn.Linear(4, 1))

    def players(self):
        return {"critic": [self.critic], "generator": [self.decoder, self.encoder]}

    def draw(self, x):
        return {"z": torch.randn(len(x), 2, dtype=x.dtype)}

    def sitting_out(self, parts):
        return {"critic"} if self.idle else set()

    def critic_objective(self, x, drawn):
        with torch.no_grad():
            fake = self.decode(drawn["z"]).mean
        drawn["seen"] = fake.detach()
        loss = (self.critic(fake) - self.critic(x)).mean() + 0.1 * self.critic(x).square().mean()
        return {"loss": loss}

    def generator_objective(self, x, drawn):
        again = (self.decode(self.encode(x).mean).mean - x).square().mean()
        return {"loss": again - self.critic(self.decode(drawn["z"]).mean).mean(), "again": again}


def step(model: Duel, x: torch.Tensor, optimizers=None, seed: int = 0):
    """One training step without a trainer."""
    optimizers = optimizers or model.configure_optimizers()
    model.all_optimizers = lambda: [Loose(model, optimizer) for optimizer in optimizers]
    model.toggled_optimizer = lambda optimizer: toggled(model, optimizer)
    model.manual_backward = lambda loss: loss.backward()
    torch.manual_seed(seed)
    return model.step(x), optimizers


class Loose:
    """What Lightning wraps around an optimiser: its hook before the step."""

    def __init__(self, model, optimizer):
        self.model, self.optimizer = model, optimizer

    def zero_grad(self, set_to_none):
        self.optimizer.zero_grad(set_to_none=set_to_none)

    def step(self):
        self.model.on_before_optimizer_step(self.optimizer)
        self.optimizer.step()


def toggled(model, wrapped):
    from contextlib import contextmanager

    @contextmanager
    def context():
        owned = {id(p) for group in wrapped.optimizer.param_groups for p in group["params"]}
        for p in model.parameters():
            p.requires_grad_(id(p) in owned)
        yield
        for p in model.parameters():
            p.requires_grad_(True)

    return context()


@pytest.mark.parametrize("parts", [2, 4])
def test_a_batch_in_parts_gives_the_step_of_the_whole(parts):
    x = torch.rand(16, 1, 2, 2, dtype=torch.float64)
    torch.manual_seed(3)
    whole = Duel().double()
    pieces = copy.deepcopy(whole)
    pieces.micro_batches = parts
    optimizers = [None, None]
    for seed in range(3):
        for i, model in enumerate((whole, pieces)):
            terms, optimizers[i] = step(model, x, optimizers[i], seed)
            if i == 0:
                expected = terms
        for key, value in terms.items():
            torch.testing.assert_close(value, expected[key], msg=key)
    for a, b in zip(whole.parameters(), pieces.parameters(), strict=True):
        torch.testing.assert_close(a, b)


def test_parts_hold_a_share_of_each_batch():
    values = torch.arange(12)
    assert [part.tolist() for part in split(values, 3, 2)] == [[0, 1, 6, 7], [2, 3, 8, 9], [4, 5, 10, 11]]
    assert [part.tolist() for part in split(values, 1, 2)] == [values.tolist()]


def test_an_optimizer_of_a_player_is_a_difference_to_the_common_one_or_another():
    other = partial(torch.optim.SGD, lr=0.5)
    model = Duel(optimizers={"critic": {"lr": 0.25, "betas": (0.5, 0.9)}, "generator": other})
    model.optimizer = partial(torch.optim.Adam, lr=0.01, eps=1e-7)
    critic, generator = model.configure_optimizers()
    assert isinstance(critic, torch.optim.Adam)
    assert (critic.defaults["lr"], critic.defaults["betas"], critic.defaults["eps"]) == (0.25, (0.5, 0.9), 1e-7)
    assert isinstance(generator, torch.optim.SGD)
    assert generator.defaults["lr"] == 0.5


def test_a_player_that_a_model_does_not_have_is_refused():
    model = Duel(optimizers={"critc": {"lr": 0.25}})
    with pytest.raises(
        UserError, match=r"optimizers.critc: Duel has no such player. Its players are critic, generator"
    ):
        model.configure_optimizers()


def test_an_idle_player_neither_moves_nor_ages():
    x = torch.rand(8, 1, 2, 2)
    model = Duel()
    terms, optimizers = step(model, x)
    assert terms["skipped_critic"] == 0
    assert terms["grad_norm_critic"] > 0
    before = [p.clone() for p in model.critic.parameters()]
    ages = copy.deepcopy(optimizers[0].state_dict())
    model.idle = True
    terms, _ = step(model, x, optimizers)
    assert terms["skipped_critic"] == 1
    assert terms["grad_norm_critic"] == 0
    assert torch.isfinite(terms["loss_critic"])
    assert all(torch.equal(p, b) for p, b in zip(model.critic.parameters(), before, strict=True))
    for state, old in zip(optimizers[0].state_dict()["state"].values(), ages["state"].values(), strict=True):
        assert all(torch.equal(state[key], old[key]) for key in old)


class Forgetful(Duel):
    """A generator whose loss reaches its encoder in the first step alone."""

    def generator_objective(self, x, drawn):
        terms = super().generator_objective(x, drawn)
        return terms if self.batches == 0 else {**terms, "loss": self.decode(drawn["z"]).mean.square().mean()}


def test_a_network_that_a_loss_does_not_reach_is_not_moved_by_its_momentum():
    torch.manual_seed(0)
    model, x = Forgetful(), torch.rand(6, 1, 2, 2)
    _, optimizers = step(model, x)
    encoder, decoder = ([p.detach().clone() for p in part.parameters()] for part in (model.encoder, model.decoder))
    step(model, x, optimizers)
    assert all(torch.equal(p, before) for p, before in zip(model.encoder.parameters(), encoder, strict=True))
    assert not any(torch.equal(p, before) for p, before in zip(model.decoder.parameters(), decoder, strict=True))


def test_norms_are_those_before_clipping():
    x = torch.rand(8, 1, 2, 2)
    torch.manual_seed(0)
    model = Duel(gradient_clip=1e-3)
    free = copy.deepcopy(model)
    free.gradient_clip = None
    clipped, _ = step(model, x)
    plain, _ = step(free, x)
    assert clipped["grad_norm_critic"] == plain["grad_norm_critic"] > 1e-3
    norm = torch.stack([p.grad.norm() for p in model.critic.parameters()]).norm()
    assert norm.item() == pytest.approx(1e-3, rel=1e-3)


class Twice(Duel):
    """One network of two players, who say what they see of it."""

    gated = ()

    def players(self):
        return {"first": [self.decoder], "second": [self.decoder]}

    def first_objective(self, x, drawn):
        return {"loss": self.decoder(torch.ones(1, 2)).square().sum()}

    def second_objective(self, x, drawn):
        seen = self.decoder(torch.ones(1, 2)).float().sum()
        return {"loss": seen, "seen": seen}


def test_mixed_precision_shows_the_second_player_what_the_first_has_done():
    torch.manual_seed(0)
    model = Twice()
    for optimizer in (optimizers := model.configure_optimizers()):
        optimizer.param_groups[0]["lr"] = 0.5
    optimizers[1].param_groups[0]["lr"] = 0.0
    with torch.autocast("cpu", dtype=torch.bfloat16):
        terms, _ = step(model, torch.rand(4, 1, 2, 2), optimizers)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        torch.testing.assert_close(terms["seen"], model.decoder(torch.ones(1, 2)).float().sum())


def half_precision(scale: float, batches: int = 5, **options) -> tuple[Duel, torch.amp.GradScaler, list[dict]]:
    """A duel trained by Lightning under fp16 with scaled losses, here on a CPU, and the terms of every batch."""
    torch.manual_seed(0)
    model, terms = Duel(**options), []
    model.on_train_batch_end = lambda outputs, batch, batch_index: terms.append(outputs)
    loader = torch.utils.data.DataLoader(torch.rand(batches, 8, 1, 2, 2), batch_size=None)
    scaler = torch.amp.GradScaler("cpu", init_scale=scale)
    trainer = Trainer(
        accelerator="cpu",
        plugins=[MixedPrecision("16-mixed", "cpu", scaler=scaler)] if scale else [],
        max_epochs=1,
        **dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False),
        limit_val_batches=0,
    )
    trainer.fit(model, loader)
    return model, scaler, terms


@pytest.mark.parametrize("parts", [1, 2])
def test_fp16_scales_losses_and_clips_true_gradients(parts):
    """The clip is far above the gradients of single precision, and far below scaled ones."""
    options = {"micro_batches": parts, "gradient_clip": 10.0}
    single, _, expected = half_precision(0.0, **options)
    half, scaler, terms = half_precision(2.0**14, **options)
    assert scaler.get_scale() == 2.0**14, "no step was left out"
    for found, known in zip(terms, expected, strict=True):
        for key in known:
            torch.testing.assert_close(found[key].float(), known[key], rtol=0.02, atol=2e-3, msg=key)
    for one, other in zip(half.parameters(), single.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=0.05, atol=5e-3)


def test_fp16_leaves_out_the_step_of_a_player_whose_gradients_overflow():
    model, scaler, _ = half_precision(2.0**60, batches=1)
    torch.manual_seed(0)
    assert all(torch.equal(one, other) for one, other in zip(model.parameters(), Duel().parameters(), strict=True))
    assert scaler.get_scale() == 2.0**58, "halved once by each player"


# ---- latents of generators -------------------------------------------------------------------------------------


def codes(**changes) -> Codes:
    usual = {"dim": 2, "categories": [3], "temperature": 0.1, "noise": 4, "prior": "uniform", "noise_prior": "normal"}
    return Codes(**{**usual, "scale": "softplus", **changes})


def test_codes_and_what_is_generated_from_them():
    latent = codes()
    assert (latent.width, latent.dim, latent.num_params) == (5, 9, 7)
    prior = latent.sample_prior(20_000)
    assert prior.shape == (20_000, 9)
    assert prior[:, :2].abs().max() <= 1
    assert prior[:, :2].var(0).tolist() == pytest.approx([1 / 3, 1 / 3], abs=0.01)
    assert prior[:, 5:].var(0).tolist() == pytest.approx([1] * 4, abs=0.05)
    assert torch.equal(prior[:, 2:5].sum(1), torch.ones(20_000))
    q = latent.posterior(torch.randn(6, 7))
    assert q.mean.shape == (6, 5)
    mode = latent.mode(q.mean)
    assert mode.shape == (6, 9)
    assert torch.equal(mode[:, :2], q.mean[:, :2])
    assert not torch.equal(mode[:, 5:], latent.mode(q.mean)[:, 5:]), "noise is drawn anew"
    empty = codes(dim=0)
    assert empty.posterior(torch.randn(6, 3)).mean.shape == (6, 3)
    assert empty.sample_prior(5).shape == (5, 7)


def test_spread_by_softplus():
    raw = torch.tensor([[0.0, 0.0, 0.0, 3.0, 0.0, 0.0, 0.0], [0.0, 0.0, -18.0, -14.0, 0.0, 0.0, 0.0]])
    raw.requires_grad_()
    logvar = codes().posterior(raw).logvar
    sigma = (0.5 * logvar).exp()
    assert sigma[0].tolist() == pytest.approx([0.693147, nn.functional.softplus(torch.tensor(3.0)).item()])
    assert (0.5 * logvar[1]).tolist() == pytest.approx([-18, -14], abs=1e-5)
    logvar.sum().backward()
    assert torch.isfinite(raw.grad).all()


def test_points_with_categories():
    latent = Point(2, [3], "uniform")
    assert (latent.dim, latent.num_params) == (5, 5)
    q = latent.posterior(torch.randn(6, 5))
    assert q.sample().shape == (6, 5)
    torch.testing.assert_close(q.clusters.sum(1), torch.ones(6))
    assert latent.sample_prior(1000)[:, :2].abs().max() <= 1
    assert not hasattr(Point(2).posterior(torch.randn(6, 2)), "clusters")


# ---- batch normalisation of real images --------------------------------------------------------------------------


def test_statistics_become_those_of_real_images():
    data = data_module()
    model = build_model("model=vae", "dataset.shape=[1,16,16]", *SMALL[1:])
    model.encoder = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(256), nn.Linear(256, 20), nn.BatchNorm1d(20))
    model.decoder = nn.Sequential(nn.BatchNorm1d(10), nn.Linear(10, 256), nn.Unflatten(1, (1, 16, 16)))
    for layer in (model.encoder[1], model.encoder[3], model.decoder[0]):
        layer.running_mean.fill_(7)
    rows = [data.batch(torch.from_numpy(data.rows.train))]
    assert recalibrate(model, rows) == 2
    x = rows[0].images.flatten(1)
    torch.testing.assert_close(model.encoder[1].running_mean, x.mean(0))
    torch.testing.assert_close(model.encoder[1].running_var, x.var(0))
    torch.testing.assert_close(model.decoder[0].running_mean, torch.full((10,), 7.0))  # encoding does not pass it
    assert model.encoder[1].momentum == 0.1
    assert model.training
    assert sum(len(batch.images) for batch in real_batches(data, 0)) == min(len(data.rows.train), 100 * 8)


# ---- samples over time -------------------------------------------------------------------------------------------


def test_diversity_is_half_the_mean_squared_distance():
    images = torch.rand(6, 1, 3, 3, dtype=torch.float64)
    pairs = [(a - b).square().sum() for i, a in enumerate(images) for b in images[:i]]
    torch.testing.assert_close(diversity(images), torch.stack(pairs).mean() / 2)


def test_looks_spread_in_equal_ratios():
    watch = SampleWatch(None, None, 500, "t", pictures=False)
    looks = [batches for batches in range(500, 300_001, 500) if watch.is_due(batches)]
    assert looks[0] == 500
    assert len(looks) < 40
    assert max(np.diff(looks[8:]) / looks[8:-1]) < 0.3


@pytest.mark.parametrize("collapsed", [True, False])
def test_equal_samples_are_reported(collapsed, tmp_path, caplog):
    data = data_module()
    model = build_model("model=vae", "dataset.shape=[1,16,16]", *SMALL[1:])
    if not collapsed:
        for parameter in model.decoder.parameters():
            parameter.data.normal_(std=2)
    sent, pictures = {}, []
    logger = SimpleNamespace(
        log_metrics=lambda values, step: sent.update({**values, "step": step}),
        log_figure=lambda name, image, step: pictures.append((name, image, step)),
    )
    trainer = SimpleNamespace(loggers=[logger], is_global_zero=True)
    module = SimpleNamespace(model=model, clock=Clock(1000, seed=0, batches=500))
    watch = SampleWatch(data, tmp_path, 500, "a title", pictures=True)
    state = torch.get_rng_state()
    watch.on_validation_end(trainer, module)
    assert torch.equal(torch.get_rng_state(), state)
    assert sent["step"] == 500
    assert (sent["val/diversity"] < 0.05) == collapsed
    assert ("nearly all the same" in caplog.text) == collapsed
    for name, (key, path, step) in zip(("samples", "reconstructions"), pictures, strict=True):
        assert (key, path.name, step) == (f"{name}_over_time", f"{name}_00000500.png", 500)
        assert path.parent == tmp_path / "figures" / "over_time"
        assert path.is_file()
    assert model.training
    watch.on_validation_end(trainer, module)
    assert caplog.text.count("nearly all the same") == int(collapsed)
