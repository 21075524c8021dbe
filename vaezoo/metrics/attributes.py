"""Binary attributes read from codes: along the vector between both means, and by the code that goes with each best.

Kumar, Sattigeri & Balakrishnan, "Variational inference of disentangled latent concepts from unlabeled observations",
ICLR 2018, table 2. For each attribute k of the training rows,

    w_k = mean(z | y_k = 1) - mean(z | y_k = 0)                not normalised
    b_k = argmin_b Σ_i max(0, 1 - t_i (w_k · z_i + b)),        t = ±1

and w_k · z + b_k >= 0 says yes to a test row. With small codes everybody is inside the margin, and the best b_k is the
one that gives the more frequent answer to all: read every accuracy beside `majority`, its rate in the test rows, and
`balanced`, the mean of the accuracies of both answers.

`top_attributes` is their tables 3 and 4: of the code with the largest |r| with an attribute, the other attributes with
which it correlates most. Only columns of two levels, 0 and 1, are attributes.
"""

from collections.abc import Sequence

import numpy as np

from vaezoo.metrics.correlations import pearson
from vaezoo.metrics.directions import Better
from vaezoo.metrics.protocol import Result, Skip


@Better(higher=("attributes_accuracy", "attributes_balanced"), repeated=("attributes_accuracy",))
def attribute_vectors(
    codes: np.ndarray,
    factors: np.ndarray,
    held_out: np.ndarray,
    factor_names: Sequence[str] = (),
) -> Result:
    """Means over attributes, and all of them as arrays (K,); `vectors` are (K, D). Rows not `held_out` (N,) train."""
    chosen = binary(factors[~held_out])
    yes, true = (factors[rows][:, chosen] == 1 for rows in (~held_out, held_out))
    vectors = mean_differences(codes[~held_out], yes)
    biases = hinge_biases(codes[~held_out] @ vectors.T, yes)
    right = (codes[held_out] @ vectors.T + biases >= 0) == true
    found = {
        "accuracy": right.mean(axis=0),
        "majority": (true == (yes.mean(axis=0) > 0.5)).mean(axis=0),
        "balanced": balanced(right, true),
    }
    result: Result = {f"attributes_{name}": float(values.mean()) for name, values in found.items()}
    arrays = {"vectors": vectors, "biases": biases, "names": named(chosen, factor_names)}
    return {**result, **found, **arrays}


def binary(factors: np.ndarray) -> np.ndarray:
    """Which columns have the levels 0 and 1, both."""
    chosen = np.flatnonzero((factors.min(axis=0) == 0) & (factors.max(axis=0) == 1))
    if not chosen.size:
        raise Skip("the data set has no binary attributes among its factors")
    return chosen


def named(columns: np.ndarray, names: Sequence[str]) -> np.ndarray:
    return np.array([names[k] if names else str(k) for k in columns])


def mean_differences(codes: np.ndarray, yes: np.ndarray) -> np.ndarray:
    """(K, D): the mean code of the rows with each attribute, less that of the rows without it."""
    codes = codes.astype(np.float64)
    counts, sums = yes.sum(axis=0)[:, None], yes.T.astype(np.float64) @ codes
    return sums / counts - (codes.sum(axis=0) - sums) / (len(codes) - counts)


def hinge_biases(scores: np.ndarray, yes: np.ndarray) -> np.ndarray:
    """(K,): the middle of all b that minimise the summed hinge loss of scores + b; both are (N, K).

    The loss is convex and piecewise linear in b. Each row bends it once, at b = t - s, where the slope grows by 1; far
    on the left it is minus the number P of rows with a yes. So it is flat between bends P and P + 1.
    """
    bends = np.sort(np.where(yes, 1.0, -1.0) - scores, axis=0)
    positive = yes.sum(axis=0)
    columns = np.arange(yes.shape[1])
    return (bends[positive - 1, columns] + bends[positive, columns]) / 2


def balanced(right: np.ndarray, true: np.ndarray) -> np.ndarray:
    """(K,): the mean of the accuracies among rows with and without an attribute; of one alone, where all rows agree."""
    both = np.stack([true, ~true])  # (2, N, K)
    counts = both.sum(axis=1)
    return ((both & right).sum(axis=1) / np.maximum(counts, 1)).sum(axis=0) / (counts > 0).sum(axis=0)


def top_attributes(
    test_codes: np.ndarray,
    test_factors: np.ndarray,
    factor_names: Sequence[str],
    *,
    attributes: Sequence[str] | None = ("Bangs", "Rosy_Cheeks"),
    others: int = 4,
) -> Result:
    """For each of A `attributes` (None: all) its code, `latents` (A,), and what goes with that, itself first: `columns`
    (A, others + 1) of the factors, and `correlations`, their r with the code."""
    known = binary(test_factors)
    known_names = [factor_names[k] for k in known]
    rows = [i for i, name in enumerate(known_names) if attributes is None or name in attributes]
    if not rows:
        raise Skip(
            f"the data set has no attribute {' or '.join(attributes or ())}; "
            "metric.scores.top_attributes.attributes=null takes all"
        )
    r = pearson(test_codes, test_factors[:, known])[test_codes.shape[1] :, : test_codes.shape[1]]  # (K, D)
    latent = np.abs(r[rows]).argmax(axis=1)
    of_latent = r[:, latent].T  # (A, K)
    size = np.abs(of_latent)
    size[np.arange(len(rows)), rows] = np.inf
    order = np.argsort(-size, axis=1, kind="stable")[:, : others + 1]
    return {
        "latents": latent,
        "columns": known[order],
        "correlations": np.take_along_axis(of_latent, order, axis=1),
    }
