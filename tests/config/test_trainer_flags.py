"""Each flag of Lightning's Trainer works, or is refused with the key of ours that does it."""

import copy
import inspect
from collections.abc import Callable
from typing import Any

import pytest
import torch
from lightning_fabric.plugins.io import TorchCheckpointIO
from omegaconf import OmegaConf
from pytorch_lightning import Trainer
from pytorch_lightning.callbacks import Timer
from pytorch_lightning.strategies import SingleDeviceStrategy

from tests.support.configuration import SMALL, compose_train
from vaezoo.config.command_keys import REFUSED_FLAGS
from vaezoo.config.values import check_config
from vaezoo.errors import UserError
from vaezoo.networks.whole_batch import WholeBatchNorm
from vaezoo.training.checkpoints import CheckpointFiles
from vaezoo.training.fit import make_trainer

FLAGS = {
    name: parameter for name, parameter in inspect.signature(Trainer.__init__).parameters.items() if name != "self"
}

# The flags that work: a value that is not the default, and whether a Trainer has it.
WORKING: dict[str, tuple[Any, Callable[[Trainer], bool]]] = {
    "accelerator": ("cpu", lambda trainer: trainer.strategy.root_device.type == "cpu"),
    "devices": (1, lambda trainer: trainer.num_devices == 1),
    "precision": ("64-true", lambda trainer: trainer.precision == "64-true"),
    "max_time": ("00:00:00:01", lambda trainer: any(isinstance(callback, Timer) for callback in trainer.callbacks)),
    "limit_val_batches": (3, lambda trainer: trainer.limit_val_batches == 3),
    "deterministic": (True, lambda _: torch.are_deterministic_algorithms_enabled()),
    "benchmark": (True, lambda _: torch.backends.cudnn.benchmark),
    "inference_mode": (False, lambda trainer: not trainer.fit_loop.epoch_loop.val_loop.inference_mode),
    "detect_anomaly": (True, lambda trainer: trainer._detect_anomaly),
    "plugins": (
        [{"_target_": "tests.config.test_trainer_flags.OwnCheckpoints"}],
        lambda trainer: isinstance(trainer.strategy.checkpoint_io, OwnCheckpoints),
    ),
    "profiler": (
        {"_target_": "pytorch_lightning.profilers.SimpleProfiler", "filename": "profile"},
        lambda trainer: trainer.profiler.filename == "profile",
    ),
    "strategy": (
        {"_target_": "pytorch_lightning.strategies.SingleDeviceStrategy", "device": "cpu"},
        lambda trainer: isinstance(trainer.strategy, SingleDeviceStrategy),
    ),
}


class OwnCheckpoints(TorchCheckpointIO):
    """A plugin of the user."""


@pytest.fixture
def torch_flags():
    """Undo what a Trainer sets for the whole process."""
    yield
    torch.use_deterministic_algorithms(False)
    torch.backends.cudnn.benchmark = False


def configure(flag: str, value: Any):
    config = copy.deepcopy(compose_train(*SMALL, "trainer=cpu", "trainer.deterministic=false"))
    OmegaConf.update(config, f"trainer.{flag}", value, force_add=True)
    return config


def test_each_flag_works_or_is_refused():
    assert set(WORKING) | set(REFUSED_FLAGS) == set(FLAGS)
    assert not set(WORKING) & set(REFUSED_FLAGS)


@pytest.mark.parametrize("flag", WORKING)
def test_a_flag_that_works_reaches_lightning(flag, torch_flags):
    value, has_it = WORKING[flag]
    config = configure(flag, value)
    check_config(config)
    assert has_it(make_trainer(config.trainer))


@pytest.mark.parametrize("flag", REFUSED_FLAGS)
def test_another_flag_is_refused_unless_it_is_the_default(flag):
    default = FLAGS[flag].default
    check_config(configure(flag, default))
    for value in {bool: [not default], int: [7]}.get(type(default), [7, "x", True, ["x"], {"_target_": "x.Y"}]):
        with pytest.raises(UserError, match=rf"trainer\.{flag}=.*: must be left out: \w.*\."):
            check_config(configure(flag, value))


@pytest.mark.parametrize("flag", ["strategy=fsdp", "strategy=auto", "profiler=simple"])
def test_a_name_for_what_needs_a_node_is_refused(flag):
    name, value = flag.split("=")
    with pytest.raises(UserError, match=rf"trainer\.{flag}: must be a node"):
        check_config(configure(name, value))


def test_the_trainer_of_several_processes_normalises_whole_batches():
    config = compose_train(*SMALL, "trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=1")
    trainer = make_trainer(config.trainer)
    assert isinstance(trainer.strategy._layer_sync, WholeBatchNorm)
    assert isinstance(trainer.strategy.checkpoint_io, CheckpointFiles)


def test_a_flag_that_the_trainer_does_not_have_is_answered_with_the_nearest():
    config = compose_train(*SMALL, "+trainer.detect_anomali=true")
    with pytest.raises(UserError, match=r"Trainer does not take detect_anomali\. Did you mean 'detect_anomaly'"):
        check_config(config)
