"""Binary attributes predicted from codes: from all codes along one vector, and from the single best code.

Kumar, Sattigeri & Balakrishnan, "Variational inference of disentangled latent concepts from unlabeled observations",
ICLR 2018, tables 2 to 4. Only factors with the two levels 0 and 1 are attributes.
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
    """Predict each attribute y_k along the vector between two mean codes (table 2 of the paper).

    The rows that are not `held_out` (N,) train,

        w_k = mean(z | y_k = 1) - mean(z | y_k = 0)                not normalised
        b_k = argmin_b Σ_i max(0, 1 - t_i (w_k · z_i + b)),        t = ±1

    and a held-out row is predicted to have the attribute where w_k · z + b_k >= 0. Small codes are all inside the
    margin, and then the best b_k gives the more frequent answer to all of them. So read every accuracy beside
    `majority`, the rate of that answer among held-out rows, and `balanced`, the mean accuracy of both answers.

    Scores are means over attributes, shares in [0, 1]; arrays are (K,), and `vectors` (K, D).
    """
    columns = binary_columns(factors[~held_out])
    train, test = (factors[rows][:, columns] == 1 for rows in (~held_out, held_out))
    vectors = mean_differences(codes[~held_out], train)
    biases = hinge_biases(codes[~held_out] @ vectors.T, train)
    correct = (codes[held_out] @ vectors.T + biases >= 0) == test
    shares = {
        "accuracy": correct.mean(axis=0),
        "majority": (test == (train.mean(axis=0) > 0.5)).mean(axis=0),
        "balanced": balanced_accuracies(correct, test),
    }
    result: Result = {f"attributes_{name}": float(values.mean()) for name, values in shares.items()}
    arrays = {"vectors": vectors, "biases": biases, "names": name_columns(columns, factor_names)}
    return {**result, **shares, **arrays}


def binary_columns(factors: np.ndarray) -> np.ndarray:
    """Return the columns of factors (N, K) whose smallest level is 0 and whose largest is 1."""
    columns = np.flatnonzero((factors.min(axis=0) == 0) & (factors.max(axis=0) == 1))
    if not columns.size:
        raise Skip("the data set has no binary attributes among its factors")
    return columns


def name_columns(columns: np.ndarray, names: Sequence[str]) -> np.ndarray:
    """Return the names of columns, or their numbers as texts where there are no names."""
    return np.array([names[k] if names else str(k) for k in columns])


def mean_differences(codes: np.ndarray, yes: np.ndarray) -> np.ndarray:
    """Return the mean code of the rows with each attribute minus that of the rows without it, (K, D)."""
    codes = codes.astype(np.float64)
    counts, sums = yes.sum(axis=0)[:, None], yes.T.astype(np.float64) @ codes
    return sums / counts - (codes.sum(axis=0) - sums) / (len(codes) - counts)


def hinge_biases(scores: np.ndarray, yes: np.ndarray) -> np.ndarray:
    """Return the b (K,) that minimise the summed hinge loss of scores + b; scores and yes are (N, K).

    The loss is convex and piecewise linear in b. Far on the left its slope is -P, with P the number of rows with a yes;
    each row raises the slope by 1, at b = t - score. So the minimum lies between bends P and P + 1, and the middle of
    that interval is returned.
    """
    bends = np.sort(np.where(yes, 1.0, -1.0) - scores, axis=0)
    positive = yes.sum(axis=0)
    columns = np.arange(yes.shape[1])
    return (bends[positive - 1, columns] + bends[positive, columns]) / 2


def balanced_accuracies(correct: np.ndarray, yes: np.ndarray) -> np.ndarray:
    """Return the mean of the accuracies among rows with and without each attribute, (K,).

    Where all rows have the same answer, it is the accuracy among these.
    """
    answers = np.stack([yes, ~yes])  # (2, N, K)
    counts = answers.sum(axis=1)
    return ((answers & correct).sum(axis=1) / np.maximum(counts, 1)).sum(axis=0) / (counts > 0).sum(axis=0)


@Better()
def top_attributes(
    test_codes: np.ndarray,
    test_factors: np.ndarray,
    factor_names: Sequence[str],
    *,
    attributes: Sequence[str] | None = ("Bangs", "Rosy_Cheeks"),
    others: int = 4,
) -> Result:
    """Find the best code of an attribute and the other attributes that correlate with it (tables 3 and 4).

    For each of A `attributes` (None: all), `latents` (A,) are the codes with the largest |r|, `columns` (A, others + 1)
    the factors with the largest |r| with that code, the attribute itself first, and `correlations` (A, others + 1) r.
    """
    columns = binary_columns(test_factors)
    names = [factor_names[k] for k in columns]
    rows = [i for i, name in enumerate(names) if attributes is None or name in attributes]
    if not rows:
        raise Skip(
            f"the data set has no attribute {' or '.join(attributes or ())}; "
            "metric.scores.top_attributes.attributes=null takes all"
        )
    r = pearson(test_codes, test_factors[:, columns])[test_codes.shape[1] :, : test_codes.shape[1]]  # (K, D)
    latents = np.abs(r[rows]).argmax(axis=1)
    correlations = r[:, latents].T  # (A, K)
    sizes = np.abs(correlations)
    sizes[np.arange(len(rows)), rows] = np.inf  # The attribute itself comes first.
    order = np.argsort(-sizes, axis=1, kind="stable")[:, : others + 1]
    return {
        "latents": latents,
        "columns": columns[order],
        "correlations": np.take_along_axis(correlations, order, axis=1),
    }
