"""Conditions on factors, such as 'shape != 2 or scale < 3', and correlations of factors, read before any data."""

import ast
from collections.abc import Mapping
from typing import Annotated, Any

from vaezoo.ranges import are_names, require

COMPARISONS = (ast.Eq, ast.NotEq, ast.Lt, ast.LtE, ast.Gt, ast.GtE, ast.In, ast.NotIn)
GRAMMAR = "It compares factors with whole numbers, as in 'shape != 2 or scale < 3', 'not (shape in [0, 1] and x > 9)'."


def read_condition(where: str) -> ast.expr:
    """Return the condition as a tree of comparisons, `and`, `or` and `not`. Raises ValueError for anything else."""
    try:
        tree = ast.parse(where, mode="eval").body
    except (SyntaxError, ValueError) as error:
        raise ValueError(f"cannot be read. {GRAMMAR}") from error

    def check(node: ast.expr) -> None:
        match node:
            case ast.BoolOp(values=parts):
                for part in parts:
                    check(part)
            case ast.UnaryOp(op=ast.Not(), operand=part):
                check(part)
            case ast.Compare(ops=ops, comparators=right, left=left):
                for op, value in zip(ops, right, strict=True):
                    fits = is_list(value) if isinstance(op, ast.In | ast.NotIn) else is_term(value)
                    if not isinstance(op, COMPARISONS) or not fits:
                        raise ValueError(f"'{ast.unparse(node)}' is no comparison that it knows. {GRAMMAR}")
                if not is_term(left) or not any(isinstance(term, ast.Name) for term in (left, *right)):
                    raise ValueError(f"'{ast.unparse(node)}' compares no factor. {GRAMMAR}")
            case _:
                raise ValueError(f"'{ast.unparse(node)}' is no comparison. {GRAMMAR}")

    check(tree)
    return tree


def is_term(node: ast.expr) -> bool:
    """Return whether the node is a factor or a whole number."""
    return isinstance(node, ast.Name) or is_number(node)


def is_list(node: ast.expr) -> bool:
    """Return whether the node is a list of whole numbers."""
    return isinstance(node, ast.List | ast.Tuple) and all(map(is_number, node.elts))


def is_number(node: ast.expr) -> bool:
    """Return whether the node is a whole number."""
    return isinstance(node, ast.Constant) and type(node.value) is int


def check_condition(value: Any) -> str | None:
    """Return what the value must be, where it is no condition."""
    try:
        read_condition(value)
    except ValueError as error:
        return f"a condition on factors: {error}".rstrip(".")
    except TypeError:
        return "a condition on factors, such as 'shape != 2 or scale < 3'"
    return None


def is_correlation(value: Any) -> bool:
    """Return whether the value names two factors and a spread."""
    if not isinstance(value, dict) or set(value) != {"factors", "sigma"} or not are_names(value["factors"]):
        return False
    sigma = value["sigma"]
    return len(value["factors"]) == 2 and isinstance(sigma, int | float) and not isinstance(sigma, bool) and sigma > 0


Condition = Annotated[str, check_condition]
Correlation = Annotated[
    Mapping[str, Any],
    require("two factors and a number above 0, such as {factors: [scale, posX], sigma: 0.2}", is_correlation),
]
