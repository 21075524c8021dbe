"""No model mixes devices or waits for one: all works on a device that holds no data.

On torch's meta device, an operation with a tensor of the CPU raises, and so does every look at a value, such as
`.item()`, `.cpu()` or `if tensor:`. What works there neither moves data nor waits on a GPU. Gates that the host decides
are given to the step, as the engines do (`idle`).
"""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import pytest
import torch
from torch import Tensor

from tests.support.configuration import MODELS, SMALL, build_model
from vaezoo.likelihoods import Bernoulli, ContinuousBernoulli, Gaussian
from vaezoo.models.base import LatentModel


@pytest.fixture(autouse=True)
def no_autocast(monkeypatch):
    """PyTorch knows no mixed precision on the meta device; models only ever switch it off."""
    autocast = torch.autocast

    def choose(device: str, *arguments, **options):
        return nullcontext() if device == "meta" else autocast(device, *arguments, **options)

    monkeypatch.setattr(torch, "autocast", choose)


def on_meta(*overrides: str) -> LatentModel:
    """Return a model on the meta device, with what a trainer gives it."""
    model = build_model(*overrides).to("meta")
    made = model.configure_optimizers()
    optimizers = made if isinstance(made, list) else [made]
    for group in (group for optimizer in optimizers for group in optimizer.param_groups):
        group["fused"] = False  # PyTorch has fused steps on real devices alone

    @contextmanager
    def toggled(optimizer: torch.optim.Optimizer) -> Iterator[None]:
        own = {parameter for group in optimizer.param_groups for parameter in group["params"]}
        for parameter in model.parameters():
            parameter.requires_grad_(parameter in own)
        yield
        for parameter in model.parameters():
            parameter.requires_grad_(True)

    model.optimizers = lambda: made
    model.manual_backward = lambda loss: loss.backward()
    model.toggled_optimizer = toggled
    return model


def batch_of(count: int) -> tuple[Tensor, Tensor]:
    return torch.rand(count, 1, 8, 8, device="meta"), torch.zeros(count, dtype=torch.int64, device="meta")


@pytest.mark.parametrize("name", MODELS)
def test_every_model_stays_on_its_device_and_never_looks_back(name):
    model = on_meta(f"model={name}", *SMALL)
    terms = model.step(*batch_of(8 * model.batches_a_step), idle=frozenset())
    assert {value.device.type for value in terms.values()} == {"meta"}
    model.eval()
    x, labels = batch_of(8)
    model.validate(x, labels)
    q = model.encode(x, labels)
    if model.reconstructs:
        model.reconstruct(model.latent.mode(q.mean), labels).log_prob(x)
    model.decode(model.sample_prior(8, device="meta"), labels)


@pytest.mark.parametrize("player", ["dis", "dec"])
def test_a_player_that_is_idle_is_left_out_without_a_look(player):
    model = on_meta("model=vaegan", *SMALL)
    model.step(*batch_of(8), idle=frozenset({player}))


@pytest.mark.parametrize("likelihood", [Bernoulli, ContinuousBernoulli, Gaussian])
def test_every_likelihood(likelihood):
    p, x = likelihood(torch.zeros(3, 1, 8, 8, device="meta")), batch_of(3)[0]
    assert p.log_prob(x).shape == (3,)
    assert p.mean.device.type == p.cross_entropy(x).device.type == "meta"


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (lambda model, x: model.batches.item(), "meta"),
        (lambda model, x: bool(x.sum() > 0), "meta"),
        (lambda model, x: x.cpu(), "meta"),
        (lambda model, x: x + torch.ones(8, 1, 8, 8), "device"),
    ],
)
def test_a_look_and_a_mixture_would_be_seen(fault, message, monkeypatch):
    model = on_meta("model=vae", *SMALL)
    objective = model.objective
    monkeypatch.setattr(model, "objective", lambda x, labels: (fault(model, x), objective(x, labels))[1])
    with pytest.raises((RuntimeError, NotImplementedError), match=message):
        model.step(*batch_of(8))
