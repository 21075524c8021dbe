"""How well the class of an image can be read off its code by a linear classifier; shares in [0, 1].

One softmax regression on frozen codes, fitted to convergence by scikit-learn on the rows that are not held out and
judged by those that are. Codes are standardised by the training rows. `majority` is what "always the most frequent
class" gets. A classifier trained for a few epochs without standardising, as papers report it, reads a little lower.
"""

import numpy as np
from sklearn.linear_model import LogisticRegression

from vaezoo.metrics.predictors import standardise
from vaezoo.metrics.protocol import Result, Skip


def probe_linear(codes: np.ndarray, labels: np.ndarray, held_out: np.ndarray, *, C: float = 1.0) -> Result:
    """Codes (N, D), labels (N,), and which rows are held out, (N,) booleans."""
    y, y_test = labels[~held_out], labels[held_out]
    if len(y) == 0 or len(y_test) == 0:
        raise Skip("it needs rows to learn from and held-out rows to be judged by")
    if (y == y[0]).all():
        raise Skip("the rows to learn from are of one class")
    x, x_test = standardise(codes[~held_out], codes[held_out])
    classifier = LogisticRegression(C=C, solver="lbfgs", tol=1e-4, max_iter=1_000).fit(x, y)
    accuracy = float(classifier.score(x_test, y_test))
    return {
        "score": accuracy,
        "test_acc": accuracy,
        "train_acc": float(classifier.score(x, y)),
        "majority": float((y_test == np.bincount(y).argmax()).mean()),
    }
