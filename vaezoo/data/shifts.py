"""Factor shifts: training parts without some combinations of factors, or in which two factors are correlated.

Studies of generalisation train on some rows of a factor grid and score on all of them. The training part is a subset:
an epoch contains each of its images once, and estimators that need the number of training images get its size.
"""

import ast
import logging
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from vaezoo.config.conditions import Condition, Correlation, read_condition
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
    ast.NotIn: lambda classes, numbers: ~np.isin(classes, numbers),
}


def select_rows(
    factors: np.ndarray | None,
    names: Sequence[str],
    where: Condition | None,
    correlate: Correlation | None,
    seed: int,
) -> np.ndarray | None:
    """Return which rows may train, (N,) bool; None where neither `where` nor `correlate` is set.

    `factors` are the classes (N, K) of the factors `names`. `where` is a condition on them, `correlate` are the options
    of `draw_correlated`, which draws with `seed`. Raises UserError where there are no factors, where one of them does
    not exist, where the condition cannot be read, and where no row is left.
    """
    if where is None and correlate is None:
        return None
    if factors is None:
        raise UserError("dataset.where and dataset.correlate need ground-truth factors; this data set has none.")
    columns = {re.sub(r"\W|^(?=\d)", "_", name): column for name, column in zip(names, factors.T, strict=True)}
    rows = np.ones(len(factors), dtype=bool)
    if where is not None:
        rows &= evaluate_condition(where, columns)
        if rows.all():
            log.warning("dataset.where=%s: every image satisfies it, so nothing is held out.", where)
    if correlate is not None:
        rows &= draw_correlated(columns, **correlate, seed=seed)
    if not rows.any():
        settings = {"where": where, "correlate": correlate}
        raise UserError(f"No image is left by {' and '.join(f'dataset.{k}={v}' for k, v in settings.items() if v)}.")
    return rows


def evaluate_condition(where: str, columns: Mapping[str, np.ndarray]) -> np.ndarray:
    """Return for which rows the condition holds, (N,) bool; `columns` are the classes (N,) of each factor by name."""

    def value_of(node: ast.expr) -> Any:
        if isinstance(node, ast.Name):
            return find_column(columns, node.id, f"dataset.where={where}")
        return ast.literal_eval(node)

    def evaluate(node: ast.expr) -> np.ndarray:
        match node:
            case ast.BoolOp(op=op, values=parts):
                together = np.logical_and if isinstance(op, ast.And) else np.logical_or
                return together.reduce([evaluate(part) for part in parts])
            case ast.UnaryOp(operand=part):
                return ~evaluate(part)
            case ast.Compare(left=left, ops=ops, comparators=right):
                values = [value_of(term) for term in (left, *right)]
                pairs = zip(ops, values[:-1], values[1:], strict=True)  # a < b < c means a < b and b < c.
                return np.logical_and.reduce([COMPARISONS[type(op)](a, b) for op, a, b in pairs])
        raise AssertionError(ast.dump(node))

    try:
        tree = read_condition(where)
    except ValueError as error:
        raise UserError(f"dataset.where={where}: {error}") from None
    return evaluate(tree)


def draw_correlated(columns: Mapping[str, np.ndarray], factors: Sequence[str], sigma: float, seed: int) -> np.ndarray:
    """Return rows in which two factors are correlated, drawn at random, (N,) bool: the smaller `sigma`, the more.

    Träuble et al., "On disentangled representations learned from correlated data", ICML 2021, section 3: in classes
    c = 0 ... c_max, p(c1, c2) ∝ exp(-(c1 - α c2)² / 2σ²), where α maps the range of c2 onto that of c1 and σ is stated
    as a share of that range. Here both classes are scaled to [0, 1], which makes α 1 and σ the same share:

        p(c1, c2) ∝ exp(-(c1 / c1_max - c2 / c2_max)² / 2σ²)

    A row stays with probability p / max p. The paper, in contrast, draws images from p anew for every batch.
    """
    first, second = (scale_classes(find_column(columns, name, "dataset.correlate")) for name in factors)
    exponent = -np.square(first - second) / (2 * sigma**2)
    probability = np.exp(exponent - exponent.max())
    return np.random.default_rng(derive(seed, "correlate")).random(len(probability)) < probability


def scale_classes(classes: np.ndarray) -> np.ndarray:
    """Return classes (N,) divided by the largest one, in [0, 1]."""
    return classes / max(int(classes.max()), 1)


def find_column(columns: Mapping[str, np.ndarray], name: str, setting: str) -> np.ndarray:
    """Return the classes (N,) of a factor. Raises UserError, which begins with `setting`, where there is none."""
    if name not in columns:
        raise UserError(f"{setting}: there is no factor '{name}'.{nearest(name, columns)} Known: {', '.join(columns)}.")
    return columns[name]
