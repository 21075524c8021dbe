"""No step mixes devices or waits for one: everything runs on a device that holds no data, and a fault names its line.

What works there neither moves data nor waits on a GPU. The only decision that the host takes by values of a batch is
the gate of VAE/GAN, which its loss decides; `idle` declares it, and the engine that records steps asks for it before.
"""

from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
import torch
from hydra.utils import instantiate
from torch import Tensor

from tests.support.configuration import MODELS, SMALL, compose_train
from tests.support.devices import Replayed, Waits, build_on_meta, never_waits
from vaezoo.config.directory import DIRECTORY
from vaezoo.data.images import ImageArrays
from vaezoo.data.module import ImageDataModule
from vaezoo.training.clock import Clock
from vaezoo.training.engines import Eager
from vaezoo.training.terms import TermSums

UNGATED = {"vaegan": ["model.margin=null"]}


@pytest.fixture(autouse=True)
def fit_for_meta(monkeypatch):
    """PyTorch knows no mixed precision on the meta device; models only ever switch it off. One step warms up."""
    monkeypatch.setattr("vaezoo.training.engines.WARM_UP", 1)
    autocast = torch.autocast

    def choose(device: str, *arguments, **options):
        return nullcontext() if device == "meta" else autocast(device, *arguments, **options)

    monkeypatch.setattr(torch, "autocast", choose)


@pytest.fixture(scope="module")
def data() -> ImageDataModule:
    """Return images of 8x8 with labels, as a data module that lives on the meta device."""
    labels = np.arange(64) % 10
    source = ImageArrays("zeros", np.zeros((64, 1, 8, 8), np.uint8), (1, 8, 8), {}, labels=labels)
    places = {"batch_size": 8, "split": "all", "val_images": 8, "split_seed": 0, "seed": 0}
    module = ImageDataModule(name="zeros", shape=(1, 8, 8), source=lambda: source, **places)
    module.place(torch.device("meta"))
    return module


def run_steps(kind: type[Eager], model, data: ImageDataModule, steps: int = 1, at: int = 1) -> None:
    """Make steps of the model by an engine, from batch `at` on."""
    clock = Clock(1000, 0, batches=at)
    model.batch_counter = lambda: clock.batches
    engine = kind(model, data, clock, TermSums(), chunk=steps)
    rows = torch.zeros(steps, 8 * model.batches_a_step, dtype=torch.int64, device="meta")
    with never_waits():
        engine.run(rows)


def images_and_labels(count: int = 8) -> tuple[Tensor, Tensor]:
    return torch.rand(count, 1, 8, 8, device="meta"), torch.zeros(count, dtype=torch.int64, device="meta")


@pytest.mark.parametrize("name", MODELS)
def test_every_model_stays_on_its_device_and_never_waits(name, data):
    model = build_on_meta(f"model={name}", *SMALL, *UNGATED.get(name, []))
    run_steps(Replayed, model, data, steps=2)  # an eager step, and one that is recorded
    if model.gated:
        run_steps(Eager, model, data)  # which decides in the step itself who skips it
    model.eval()
    x, labels = images_and_labels()
    with never_waits():
        model.validate(x, labels)
        q = model.encode(x, labels)
        if model.reconstructs:
            model.reconstruct(model.latent.mode(q.mean), labels).log_prob(x)
        model.decode(model.sample_prior(8, device="meta"), labels)


def test_the_second_phase_of_dec_does_not_wait_either(data):
    model = build_on_meta("model=dec", "model.pretrain_batches=7", "model.refresh=100", *SMALL)
    for engine in (Eager, Replayed):
        run_steps(engine, model, data, steps=2, at=8)


@pytest.mark.parametrize("player", ["dis", "dec"])
def test_a_gate_is_the_only_look_and_is_taken_before_the_recorded_step(player, data, monkeypatch):
    model = build_on_meta("model=vaegan", *SMALL)
    with pytest.raises(Waits, match=r"takes a tensor to the CPU: vaezoo/models/vaegan.py:\d+: real, fake = average"):
        run_steps(Eager, model, data)
    monkeypatch.setattr(model, "idle", lambda x, labels: frozenset({player}))
    run_steps(Replayed, model, data, steps=2)


@pytest.mark.parametrize("name", sorted(path.stem for path in (Path(DIRECTORY) / "likelihood").glob("*.yaml")))
def test_every_likelihood(name):
    x, output = images_and_labels()[0], torch.zeros(8, 1, 8, 8, device="meta")
    with never_waits():
        p = instantiate(compose_train("model=vae", f"likelihood={name}", *SMALL).likelihood)(output)
        values = [p.log_prob(x), p.rec(x), p.cross_entropy(x), p.mean]
    assert {value.device.type for value in values} == {"meta"}


@pytest.mark.parametrize(
    ("model", "name"),
    [("vae", "gaussian"), ("jointvae", "mixed"), ("ae", "point"), ("bigan", "uniform"), ("infogan", "codes"),
     ("catgan", "categorynoise"), ("pixelgan", "category"), ("aaecluster", "clusters")],
)  # fmt: skip
def test_every_latent_space(model, name):
    latent = instantiate(compose_train(f"model={model}", f"latent={name}", *SMALL).latent)
    with never_waits():
        q = latent.posterior(torch.zeros(8, latent.num_params, device="meta"))
        values = [q.mean, q.sample(), q.sample(relaxed=False), latent.mode(q.mean)]
        values.append(latent.sample_prior(8, device="meta"))
        if hasattr(q, "kl"):
            values += [q.kl(), q.log_prob(q.sample(relaxed=False))]
    assert {value.device.type for value in values} == {"meta"}


@pytest.mark.parametrize(
    ("fault", "operation"),
    [
        (lambda x: x.sum().item(), "_local_scalar_dense"),
        (lambda x: bool(x.sum() > 0), "_local_scalar_dense"),
        (lambda x: x.cpu(), "_to_copy"),
        (lambda x: x.nonzero(), "nonzero"),
        (lambda x: x[x > 0], "index"),
        (lambda x: torch.ones(3).to(x), "_to_copy"),
        (lambda x: torch.tensor(2.0, device=x.device), "tensor"),
        (lambda x: x + torch.tensor(2.0), "add"),
        (lambda x: torch.linalg.inv(x), "_linalg_check_errors"),
    ],
)
def test_a_fault_within_a_step_is_named_by_its_line(fault, operation, data, monkeypatch):
    """The line is that of the package from which the fault comes, here that of the step."""
    model = build_on_meta("model=vae", *SMALL)
    objective = model.objective
    monkeypatch.setattr(model, "objective", lambda x, labels: (fault(x), objective(x, labels))[1])
    with pytest.raises(Waits, match=rf"^{operation} .*: vaezoo/models/base.py:\d+: return self.extended"):
        run_steps(Eager, model, data)
