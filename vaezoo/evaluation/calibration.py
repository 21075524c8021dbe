"""Re-estimate batch normalisation on real images, for an encoder that was trained on generated ones."""

from collections.abc import Iterable
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from vaezoo.seeds import derive

BATCHES = 100
# Descriptions of the statistics that batch normalisation used, by whether they were re-estimated.
STATISTICS = {False: "running averages of training", True: f"re-estimated on {BATCHES} batches of real training images"}


def real_batches(data: Any, seed: int) -> Iterable[Any]:
    """Return at most 100 random batches of training images."""
    rows = np.random.default_rng(derive(seed, "calibration")).permutation(data.rows.train)
    return islice(data.batches(rows, data.batch_size), BATCHES)


def recalibrate(model: Any, batches: Iterable[Any]) -> int:
    """Replace the running statistics that `model.encode` uses by their means over batches; return how many layers.

    A network that saw real and generated images in training has running statistics of neither. Layers that encoding
    does not pass keep their statistics, and the model its mode.
    """
    layers = [module for module in model.modules() if isinstance(module, _BatchNorm) and module.track_running_stats]
    before = {
        layer: ({key: value.clone() for key, value in layer.state_dict().items()}, layer.momentum) for layer in layers
    }
    was_training = model.training
    model.eval()
    for layer in layers:
        layer.reset_running_stats()
        layer.momentum = None  # so that every batch has the same weight
        layer.train()
    try:
        with torch.no_grad():
            for batch in batches:
                model.encode(batch.images, batch.labels)
    finally:
        passed = [layer for layer in layers if int(count_batches(layer)) > 0]
        for layer, (state, momentum) in before.items():
            layer.momentum = momentum
            if layer not in passed:
                layer.load_state_dict(state)
        model.train(was_training)
    return len(passed)


def count_batches(layer: nn.Module) -> torch.Tensor:
    """Return the number of batches that a layer's running statistics come from."""
    count = layer.num_batches_tracked
    assert isinstance(count, torch.Tensor)
    return count
