"""Linear classifiers of codes: PyTorch's own layer and optimiser as a reference, and known answers."""

from functools import partial

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.special import softmax

from tests.support.codes import FACTORS, about, noise
from vaezoo.evaluation.inputs import Inputs
from vaezoo.evaluation.scores import evaluate_metrics
from vaezoo.metrics.probe import probe_attributes, probe_linear, probe_logistic, train_layer
from vaezoo.metrics.protocol import Skip

LABELS = FACTORS[:, 3]  # 480 rows, eight classes
HELD_OUT = np.arange(len(FACTORS)) % 3 == 0
CODES = np.hstack([5 * np.eye(8)[LABELS], np.full((len(FACTORS), 1), 3.0)]).astype(np.float32)


def linear(codes, labels, held_out=HELD_OUT, seed=0, **options):
    return probe_linear(codes, labels, held_out, np.random.default_rng(seed), **options)


def attributes(codes, factors, held_out=HELD_OUT, names=(), **options):
    return probe_attributes(codes, factors, held_out, np.random.default_rng(0), names, **options)


@pytest.mark.parametrize("loss", [F.cross_entropy, F.binary_cross_entropy_with_logits])
def test_the_layer_is_that_of_pytorch(loss):
    """The same first weights and batches, the last of them short: Adam comes to the same weights."""
    rng = np.random.default_rng(3)
    codes, classes, epochs = rng.standard_normal((100, 3)), 4, 5
    targets = np.eye(classes, dtype=bool)[rng.integers(classes, size=100)]
    if loss is F.cross_entropy:
        predict, scale = partial(softmax, axis=1), 1.0
    else:  # its mean is over the attributes, too
        predict, scale = (lambda z: 1 / (1 + np.exp(-z))), classes
        targets |= rng.random(targets.shape) < 0.3
    found = train_layer(codes, targets, predict, np.random.default_rng(0), epochs, 32, 0.01)

    again = np.random.default_rng(0)
    start = torch.tensor(again.uniform(-1 / np.sqrt(3), 1 / np.sqrt(3), (4, classes)))
    layer = torch.nn.Linear(3, classes, dtype=torch.float64)
    with torch.no_grad():
        layer.weight.copy_(start[:-1].T)
        layer.bias.copy_(start[-1])
    adam = torch.optim.Adam(layer.parameters(), lr=0.01)
    x, y = torch.tensor(codes), torch.tensor(targets, dtype=torch.float64)
    for _ in range(epochs):
        for rows in torch.from_numpy(again.permutation(100)).split(32):
            adam.zero_grad()
            (scale * loss(layer(x[rows]), y[rows])).backward()
            adam.step()
    np.testing.assert_allclose(found[:-1].T, layer.weight.detach(), atol=1e-10)
    np.testing.assert_allclose(found[-1], layer.bias.detach(), atol=1e-10)
    assert np.abs(found - start.numpy()).max() > 0.1


@pytest.mark.parametrize("probe", [partial(linear, epochs=150), lambda *args: probe_logistic(*args, HELD_OUT)])
def test_what_codes_know_and_what_not(probe):
    result = probe(CODES, LABELS)
    assert result["score"] == result["test_acc"] == result["train_acc"] == 1
    assert result["majority"] == about(1 / 8, 0.05)
    assert probe(noise(2), LABELS)["test_acc"] == about(1 / 8, 0.09)
    wrong = np.where(HELD_OUT, 7 - LABELS, LABELS)  # what is learned is judged by other rows
    assert probe(CODES, wrong)["test_acc"] == 0


def test_the_layer_does_not_scale_codes_and_stops_in_time():
    """A tenth of the scale needs more epochs; fitted to convergence on standardised codes it does not matter."""
    first = [linear(scale * CODES, LABELS)["test_acc"] for scale in (1, 0.01)]
    assert first[0] > first[1] + 0.3
    assert probe_logistic(0.01 * CODES, LABELS, HELD_OUT)["test_acc"] == 1
    assert linear(CODES, LABELS, epochs=1)["test_acc"] < first[0]


def test_two_classes_are_a_softmax_too():
    result = linear(3 * noise(1) + 6 * (LABELS[:, None] > 3), (LABELS > 3).astype(int), epochs=300)
    assert result["test_acc"] == about(0.84, 0.06)  # Φ(1)


def test_attributes_one_by_one():
    rng = np.random.default_rng(0)
    factors = np.stack([rng.random(480) < 0.5, rng.integers(3, size=480), rng.random(480) < 0.1], axis=1).astype(int)
    codes = 6.0 * factors[:, :1] - 3 + 0.1 * noise(1)
    result = attributes(codes, factors, names=("Smiling", "shape", "Bald"), epochs=200)
    assert result["names"].tolist() == ["Smiling", "Bald"], "a factor of three levels is no attribute"
    rates = [(factors[HELD_OUT, k] == usual).mean() for k, usual in ((0, round(factors[~HELD_OUT, 0].mean())), (2, 0))]
    np.testing.assert_allclose(result["majority_rate"], rates)
    np.testing.assert_allclose(result["accuracy"], [1, rates[1]])
    assert result["score"] == result["test_acc"] == pytest.approx((1 + rates[1]) / 2)
    assert result["majority"] == pytest.approx(np.mean(rates))
    other = factors.copy()
    other[HELD_OUT] = 0  # what the layer has learned does not depend on them
    assert attributes(codes, other, epochs=200)["train_acc"] == result["train_acc"]
    with pytest.raises(Skip, match="no binary attributes"):
        attributes(codes, factors[:, 1:2])


def test_what_there_is_nothing_to_learn_from():
    for probe, answers in ((linear, LABELS), (probe_logistic, LABELS), (attributes, LABELS[:, None])):
        for held_out in (np.ones(480, bool), np.zeros(480, bool)):
            with pytest.raises(Skip, match="held-out rows"):
                probe(CODES, answers, held_out)
    for probe in (linear, probe_logistic):
        with pytest.raises(Skip, match="of one class"):
            probe(CODES, np.zeros(480, int), HELD_OUT)


def test_the_seed_decides_and_is_kept_with_the_score():
    inputs = Inputs(codes=noise(3), labels=LABELS, held_out=HELD_OUT)
    first, again, other = (
        evaluate_metrics({"probe_linear": partial(probe_linear, epochs=5)}, inputs, seed=seed, repeats=2)
        for seed in (1, 1, 2)
    )
    assert first.values == again.values != other.values
    assert {"eval/probe_linear", "eval/probe_linear/test_acc", "eval/probe_linear/majority"} <= first.values.keys()
    told = {"epochs": 5, "batch": 128, "lr": 1e-3, "rows": 480, "seed": 1, "repeats": 2}
    assert first.protocols["probe_linear"].items() >= told.items()
