"""Factor shifts: a training part that lacks combinations of factors, or in which two factors go together.

Studies of what a model makes of such data train on some rows of a factor grid and score on all of them. What is left
is a subset: an epoch shows each of its images once, and estimators that need the number of training images know it.
"""

import ast
import logging
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from vaezoo.config.conditions import read_condition
from vaezoo.errors import UserError, nearest
from vaezoo.seeds import derive

log = logging.getLogger(__name__)


COMPARISONS: dict[type[ast.cmpop], Callable[[Any, Any], np.ndarray]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.In: np.isin,
    ast.NotIn: lambda classes, listed: ~np.isin(classes, listed),
}


def shifted(
    factors: np.ndarray | None,
    names: Sequence[str],
    where: str | None,
    correlate: Mapping[str, Any] | None,
    seed: int,
) -> np.ndarray | None:
    """Which rows may train, (N,) bool; None where nothing is asked for. `seed` draws those that `correlate` keeps."""
    if where is None and correlate is None:
        return None
    if factors is None:
        raise UserError("dataset.where and dataset.correlate need ground-truth factors; this data set has none.")
    columns = {re.sub(r"\W|^(?=\d)", "_", name): column for name, column in zip(names, factors.T, strict=True)}
    rows = np.ones(len(factors), dtype=bool)
    if where is not None:
        rows &= satisfied(where, columns)
        if rows.all():
            log.warning("dataset.where=%s: every image satisfies it, so nothing is held out.", where)
    if correlate is not None:
        rows &= correlated(columns, **correlate, seed=seed)
    if not rows.any():
        asked = {"where": where, "correlate": correlate}
        raise UserError(f"No image is left by {' and '.join(f'dataset.{k}={v}' for k, v in asked.items() if v)}.")
    return rows


def satisfied(where: str, columns: Mapping[str, np.ndarray]) -> np.ndarray:
    """Which rows the condition holds for, (N,) bool; `columns` are the classes (N,) of each factor."""

    def value(node: ast.expr) -> Any:
        if isinstance(node, ast.Name):
            return column(columns, node.id, f"dataset.where={where}")
        return ast.literal_eval(node)

    def holds(node: ast.expr) -> np.ndarray:
        match node:
            case ast.BoolOp(op=op, values=parts):
                together = np.logical_and if isinstance(op, ast.And) else np.logical_or
                return together.reduce([holds(part) for part in parts])
            case ast.UnaryOp(operand=part):
                return ~holds(part)
            case ast.Compare(left=left, ops=ops, comparators=right):
                terms = [value(term) for term in (left, *right)]
                pairs = zip(ops, terms[:-1], terms[1:], strict=True)  # a < b < c is a < b and b < c
                return np.logical_and.reduce([COMPARISONS[type(op)](a, b) for op, a, b in pairs])
        raise AssertionError(ast.dump(node))

    try:
        tree = read_condition(where)
    except ValueError as error:
        raise UserError(f"dataset.where={where}: {error}") from None
    return holds(tree)


def correlated(columns: Mapping[str, np.ndarray], factors: Sequence[str], sigma: float, seed: int) -> np.ndarray:
    """Rows drawn so that two factors go together, (N,) bool: the smaller `sigma`, the closer.

    Träuble et al., "On disentangled representations learned from correlated data", ICML 2021, section 3: in classes
    c = 0 ... c_max, p(c1, c2) ∝ exp(-(c1 - α c2)² / 2σ²), where α maps the range of c2 onto that of c1 and σ is told
    as a share of that range. Here both classes are scaled to [0, 1], which makes α 1 and σ the same share:

        p(c1, c2) ∝ exp(-(c1 / c1_max - c2 / c2_max)² / 2σ²)

    A row is kept with probability p / max p. The paper draws images from p anew for every batch.
    """
    first, second = (scaled(column(columns, name, "dataset.correlate")) for name in factors)
    exponent = -np.square(first - second) / (2 * sigma**2)
    chance = np.exp(exponent - exponent.max())
    return np.random.default_rng(derive(seed, "correlate")).random(len(chance)) < chance


def scaled(classes: np.ndarray) -> np.ndarray:
    return classes / max(int(classes.max()), 1)


def column(columns: Mapping[str, np.ndarray], name: str, asked: str) -> np.ndarray:
    if name not in columns:
        raise UserError(f"{asked}: there is no factor '{name}'.{nearest(name, columns)} Known: {', '.join(columns)}.")
    return columns[name]
