"""Plug-in entropies and mutual informations of integer columns, in nats, and the gap that MIG and SAP share.

From n rows, I is estimated too large by about (A - 1)(B - 1) / 2n for A and B occupied cells, so scores compare at
equal n only.
"""

import numpy as np
from scipy.special import entr


def discretise(codes: np.ndarray, bins: int) -> np.ndarray:
    """Replace the values (N, D) of each column by bins of equal width from its minimum to its maximum, 0 … bins - 1.

    The maximum belongs to the last bin, and a constant column is in a single bin. An outlier leaves few bins for the
    other values.
    """
    columns = [np.asarray(column, dtype=np.float64) for column in codes.T]
    return np.stack([np.digitize(x, np.histogram_bin_edges(x, bins)[:-1]) - 1 for x in columns], axis=1)


def entropy(counts: np.ndarray) -> np.ndarray:
    """Return H = -Σ p ln p over the last axis, with p the counts divided by their sum."""
    return entr(counts / counts.sum(axis=-1, keepdims=True)).sum(axis=-1)


def factor_entropies(factors: np.ndarray) -> np.ndarray:
    """Return H(v_k) of the levels (N, K) of every factor, (K,)."""
    return np.array([entropy(np.bincount(column)) for column in factors.T])


def mutual_information(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return I(x_i; y_k) = H(x_i) + H(y_k) - H(x_i, y_k), (D, K), for all columns of integers x (N, D) and y (N, K)."""
    d, a = x.shape[1], int(x.max()) + 1
    offset_x = x + np.arange(d) * a  # Every column of x is counted in a block of its own.
    information = np.empty((d, y.shape[1]))
    for k, column in enumerate(y.T):
        b = int(column.max()) + 1
        joint = np.bincount((offset_x * b + column[:, None]).ravel(), minlength=d * a * b).reshape(d, a, b)
        information[:, k] = entropy(joint.sum(axis=2)) + entropy(joint.sum(axis=1)) - entropy(joint.reshape(d, a * b))
    return np.maximum(information, 0.0)


def gap(table: np.ndarray) -> np.ndarray:
    """Return the largest minus the second largest entry of every column of a table (D, K), with D >= 2."""
    ranked = np.sort(table, axis=0)
    return ranked[-1] - ranked[-2]
