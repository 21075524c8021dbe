"""Score codes from anywhere: a .npz file of arrays instead of a model.

    np.savez("codes.npz", codes=codes, factors=factors)

`codes` (N, D) are numbers: posterior means, or whatever stands for an image. The file may hold more arrays: `factors`
(N, K) and `labels` (N,), classes that count from 0, `logvars` (N, D) of Gaussian posteriors, and `factor_names`, K
texts. Nothing in the file is unpickled.
"""

import inspect
from pathlib import Path

import numpy as np

from vaezoo.errors import UserError, nearest
from vaezoo.evaluation.inputs import Inputs
from vaezoo.metrics.array_checks import convert_all
from vaezoo.runs.limits import check_archive, read_arrays, require_file
from vaezoo.seeds import derive

Arrays = dict[str, np.ndarray]

NAMES = ("codes", "factors", "labels", "logvars", "factor_names")


class FileInputs(Inputs):
    """What the parameters of metrics may name, from the arrays of a file.

    All rows count as held-out images, too, but metrics that learn from the other rows hold out a random tenth.
    """

    def __init__(self, arrays: Arrays, seed: int) -> None:
        rows = len(arrays["codes"])
        held_out = np.zeros(rows, dtype=bool)
        held_out[np.random.default_rng(derive(seed, "held-out rows")).permutation(rows)[: max(1, rows // 10)]] = True
        columns = {name: arrays.get(name) for name in ("codes", "logvars", "factors", "labels")}
        columns["means"] = arrays["codes"] if "logvars" in arrays else None
        names = tuple(arrays["factor_names"].tolist()) if "factor_names" in arrays else None
        test_columns = {f"test_{name}": column for name, column in columns.items()}
        super().__init__(**columns, **test_columns, factor_names=names, held_out=held_out)

    def explain(self, parameter: inspect.Parameter) -> str:
        """Return the reason why the input for a parameter is absent."""
        if parameter.name not in self:
            return "it needs the model or its images (run=DIR)"
        return f"the file has no array {parameter.name.removeprefix('test_').replace('means', 'logvars')}"


def read(path: Path) -> Arrays:
    """Return the arrays of a file, checked: codes in float32 or float64, classes in int64.

    Raise UserError where the file cannot be read or an array is not as it should be.
    """
    require_file(path)
    try:
        with path.open("rb") as stream:
            is_single = stream.read(6) == np.lib.format.MAGIC_PREFIX
        if is_single:
            raise UserError(f"codes={path}: this is a single array. np.savez('codes.npz', codes=array) makes the file.")
        check_archive(path)
        with np.load(path, allow_pickle=False) as file:
            check_names(path, file.files)
        arrays = read_arrays(path)
    except UserError:
        raise
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(
            f"codes={path} cannot be read: it is damaged, no .npz file of numpy, or has pickled objects ({reason})."
        ) from None
    return check_arrays(path, arrays)


def check_names(path: Path, names: list[str]) -> None:
    """Raise UserError for an array that no metric asks for, and where there are no codes."""
    if unknown := [name for name in names if name not in NAMES]:
        hint = nearest(unknown[0], NAMES)
        raise UserError(f"codes={path}: there is an array '{unknown[0]}' in it.{hint} Known: {', '.join(NAMES)}.")
    if "codes" not in names:
        raise UserError(f"codes={path}: the array codes is missing. np.savez('codes.npz', codes=...) stores it.")


def check_arrays(path: Path, arrays: Arrays) -> Arrays:
    """Return the arrays as metrics take them; raise UserError for wrong shapes, types and values."""
    shape = arrays["codes"].shape
    if shape[:1] < (2,) or 0 in shape:
        raise UserError(f"codes={path}: codes must have two rows and one column or more, not shape {shape}.")
    try:
        checked = convert_all(arrays)
    except UserError as wrong:
        raise UserError(f"codes={path}: {wrong}") from None
    if "logvars" in checked and checked["logvars"].shape != shape:
        raise UserError(f"codes={path}: logvars has shape {checked['logvars'].shape}, codes has {shape}.")
    if "factor_names" in arrays:
        names = arrays["factor_names"]
        count = checked["factors"].shape[1] if "factors" in checked else 0
        if names.dtype.kind != "U" or names.shape != (count,):
            raise UserError(f"codes={path}: factor_names must be {count} texts, one for each column of factors.")
        checked["factor_names"] = names
    return checked


def draw_rows(arrays: Arrays, count: int | None, seed: int) -> Arrays:
    """Return at most `count` random rows of all arrays, in their order; None takes all."""
    total = len(arrays["codes"])
    if count is None or count >= total:
        return arrays
    rows = np.sort(np.random.default_rng(derive(seed, "scored rows")).choice(total, count, replace=False))
    return {name: array if name == "factor_names" else array[rows] for name, array in arrays.items()}
