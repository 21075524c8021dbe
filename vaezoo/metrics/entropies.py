"""Plug-in entropies and mutual informations of integer columns, in nats, and the gap that MIG and SAP share.

The estimate from n rows is biased upwards, I by about (A - 1)(B - 1) / 2n for A and B occupied cells: compare scores at
equal n only. Everything here counts and takes logarithms in float64.
"""

import numpy as np
from scipy.special import xlogy


def discretise(codes: np.ndarray, bins: int) -> np.ndarray:
    """Each column cut into bins of equal width between its own minimum and maximum, numbered 0 … bins - 1.

    The maximum belongs to the last bin; a constant column falls into one. One outlier squeezes all others together.
    """
    columns = [np.asarray(column, dtype=np.float64) for column in codes.T]
    return np.stack([np.digitize(x, np.histogram_bin_edges(x, bins)[:-1]) - 1 for x in columns], axis=1)


def entropy(counts: np.ndarray) -> np.ndarray:
    """H = -Σ p ln p over the last axis, p being the counts divided by their sum."""
    p = counts / counts.sum(axis=-1, keepdims=True)
    return -xlogy(p, p).sum(axis=-1)


def factor_entropies(factors: np.ndarray) -> np.ndarray:
    """H(v_k) of every column of (N, K) levels."""
    return np.array([entropy(np.bincount(column)) for column in factors.T])


def mutual_information(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """I(x_i; y_k) = H(x_i) + H(y_k) - H(x_i, y_k) for all columns of (N, D) and (N, K) integers, as a (D, K) matrix."""
    d, a = x.shape[1], int(x.max()) + 1
    offset_x = x + np.arange(d) * a  # every column of x counts in a block of its own
    information = np.empty((d, y.shape[1]))
    for k, column in enumerate(y.T):
        b = int(column.max()) + 1
        joint = np.bincount((offset_x * b + column[:, None]).ravel(), minlength=d * a * b).reshape(d, a, b)
        information[:, k] = entropy(joint.sum(axis=2)) + entropy(joint.sum(axis=1)) - entropy(joint.reshape(d, a * b))
    return np.maximum(information, 0.0)


def gap(table: np.ndarray) -> np.ndarray:
    """Largest minus second largest entry of every column of a (D, K) table: how far one code leads the others."""
    ranked = np.sort(table, axis=0)
    return ranked[-1] - ranked[-2]
