"""Traversals of several models side by side: rows that say the same stand in one line.

Two latents say the same as far as their codes correlate over the images that both runs have encoded. Every run is
matched to the first one, each latent with one at most, so that the sum of |r| is largest (Hungarian). A latent whose r
is negative runs the other way, and its row is turned around.
"""

import base64
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from PIL import Image
from scipy.optimize import linear_sum_assignment

from vaezoo.errors import UserError

LEAST = 0.3  # |r| of two latents that are said to be the same
IMAGES = 10_000  # in common are enough
FEWEST = 20
LEAST_TALL, MOST_TALL = 22, 32  # of an image on the screen; small ones are enlarged by whole factors


@dataclass(frozen=True)
class Rows:
    """The numbers behind the figure `traversals` of one run, and the codes that tell what its latents say."""

    images: np.ndarray  # (R, V, C, H, W)
    dims: np.ndarray  # (R,) which latent a row moves
    kl: np.ndarray  # (R,) nats, NaN where there is none
    original: np.ndarray  # (C, H, W)
    data: str  # which bytes were encoded
    index: np.ndarray  # (N,) which images, ascending
    codes: np.ndarray  # (N, D) posterior means


@dataclass(frozen=True)
class Match:
    """One row beside the row of the reference: its place in `Rows`, and r; NaN of the reference itself."""

    row: int
    r: float

    @property
    def turned(self) -> bool:
        return self.r < 0


def read(folder: Path) -> Rows | None:
    """None where the run has no such figure, or no codes."""
    try:
        with np.load(folder / "figures" / "traversals.npz", allow_pickle=False) as drawn:
            kl = (
                drawn["traversal_kl"]
                if "traversal_kl" in drawn.files
                else np.full(len(drawn["traversal_dims"]), np.nan)
            )
            images, dims, original = drawn["traversal"], drawn["traversal_dims"], drawn["original"]
        with np.load(folder / "latents.npz", allow_pickle=False) as table:
            index, codes = table["index"], table["codes"]
        about = json.loads((folder / "metrics.json").read_bytes())["about"]
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, BadZipFile) as damage:
        raise UserError(
            f"{folder}: its traversals cannot be read ({damage})."
            f" Draw them anew: python -m vaezoo.evaluate run={folder} metric=fast figure=traversals"
        ) from None
    data = json.dumps([about.get("dataset"), about.get("data")], sort_keys=True)
    return Rows(images, dims, kl, original, data, index, codes)


def correlations(a: Rows, b: Rows) -> np.ndarray | None:
    """Pearson's r of every row of `a` with every row of `b`; None where they share too few images."""
    common = np.intersect1d(a.index, b.index, assume_unique=True) if a.data == b.data else np.empty(0, int)
    if len(common) < FEWEST:
        return None
    common = common[:: -(-len(common) // IMAGES)]
    standard = []
    for rows in (a, b):
        codes = rows.codes[np.searchsorted(rows.index, common)][:, rows.dims].astype(np.float64)
        codes = codes - codes.mean(axis=0)
        size = np.linalg.norm(codes, axis=0)
        standard.append(codes / np.where(size > 1e-9 * np.sqrt(len(common)), size, np.inf))
    return standard[0].T @ standard[1]


def match(r: np.ndarray, least: float = LEAST) -> list[tuple[int, Match]]:
    """Pairs (row of the reference, row of the other), by the reference; `r` is (R, S)."""
    pairs = zip(*linear_sum_assignment(-np.abs(r)), strict=True)
    return [(int(i), Match(int(j), float(r[i, j]))) for i, j in pairs if abs(r[i, j]) >= least]


def aligned(models: Sequence[Rows]) -> tuple[list[list[Match | None]], list[list[int]]]:
    """By row of the first model, the match in every model; and the rows of every model that have none.

    Where a row of the reference has none in a model, there is None.
    """
    reference = models[0]
    lines: list[list[Match | None]] = [[Match(i, np.nan)] for i in range(len(reference.dims))]
    rest: list[list[int]] = [[]]
    for other in models[1:]:
        r = correlations(reference, other)
        found = {} if r is None else dict(match(r))
        for i, line in enumerate(lines):
            line.append(found.get(i))
        taken = {one.row for one in found.values()}
        rest.append([row for row in range(len(other.dims)) if row not in taken])
    return lines, rest


def strip(images: np.ndarray) -> tuple[str, int, int]:
    """One row (V, C, H, W) as a PNG in a data URL with all its pixels, and its width and height on the screen."""
    count, channels, height, width = images.shape
    shades = np.rint(np.clip(np.nan_to_num(images), 0, 1) * 255).astype(np.uint8)
    shades = np.broadcast_to(shades, (count, 3, height, width)) if channels == 1 else shades
    shades = np.pad(shades, ((0, 0), (0, 0), (0, 0), (0, 1)), constant_values=255)
    pixels = shades.transpose(2, 0, 3, 1).reshape(height, count * (width + 1), 3)[:, :-1]
    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(file, "png", optimize=True)
    tall = min(height * -(-LEAST_TALL // height), MOST_TALL)
    return data_url(file.getvalue(), "png"), round(pixels.shape[1] * tall / height), tall


def data_url(content: bytes, kind: str) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
