"""fit: what training adds around a model, and the places inside Lightning that it depends on."""

import inspect
import signal

import pytest
from hydra.utils import instantiate
from pytorch_lightning import Trainer

from tests.support.configuration import SMALL, build_model, compose_train
from tests.support.paths import ROOT
from tests.support.together import ListLogger
from vaezoo.training.fit import fit, make_trainer

LINE = ("dataset.batch_size=16", "dataset.val_images=40", "trainer.accelerator=cpu", *SMALL)


def train(model, max_batches: int, **options) -> list[dict[str, float]]:
    config, logger = compose_train(*LINE), ListLogger()
    trainer = make_trainer(config.trainer, [logger])
    options = {"log_every": 2, "val_every": 5, **options}
    fit(model, instantiate(config.dataset), trainer, max_batches=max_batches, seed=0, **options)
    return logger.rows


def test_validations_come_at_exact_batches_and_at_the_end():
    rows = train(build_model("model=vae", *LINE), max_batches=12, log_every=1)
    kinds = ["val" if "val/loss" in row else "train" for row in rows]
    assert kinds == [*["train"] * 5, "val", *["train"] * 5, "val", *["train"] * 2, "val"]


def test_a_model_is_as_it_was_afterwards():
    model = build_model("model=vae", *LINE)
    names = model.state_dict().keys()
    train(model, max_batches=3)
    assert model.state_dict().keys() == names
    assert model.training_batches is None
    assert "terms_of" not in vars(model)
    assert model.batches == 3


def test_a_run_that_goes_on_does_not_begin_at_the_mean_image_again(monkeypatch):
    model = build_model("model=vae", *LINE)
    monkeypatch.setattr(type(model), "begin_at", lambda *_: pytest.fail("it has begun already"))
    model.batches += 1
    train(model, max_batches=2)


def test_nothing_is_left_to_do_when_the_budget_is_reached():
    model = build_model("model=vae", *LINE)
    model.batches += 4
    assert train(model, max_batches=4) == []


# ---- inside Lightning ------------------------------------------------------------------------------------------


def test_lightning_leaves_the_handlers_of_signals_alone():
    """Fails when Lightning registers its handlers elsewhere than where vaezoo.training.lightning_internals looks."""
    seen = []

    class Watch(ListLogger):
        def log_metrics(self, metrics, step=None):
            seen.append([signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)])

    config = compose_train(*LINE)
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)]
    trainer = make_trainer(config.trainer, [Watch()])
    model, data = build_model("model=vae", *LINE), instantiate(config.dataset)
    fit(model, data, trainer, max_batches=2, seed=0, log_every=1, val_every=2)
    assert seen
    assert all(handlers == before for handlers in seen)
    plain = Trainer(accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False)
    assert inspect.ismethod(plain._signal_connector.register_signal_handlers), "lightning_internals replaces nothing"


def test_private_attributes_of_lightning_are_touched_in_one_file():
    private = ("trainer._", "strategy._", "fit_loop", "_connector")
    files = (ROOT / "vaezoo").rglob("*.py")
    assert {path.name for path in files if any(word in path.read_text() for word in private)} <= {
        "lightning_internals.py",
        "reading.py",  # its keys of the configuration, such as trainer._target_
        "identity.py",
    }


@pytest.mark.parametrize("trainer", ["gpu", "auto"])
@pytest.mark.parametrize(
    ("precision", "plugin"),
    [
        ("32-true", "Precision"),
        ("64-true", "DoublePrecision"),
        ("bf16-mixed", "MixedPrecision"),
        ("16-mixed", "MixedPrecision"),
    ],
)
def test_flags_of_a_trainer_on_a_gpu(trainer, precision, plugin, monkeypatch):
    """With an imitated card, because Lightning looks for one and does not use it before a training."""
    for place in ("pytorch_lightning", "lightning_fabric"):
        monkeypatch.setattr(f"{place}.accelerators.cuda.num_cuda_devices", lambda: 1)
    flags = compose_train(f"trainer={trainer}", f"trainer.precision={precision}", *SMALL).trainer
    made = make_trainer(flags)
    assert str(made.strategy.root_device) == "cuda:0"
    assert type(made.precision_plugin).__name__ == plugin
    if precision.endswith("mixed"):
        assert made.precision_plugin.device == "cuda"
