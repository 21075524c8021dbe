"""How well classes and attributes are read off codes by a linear classifier; shares in [0, 1].

Each learns from the rows that are not held out and is judged by those that are. `majority` is what "always the most
frequent class of the former" gets.

`probe_linear` is one linear layer trained as papers report it: softmax and cross-entropy on the codes as they are, Adam
(Kingma & Ba, ICLR 2015) on batches of 128 for 50 epochs, judged as it is after the last. First weights and biases are
uniform in ±1/√D. Codes on a small scale are learned slowly, so this is no bound on what they hold.
`probe_attributes` is the same layer with a sigmoid for each binary attribute; its scores are means over attributes.
`probe_logistic` shows what more there is: softmax regression on standardised codes, fitted to convergence.
"""

from collections.abc import Callable, Sequence

import numpy as np
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from vaezoo.metrics.attributes import binary, named
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
    """Codes (N, D), labels (N,), and which rows are held out, (N,) booleans."""
    y = classes_to_learn(labels, held_out)
    targets = np.eye(y.max() + 1, dtype=bool)[y]
    layer = trained(codes[~held_out], targets, softmax, rng, epochs, batch, lr)
    return judged(logits(codes, layer).argmax(axis=1), labels, held_out)


@Better(higher=("score", "test_acc"))
def probe_logistic(codes: np.ndarray, labels: np.ndarray, held_out: np.ndarray, *, C: float = 1.0) -> Result:
    """Codes (N, D), labels (N,), and which rows are held out, (N,) booleans."""
    y = classes_to_learn(labels, held_out)
    x, everything = standardise(codes[~held_out], codes)
    classifier = LogisticRegression(C=C, solver="lbfgs", tol=1e-4, max_iter=1_000).fit(x, y)
    return judged(classifier.predict(everything), labels, held_out)


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
    """Means over attributes, and all of them as arrays (K,). Factors (N, K); those of levels 0 and 1 are attributes."""
    both_parts(held_out)
    chosen = binary(factors[~held_out])
    true = factors[:, chosen] == 1
    layer = trained(codes[~held_out], true[~held_out], expit, rng, epochs, batch, lr)
    right = (logits(codes, layer) >= 0) == true
    usual = true == (true[~held_out].mean(axis=0) > 0.5)
    return {
        **shares(right, usual, held_out),
        "accuracy": right[held_out].mean(axis=0),
        "majority_rate": usual[held_out].mean(axis=0),
        "names": named(chosen, factor_names),
    }


def both_parts(held_out: np.ndarray) -> None:
    if held_out.all() or not held_out.any():
        raise Skip("it needs rows to learn from and held-out rows to be judged by")


def classes_to_learn(labels: np.ndarray, held_out: np.ndarray) -> np.ndarray:
    both_parts(held_out)
    y = labels[~held_out]
    if (y == y[0]).all():
        raise Skip("the rows to learn from are of one class")
    return y


def judged(found: np.ndarray, labels: np.ndarray, held_out: np.ndarray) -> Result:
    return shares(found == labels, labels == np.bincount(labels[~held_out]).argmax(), held_out)


def shares(right: np.ndarray, usual: np.ndarray, held_out: np.ndarray) -> Result:
    """Of answers, (N,) or (N, K), that are `right`, and that would be if they were the most frequent one."""
    accuracy = float(right[held_out].mean())
    return {
        "score": accuracy,
        "test_acc": accuracy,
        "train_acc": float(right[~held_out].mean()),
        "majority": float(usual[held_out].mean()),
    }


def trained(
    codes: np.ndarray,
    targets: np.ndarray,
    predict: Callable[[np.ndarray], np.ndarray],
    rng: np.random.Generator,
    epochs: int,
    batch: int,
    lr: float,
) -> np.ndarray:
    """Weights and, in the last row, biases (D + 1, K) for targets (N, K), booleans.

    Softmax and sigmoid have the same gradient in a batch: xᵀ (prediction - target), divided by its rows.
    """
    x = with_ones(codes)
    bound = 1 / np.sqrt(codes.shape[1])
    layer = rng.uniform(-bound, bound, (x.shape[1], targets.shape[1]))
    mean, square = np.zeros_like(layer), np.zeros_like(layer)
    step = 0
    for _ in range(epochs):
        order = rng.permutation(len(x))
        for start in range(0, len(x), batch):
            rows = order[start : start + batch]
            some = x[rows]
            gradient = some.T @ (predict(some @ layer) - targets[rows]) / len(rows)
            step += 1
            mean += 0.1 * (gradient - mean)
            square += 0.001 * (gradient**2 - square)
            layer -= lr * mean / (1 - 0.9**step) / (np.sqrt(square / (1 - 0.999**step)) + 1e-8)
    return layer


def with_ones(codes: np.ndarray) -> np.ndarray:
    return np.hstack([codes, np.ones((len(codes), 1))])


def logits(codes: np.ndarray, layer: np.ndarray) -> np.ndarray:
    return with_ones(codes) @ layer


def softmax(z: np.ndarray) -> np.ndarray:
    p = np.exp(z - z.max(axis=1, keepdims=True))
    return p / p.sum(axis=1, keepdims=True)
