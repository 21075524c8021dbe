"""Codes from anywhere, as the arrays that metrics ask for: a .npz file, and no model.

    np.savez("codes.npz", codes=codes, factors=factors)

`codes` (N, D) are numbers: posterior means, or whatever stands for an image. What else is known may go with them:
`factors` (N, K) and `labels` (N,), classes that count from 0, `logvars` (N, D) of Gaussian posteriors, and
`factor_names`, K texts. Nothing in the file is unpickled.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from vaezoo.errors import UserError, nearest
from vaezoo.evaluation import scores
from vaezoo.seeds import derive

Arrays = dict[str, np.ndarray]

KNOWN = ("codes", "factors", "labels", "logvars", "factor_names")
LARGEST = 1_000_000  # class: they are counted in tables

# Why a metric cannot be computed when this fixture is not there.
REASONS = {
    **dict.fromkeys(
        (*scores.REASONS, "train_inception", "train_features"), "it needs the model or its images (run=DIR)"
    ),
    **dict.fromkeys(("factors", "test_factors"), "the file has no array factors"),
    "labels": "the file has no array labels",
    **dict.fromkeys(("logvars", "means", "test_logvars", "test_means"), "the file has no array logvars"),
}


def read(path: Path) -> Arrays:
    """The arrays of a file, each checked: codes in float32 or float64, classes in int64."""
    try:
        file = np.load(path, allow_pickle=False)
        if isinstance(file, np.ndarray):
            raise UserError(f"codes={path}: this is a single array. np.savez('codes.npz', codes=array) makes the file.")
        with file:
            check_names(path, file.files)
            arrays = {name: file[name] for name in file.files}
    except UserError:
        raise
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(
            f"codes={path} cannot be read: it is damaged, no .npz file of numpy, or has pickled objects ({reason})."
        ) from None
    return check_arrays(path, arrays)


def check_names(path: Path, names: list[str]) -> None:
    if unknown := [name for name in names if name not in KNOWN]:
        hint = nearest(unknown[0], KNOWN)
        raise UserError(f"codes={path}: there is an array '{unknown[0]}' in it.{hint} Known: {', '.join(KNOWN)}.")
    if "codes" not in names:
        raise UserError(f"codes={path}: the array codes is missing. np.savez('codes.npz', codes=...) stores it.")


def check_arrays(path: Path, arrays: Arrays) -> Arrays:
    def refuse(name: str, wrong: str) -> UserError:
        return UserError(f"codes={path}: {name} {wrong}.")

    def numbers(name: str) -> np.ndarray:
        array = arrays[name]
        if array.dtype.kind not in "fiu" or array.ndim != 2:
            raise refuse(name, f"must be (N, D) real numbers, not {array.dtype} of shape {array.shape}")
        if bad := int((~np.isfinite(array)).any(axis=1).sum()):
            raise refuse(name, f"has rows with nan or inf, {bad} of {len(array)}")
        return array.astype(np.float32 if array.dtype in (np.float16, np.float32) else np.float64)

    def classes(name: str, dims: int, shape: str) -> np.ndarray:
        array = arrays[name]
        if array.dtype.kind not in "iub" or array.ndim != dims:
            raise refuse(name, f"must be {shape} whole numbers, not {array.dtype} of shape {array.shape}")
        if len(array) != rows:
            raise refuse(name, f"has {len(array)} rows, codes has {rows}")
        if array.size and (array.min() < 0 or array.max() > LARGEST):
            raise refuse(
                name,
                f"has values from {array.min()} to {array.max()}; classes count from 0 to {LARGEST:,} at most."
                " np.unique(column, return_inverse=True)[1] numbers them",
            )
        return array.astype(np.int64)

    checked = {"codes": numbers("codes")}
    rows, dims = checked["codes"].shape
    if rows < 2 or dims < 1:
        raise refuse("codes", f"must have two rows and one column or more, not shape {(rows, dims)}")
    if "logvars" in arrays:
        checked["logvars"] = numbers("logvars")
        if checked["logvars"].shape != (rows, dims):
            raise refuse("logvars", f"has shape {arrays['logvars'].shape}, codes has {(rows, dims)}")
    if "labels" in arrays:
        checked["labels"] = classes("labels", 1, "(N,)")
    if "factors" in arrays:
        checked["factors"] = classes("factors", 2, "(N, K)")
    if "factor_names" in arrays:
        names = arrays["factor_names"]
        count = checked["factors"].shape[1] if "factors" in checked else 0
        if names.dtype.kind != "U" or names.shape != (count,):
            raise refuse("factor_names", f"must be {count} texts, one for each column of factors")
        checked["factor_names"] = names
    return checked


def some_rows(arrays: Arrays, rows: int | None, seed: int) -> Arrays:
    """At most so many random rows, in their order; None takes all."""
    many = len(arrays["codes"])
    if rows is None or rows >= many:
        return arrays
    chosen = np.sort(np.random.default_rng(derive(seed, "scored rows")).choice(many, rows, replace=False))
    return {name: array if name == "factor_names" else array[chosen] for name, array in arrays.items()}


def fixtures(arrays: Arrays, seed: int) -> dict[str, Callable[[], Any]]:
    """What metrics ask for. Scores that only look at held-out images get all rows; classifiers a tenth of their own."""
    codes, many = arrays["codes"], len(arrays["codes"])
    held_out = np.zeros(many, dtype=bool)
    held_out[np.random.default_rng(derive(seed, "held-out rows")).permutation(many)[: max(1, many // 10)]] = True
    means = codes if "logvars" in arrays else None
    names = tuple(arrays["factor_names"].tolist()) if "factor_names" in arrays else None
    found = {
        "codes": codes,
        "means": means,
        "logvars": arrays.get("logvars"),
        "factors": arrays.get("factors"),
        "factor_names": names,
        "labels": arrays.get("labels"),
        "held_out": held_out,
        "test_codes": codes,
        "test_means": means,
        "test_logvars": arrays.get("logvars"),
        "test_factors": arrays.get("factors"),
        "test_labels": arrays.get("labels"),
    }
    return {name: lambda value=value: value for name, value in found.items()}  # type: ignore[misc]
