"""The arrays that metrics take, and one conversion and check of all of them.

Every metric passes it (`vaezoo.metrics.directions.Better`), so that none computes a plausible number from a type, shape
or value that it was not made for.
"""

from typing import Any

import numpy as np

from vaezoo.errors import UserError

LARGEST = 1_000_000  # level or class, because these are counted in tables
# The kind of each array and its axes, by the name of the parameter. Axes with the same letter are equally long in one
# call. Values of the kind "measured" may be NaN or infinite, because the score then is, too; "real" values may not.
ARRAYS = {
    "codes": ("real", "ND"),
    "means": ("real", "NJ"),
    "logvars": ("real", "NJ"),
    "factors": ("whole", "NK"),
    "labels": ("whole", "N"),
    "held_out": ("boolean", "N"),
    "test_codes": ("real", "MD"),
    "test_means": ("real", "MJ"),
    "test_logvars": ("real", "MJ"),
    "test_factors": ("whole", "MK"),
    "test_labels": ("whole", "M"),
    "test_clusters": ("real", "MG"),
    "test_class_logits": ("real", "MY"),
    "train_codes": ("real", "LD"),
    "train_labels": ("whole", "L"),
    "train_clusters": ("real", "LG"),
    "train_class_logits": ("real", "LY"),
    "log_likelihood": ("measured", "M"),
    "rec_floor": ("measured", "M"),
    "squared_error": ("measured", "M"),
    "absolute_error": ("measured", "M"),
    "cross_entropy": ("measured", "M"),
    "kl_per_dim": ("measured", "Z"),
    "images": ("real", "ICHW"),
    "reconstructions": ("real", "ICHW"),
    "image_labels": ("whole", "I"),
    "prior_samples": ("real", "SCHW"),
    "train_inception": ("real", "AF"),
    "sample_inception": ("real", "BF"),
    "train_features": ("real", "AF"),
    "sample_features": ("real", "BF"),
    "test_features": ("real", "EF"),
    "noise_features": ("real", "OF"),
}
KINDS = {
    "real": ("fiub", "real numbers"),
    "measured": ("fiub", "real numbers"),
    "whole": ("iub", "whole numbers"),
    "boolean": ("b", "booleans"),
}


def convert_all(values: dict[str, Any]) -> dict[str, np.ndarray]:
    """Return the values whose names are in ARRAYS, converted, without None; raise UserError for a wrong one."""
    converted: dict[str, np.ndarray] = {}
    for name, value in values.items():
        if name in ARRAYS and value is not None:
            converted[name] = convert(name, value, *ARRAYS[name])
            check_lengths(name, converted)
    return converted


def convert(name: str, value: Any, kind: str, axes: str) -> np.ndarray:
    """Return an array: real numbers in float32 or float64, whole numbers in int64.

    Floats keep their precision, and integers become float64, because differences of small integers overflow. Raise
    UserError for other types and dimensions, masked entries, real numbers that are not finite, and whole numbers below
    0 or above LARGEST.
    """
    array = np.asarray(value)
    types, numbers = KINDS[kind]
    if array.dtype.kind not in types or array.ndim != len(axes):
        shape = f"({', '.join(axes)}{',' * (len(axes) == 1)})"
        raise UserError(f"{name} must be {shape} {numbers}, not {array.dtype} of shape {array.shape}.")
    if np.ma.is_masked(value):
        raise UserError(f"{name} has masked entries; leave out their rows.")
    if kind == "boolean":
        return array
    if kind == "whole":
        if array.size and (array.min() < 0 or array.max() > LARGEST):
            raise UserError(
                f"{name} has values from {array.min()} to {array.max()}; classes count from 0 to {LARGEST:,} at most."
                " np.unique(column, return_inverse=True)[1] numbers them."
            )
        return array.astype(np.int64, copy=False)
    if array.dtype not in (np.float32, np.float64):
        array = array.astype(np.float32 if array.dtype == np.float16 else np.float64)
    if kind == "real":
        check_finite(name, array)
    return array


def check_finite(name: str, array: np.ndarray) -> None:
    """Raise UserError with the number of rows of an array (N, ...) that have a value that is not finite."""
    finite = np.isfinite(array)
    if not finite.all():
        bad = int((~finite).reshape(len(array), -1).any(axis=1).sum())
        raise UserError(f"{name} has rows with nan or inf, {bad} of {len(array)}; no score of them means anything.")


def check_lengths(name: str, arrays: dict[str, np.ndarray]) -> None:
    """Raise UserError unless the axes of an array are as long as the same axes of the others."""
    array, axes = arrays[name], ARRAYS[name][1]
    for other_name, other in arrays.items():
        other_axes = ARRAYS[other_name][1]
        for axis in set(axes) & set(other_axes):
            if array.shape[axes.index(axis)] == other.shape[other_axes.index(axis)]:
                continue
            if axis == axes[0] == other_axes[0]:
                raise UserError(f"{name} has {len(array)} rows, {other_name} has {len(other)}.")
            raise UserError(f"{name} has shape {array.shape}, {other_name} has {other.shape}.")


def varies(codes: np.ndarray) -> bool:
    """Return whether any column of codes (N, D) has more than rounding errors as its variance."""
    rounding = 4 * np.finfo(np.result_type(codes, np.float32)).eps * np.abs(codes).max(axis=0)
    return bool((np.ptp(codes, axis=0) > rounding).any())
