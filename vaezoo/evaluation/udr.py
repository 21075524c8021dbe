"""UDR of run folders: how far the codes of runs agree with each other (`vaezoo.metrics.agreement`).

    udr_lasso, udr_spearman               against the runs that differ in their seed alone
    udr_lasso_a2a, udr_spearman_a2a       against all runs of the same data and number of latents
    udr_kept                              how many codes of the run were informative enough to count

Codes are read from latents.npz, at most 10 000 images that all of these runs have encoded.
"""

import json
import logging
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vaezoo.errors import UserError
from vaezoo.runs.folder import make_run_option
from vaezoo.runs.limits import UNREADABLE, read_bytes
from vaezoo.seeds import derive

log = logging.getLogger(__name__)

IMAGES = 10_000
FEWEST = 1_000  # images in common; fewer are enough only where no run has more


def udr_scores(folders: Sequence[Path], settings: Sequence[Hashable]) -> list[dict[str, float]]:
    """Return the scores of every run; a run without a Gaussian posterior, or without another like it, has none.

    `settings` are equal for runs that differ in their seed alone.
    """
    from vaezoo.metrics.agreement import score_among, udr

    scores: list[dict[str, float]] = [{} for _ in folders]
    comparable: dict[str, dict[int, Codes]] = {}
    for i, folder in enumerate(folders):
        try:
            table = read_codes(folder)
        except UserError as damage:  # One damaged run does not end the report of all.
            log.warning("udr=true: this run is left out. %s", damage)
            continue
        if table is not None:
            comparable.setdefault(table.data, {})[i] = table
    for members in comparable.values():
        if len(members) < 2:
            continue
        codes, kls = select_common([*members.values()], [folders[i] for i in members])
        for similarity in ("lasso", "spearman"):
            result = udr(codes, kls, similarity=similarity)
            for place, i in enumerate(members):
                seeds = [other for other, j in enumerate(members) if settings[j] == settings[i]]
                if len(seeds) > 1:
                    scores[i][f"udr_{similarity}"] = score_among(result["pairs"], place, seeds)
                scores[i][f"udr_{similarity}_a2a"] = float(result["scores"][place])
                scores[i]["udr_kept"] = float(result["kept"][place])
    return scores


@dataclass(frozen=True)
class Codes:
    """The codes of a run, and the data set that they are of."""

    data: str  # equal for runs of the same data and number of latents
    index: np.ndarray  # (N,) rows of the data set
    codes: np.ndarray  # (N, D)
    logvars: np.ndarray  # (N, J) of the first J columns of the codes


def read_codes(folder: Path) -> Codes | None:
    """Return the codes of a run; None before it is scored, or without a Gaussian posterior."""
    from vaezoo.evaluation.table import LatentTable

    path = folder / "latents.npz"
    if not path.is_file() or not (folder / "metrics.json").is_file():
        return None
    table = LatentTable.load(path)
    if table is None:
        raise UserError(f"{path} is damaged. Write it anew: python -m vaezoo.evaluate {make_run_option(folder)}")
    if not table.logvars.size:
        return None
    try:
        about = json.loads(read_bytes(folder, "metrics.json") or b"{}")["about"]
        data = json.dumps([about["dataset"], about["data"], table.logvars.shape[1]], sort_keys=True)
    except UNREADABLE as damage:
        raise UserError(f"{folder / 'metrics.json'} is damaged ({damage}).") from None
    return Codes(data, table.index, table.codes, table.logvars)


def select_common(tables: Sequence[Codes], folders: Sequence[Path]) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Return for every run the posterior means (N, D) of the same images in the same order, and the mean KLs (D,)."""
    from vaezoo.metrics.evidence import gaussian_kl

    index = tables[0].index
    for table in tables[1:]:
        index = np.intersect1d(index, table.index, assume_unique=True)
    if len(index) < min(FEWEST, *(len(table.index) for table in tables)):
        raise UserError(
            f"udr=true: the {len(tables)} runs have encoded only {len(index)} images in common. Score each with the"
            f" same metric.rows and metric.test_rows: python -m vaezoo.evaluate run={folders[0]}"
        )
    if len(index) > IMAGES:
        index = np.sort(np.random.default_rng(derive(0, "images of udr")).choice(index, IMAGES, replace=False))
    codes, kls = [], []
    for table in tables:
        rows = np.searchsorted(table.index, index)
        logvars = table.logvars[rows]
        codes.append(table.codes[rows, : logvars.shape[1]])
        kls.append(gaussian_kl(codes[-1], logvars))
    return codes, kls
