"""What latents do to images: by hand, and on a decoder whose answer is known."""

import numpy as np
import pytest
import torch

from tests.support.configuration import build_model
from tests.support.datasets import data_module, squares
from vaezoo.evaluation.metric_inputs import MetricInputs
from vaezoo.evaluation.outputs import Outputs
from vaezoo.evaluation.scores import evaluate_metrics
from vaezoo.evaluation.table import encode
from vaezoo.figures.traversal_values import PRESETS
from vaezoo.metrics.traversal import traversal_effect

PARTS = ("dataset.shape=[1,16,16]", "network=mlpk", "metric=none", "figure=none", "logger=csv", "latent.dim=4")


def test_the_effect_by_hand():
    unmoved = np.array([[0.5, 0.5], [0.2, 0.8]]).reshape(2, 1, 1, 2)
    moved = np.tile(unmoved[:, None, None], (1, 3, 2, 1, 1, 1))
    moved[0, 0, 1, 0, 0, 0] += 0.4  # one of 2 images, 2 values and 2 pixels
    moved[:, 1] += 0.0099
    asked = []

    def traversals(rows):
        asked.append(rows)
        return unmoved, moved

    result = traversal_effect(traversals, rows=2)
    np.testing.assert_allclose(result["effect"], [0.16 / 8, 0.0099**2, 0], atol=1e-15)
    assert result["neutral_latents"] == 2
    assert traversal_effect(traversals, neutral=1e-5)["neutral_latents"] == 1
    assert asked == [2, 16]


def outputs_of(*line, brightness=(0.05, 0, 0, 0.0001)):
    """A model whose decoder makes every pixel logit the weighted sum of the latents."""
    data, model = data_module(squares), build_model(*line, *PARTS)

    class Brightness(torch.nn.Module):
        def forward(self, z):
            return (z[:, :4] @ torch.tensor(brightness)).view(-1, 1, 1, 1).expand(-1, 1, 16, 16)

    model.decoder = Brightness()
    return Outputs(model, data, encode(model, data, rows=None, test_rows=None, seed=0), "t")


@pytest.mark.parametrize(
    ("line", "values"),
    [
        (["model=vae"], PRESETS["prior_quantiles"]),
        (["model=infogan", "latent.dim=4", "latent.categories=[3]"], PRESETS["pm1"]),
        (["model=ae"], None),
    ],
)
def test_latents_are_moved_over_their_range(line, values):
    told = outputs_of(*line)
    images = MetricInputs(told, None, None)
    unmoved, moved = images.traversals(5)
    z = told.modes(images.positions[:5])[:, :4].astype(float)
    if values is None:
        values = np.quantile(told.table.codes[told.table.held_out][:, 0], np.linspace(0.01, 0.99, 10))
    light = z @ (0.05, 0, 0, 0.0001)

    def sigmoid(x):
        return 1 / (1 + np.exp(-x))

    np.testing.assert_allclose(unmoved[:, 0, 3, 4], sigmoid(light), atol=1e-6)
    shifted = light[:, None] + 0.05 * (values - z[:, :1])
    np.testing.assert_allclose(moved[:, 0, :, 0, 7, 7], sigmoid(shifted), atol=1e-6)
    np.testing.assert_allclose(moved[:, 1], np.broadcast_to(unmoved[:, None], moved[:, 1].shape), atol=1e-7)
    assert moved.shape == (5, 4, 10, 1, 16, 16)
    scores = evaluate_metrics({"traversal_effect": traversal_effect}, images, seed=0, repeats=1)
    effect = scores.arrays["traversal_effect"]["effect"]
    assert (effect[0] > 20 * effect[3]) & (effect[3] > effect[1:3].max())
    assert scores.values["eval/neutral_latents"] == (effect < 1e-4).sum()


def test_a_model_that_reconstructs_nothing_is_skipped():
    images = MetricInputs(outputs_of("model=catgan", "latent.dim=0", "latent.categories=[3]"), None, None)
    scores = evaluate_metrics({"traversal_effect": traversal_effect}, images, seed=0, repeats=1)
    assert scores.skipped == {"traversal_effect": "the model has no continuous latents that make an image"}
