"""Tables for Python: a pandas DataFrame where pandas is installed, the columns otherwise."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vaezoo.reporting.reading import read_runs
from vaezoo.reporting.score_selection import list_scores
from vaezoo.reporting.settings import list_differing_keys


def make_table(columns: Mapping[str, Any]) -> Any:
    """Return a pandas.DataFrame of these columns, all of one length; without pandas, the dictionary itself."""
    try:
        import pandas
    except ImportError:
        return dict(columns)
    return pandas.DataFrame(columns)


def join_columns(history: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> dict[str, np.ndarray]:
    """Return columns of one length: "batches" (N,), ascending, and each term (N,), NaN at batches without a value.

    `history` has for each term its batches and values.
    """
    every = [batches for batches, _ in history.values()]
    rows = np.unique(np.concatenate(every)) if every else np.empty(0, np.int64)
    columns = {"batches": rows}
    for name, (batches, values) in history.items():
        columns[name] = np.full(len(rows), np.nan)
        columns[name][np.searchsorted(rows, batches)] = values
    return columns


def study(where: str | Path | Sequence[str | Path]) -> Any:
    """Return a table with a row for each run in these folders, and in the folders below them.

    The columns are "run" (its folder), "state", the keys that differ between the runs, the scores, and "error". It is a
    pandas.DataFrame where pandas is installed, otherwise a dictionary of lists. Raises UserError where no run lies.

    >>> import vaezoo
    >>> table = vaezoo.study("multirun/first")  # doctest: +SKIP
    >>> table.groupby("model.beta")["mig_hist"].mean()  # doctest: +SKIP
    """
    places = [where] if isinstance(where, str | Path) else list(where)
    runs = read_runs([Path(place).expanduser().resolve() for place in places])
    columns: dict[str, list[Any]] = {
        "run": [str(run.folder) for run in runs],
        "state": [run.state for run in runs],
        **{key: [run.config.get(key) for run in runs] for key in list_differing_keys(runs)},
        **{name: [run.scores.get(name, float("nan")) for run in runs] for name in list_scores(runs)},
        "error": [run.error for run in runs],
    }
    return make_table(columns)
