"""The accuracy of linear classifiers that predict classes and attributes from codes; shares in [0, 1].

Each classifier learns from the rows that are not held out and is scored on the held-out rows. `majority` is the
accuracy of always predicting the most frequent class of the rows to learn from.
"""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
from scipy.special import expit, softmax
from sklearn.linear_model import LogisticRegression

from vaezoo.metrics.attributes import binary_columns, name_columns
from vaezoo.metrics.directions import Better
from vaezoo.metrics.predictors import standardise
from vaezoo.metrics.protocol import Result, Skip


@Better(higher=("score", "test_acc"))
def probe_linear(
    codes: np.ndarray,
    labels: np.ndarray,
    held_out: np.ndarray,
    rng: np.random.Generator,
    *,
    epochs: int = 50,
    batch: int = 128,
    lr: float = 1e-3,
) -> Result:
    """Train one linear layer to predict labels (N,) from codes (N, D) by softmax and cross-entropy.

    Codes are used as they are, and the layer is scored as it is after the last of `epochs`, as papers report it. Codes
    on a small scale are learned slowly, so the score is no upper bound; `probe_logistic` is closer to one.
    """
    y = training_labels(labels, held_out)
    targets = np.eye(y.max() + 1, dtype=bool)[y]
    layer = train_layer(codes[~held_out], targets, partial(softmax, axis=1), rng, epochs, batch, lr)
    return score_classes(logits(codes, layer).argmax(axis=1), labels, held_out)


@Better(higher=("score", "test_acc"))
def probe_logistic(codes: np.ndarray, labels: np.ndarray, held_out: np.ndarray, *, C: float = 1.0) -> Result:
    """Fit softmax regression to labels (N,) and standardised codes (N, D) until it converges."""
    y = training_labels(labels, held_out)
    x, all_rows = standardise(codes[~held_out], codes)
    classifier = LogisticRegression(C=C, solver="lbfgs", tol=1e-4, max_iter=1_000).fit(x, y)
    return score_classes(classifier.predict(all_rows), labels, held_out)


@Better(higher=("score", "test_acc"))
def probe_attributes(
    codes: np.ndarray,
    factors: np.ndarray,
    held_out: np.ndarray,
    rng: np.random.Generator,
    factor_names: Sequence[str] = (),
    *,
    epochs: int = 50,
    batch: int = 128,
    lr: float = 1e-3,
) -> Result:
    """Train one linear layer as `probe_linear` does, with a sigmoid for each binary attribute.

    Attributes are the factors (N, K) with levels 0 and 1. Scores are means over attributes; arrays are (K,).
    """
    check_parts(held_out)
    columns = binary_columns(factors[~held_out])
    yes = factors[:, columns] == 1
    layer = train_layer(codes[~held_out], yes[~held_out], expit, rng, epochs, batch, lr)
    correct = (logits(codes, layer) >= 0) == yes
    frequent = yes == (yes[~held_out].mean(axis=0) > 0.5)
    return {
        **score_answers(correct, frequent, held_out),
        "accuracy": correct[held_out].mean(axis=0),
        "majority_rate": frequent[held_out].mean(axis=0),
        "names": name_columns(columns, factor_names),
    }


def check_parts(held_out: np.ndarray) -> None:
    """Skip the metric unless there are rows to learn from and held-out rows."""
    if held_out.all() or not held_out.any():
        raise Skip("it needs rows to learn from and held-out rows to be judged by")


def training_labels(labels: np.ndarray, held_out: np.ndarray) -> np.ndarray:
    """Return the labels of the rows to learn from; skip the metric where they are all the same."""
    check_parts(held_out)
    y = labels[~held_out]
    if (y == y[0]).all():
        raise Skip("the rows to learn from are of one class")
    return y


def score_classes(predictions: np.ndarray, labels: np.ndarray, held_out: np.ndarray) -> Result:
    """Compare predicted classes (N,) with the labels (N,)."""
    return score_answers(predictions == labels, labels == np.bincount(labels[~held_out]).argmax(), held_out)


def score_answers(correct: np.ndarray, frequent: np.ndarray, held_out: np.ndarray) -> Result:
    """Return the shares of answers, (N,) or (N, K), that are correct, and where the most frequent answer would be."""
    accuracy = float(correct[held_out].mean())
    return {
        "score": accuracy,
        "test_acc": accuracy,
        "train_acc": float(correct[~held_out].mean()),
        "majority": float(frequent[held_out].mean()),
    }


def train_layer(
    codes: np.ndarray,
    targets: np.ndarray,
    predict: Callable[[np.ndarray], np.ndarray],
    rng: np.random.Generator,
    epochs: int,
    batch: int,
    lr: float,
) -> np.ndarray:
    """Train the weights and, in the last row, the biases (D + 1, K) of a layer for boolean targets (N, K).

    Adam (Kingma & Ba, ICLR 2015) minimises the cross-entropy. For softmax and for sigmoid its gradient in a batch is
    xᵀ (prediction - target) divided by the number of rows. Weights and biases begin uniform in ±1/√D.
    """
    x = append_ones(codes)
    bound = 1 / np.sqrt(codes.shape[1])
    layer = rng.uniform(-bound, bound, (x.shape[1], targets.shape[1]))
    mean, square = np.zeros_like(layer), np.zeros_like(layer)
    step = 0
    for _ in range(epochs):
        order = rng.permutation(len(x))
        for start in range(0, len(x), batch):
            rows = order[start : start + batch]
            inputs = x[rows]
            gradient = inputs.T @ (predict(inputs @ layer) - targets[rows]) / len(rows)
            step += 1
            mean += 0.1 * (gradient - mean)
            square += 0.001 * (gradient**2 - square)
            layer -= lr * mean / (1 - 0.9**step) / (np.sqrt(square / (1 - 0.999**step)) + 1e-8)
    return layer


def append_ones(codes: np.ndarray) -> np.ndarray:
    """Append a column of ones, which the biases multiply."""
    return np.hstack([codes, np.ones((len(codes), 1))])


def logits(codes: np.ndarray, layer: np.ndarray) -> np.ndarray:
    """Return the outputs (N, K) of a layer (D + 1, K)."""
    return append_ones(codes) @ layer
