"""UDR of run folders: how far the codes of each agree with those of the runs beside it (`vaezoo.metrics.agreement`).

    udr_lasso, udr_spearman               against the runs that differ in their seed alone
    udr_lasso_a2a, udr_spearman_a2a       against all runs of the same data and number of latents
    udr_kept                              how many codes of the run were informative enough to count

Codes are read from latents.npz, at most 10 000 images that all of these runs have encoded.
"""

import json
from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vaezoo.errors import UserError
from vaezoo.seeds import derive

IMAGES = 10_000
FEWEST = 1_000  # images in common; fewer are enough only where no run has more


def udr_scores(folders: Sequence[Path], settings: Sequence[Hashable]) -> list[dict[str, float]]:
    """The scores of every run; none of one without a Gaussian posterior, or without another to compare it with.

    `settings` are equal for runs that differ in their seed alone.
    """
    from vaezoo.metrics.agreement import score_among, udr

    tables = [read(folder) for folder in folders]
    scores: list[dict[str, float]] = [{} for _ in folders]
    comparable: dict[str, list[int]] = {}
    for i, table in enumerate(tables):
        if table is not None:
            comparable.setdefault(table["about"], []).append(i)
    for members in comparable.values():
        if len(members) < 2:
            continue
        codes, kls = in_common([tables[i] for i in members], [folders[i] for i in members])
        for similarity in ("lasso", "spearman"):
            result = udr(codes, kls, similarity=similarity)
            for place, i in enumerate(members):
                seeds = [other for other, j in enumerate(members) if settings[j] == settings[i]]
                if len(seeds) > 1:
                    scores[i][f"udr_{similarity}"] = score_among(result["pairs"], place, seeds)
                scores[i][f"udr_{similarity}_a2a"] = float(result["scores"][place])
                scores[i]["udr_kept"] = float(result["kept"][place])
    return scores


def read(folder: Path) -> dict[str, Any] | None:
    """What a run says of which images, and of which data; None before it is scored, or without a Gaussian posterior."""
    from vaezoo.evaluation.table import LatentTable

    path = folder / "latents.npz"
    if not path.is_file() or not (folder / "metrics.json").is_file():
        return None
    table = LatentTable.load(path)
    if table is None:
        raise UserError(f"{path} is damaged. Write it anew: python -m vaezoo.evaluate run={folder}")
    if not table.logvars.size:
        return None
    about = json.loads((folder / "metrics.json").read_text())["about"]
    data = json.dumps([about["dataset"], about["data"], table.logvars.shape[1]], sort_keys=True)
    return {"about": data, "index": table.index, "codes": table.codes, "logvars": table.logvars}


def in_common(tables: Sequence[Any], folders: Sequence[Path]) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Posterior means (N, D) of the same images in the same order, and the mean KL (D,) of each code, of every run."""
    from vaezoo.metrics.evidence import gaussian_kl

    index = tables[0]["index"]
    for table in tables[1:]:
        index = np.intersect1d(index, table["index"], assume_unique=True)
    if len(index) < min(FEWEST, *(len(table["index"]) for table in tables)):
        raise UserError(
            f"udr=true: the {len(tables)} runs have encoded only {len(index)} images in common. Score each with the"
            f" same metric.rows and metric.test_rows: python -m vaezoo.evaluate run={folders[0]}"
        )
    if len(index) > IMAGES:
        index = np.sort(np.random.default_rng(derive(0, "images of udr")).choice(index, IMAGES, replace=False))
    codes, kls = [], []
    for table in tables:
        rows = np.searchsorted(table["index"], index)
        logvars = table["logvars"][rows]
        codes.append(table["codes"][rows, : logvars.shape[1]])
        kls.append(gaussian_kl(codes[-1], logvars))
    return codes, kls
