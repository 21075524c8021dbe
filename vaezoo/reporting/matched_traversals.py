"""Traversals of several models side by side: latents that encode the same are in one line.

Two latents encode the same as far as their codes correlate over the images that both runs have encoded. Every run is
matched to the first run, each latent with at most one other, so that the sum of |r| is largest (Hungarian algorithm).
A latent with negative r runs the other way, and its images are reversed.
"""

import base64
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.optimize import linear_sum_assignment

from vaezoo.errors import UserError
from vaezoo.runs.folder import make_run_option
from vaezoo.runs.limits import check_claim, check_inside, read_arrays, read_bytes

MIN_CORRELATION = 0.3  # |r| from which on two latents are counterparts
MIN_IMAGES, MAX_IMAGES = 20, 10_000  # in common, for a correlation
MIN_HEIGHT, MAX_HEIGHT = 22, 32  # of an image on the screen in pixels; small images are enlarged by whole factors


@dataclass(frozen=True)
class Traversals:
    """The numbers behind the figure `traversals` of one run, and the codes of its images."""

    images: np.ndarray  # (R, V, C, H, W): V images of each of R moved latents, in [0, 1]
    dims: np.ndarray  # (R,) the latent that is moved
    kl: np.ndarray  # (R,) nats, NaN without one
    original: np.ndarray  # (C, H, W), the image whose code is moved
    data: str  # the data set and the identity of its bytes
    rows: np.ndarray  # (N,) ascending indices of the encoded images into the data set
    codes: np.ndarray  # (N, D) posterior means


@dataclass(frozen=True)
class Match:
    """A moved latent: its place in `Traversals`, and r with its counterpart; NaN in the reference itself."""

    place: int
    r: float

    @property
    def is_reversed(self) -> bool:
        """Return whether the images run the other way."""
        return self.r < 0


@dataclass(frozen=True)
class Picture:
    """An image for a page: a data URL, and its size on the screen in pixels."""

    source: str
    width: int
    height: int
    enlarged: bool


def read_traversals(folder: Path) -> Traversals | None:
    """Read the traversals of a run; None where it has no such figure or no codes."""
    figure, table = folder / "figures" / "traversals.npz", folder / "latents.npz"
    if not (figure.is_file() and table.is_file() and (folder / "metrics.json").is_file()):
        return None
    try:
        for path in (figure, table):
            check_inside(folder, path)
        drawn, encoded = read_arrays(figure), read_arrays(table, ("index", "codes"))
        about = json.loads(read_bytes(folder, "metrics.json") or b"{}")["about"]
        data = json.dumps([about.get("dataset"), about.get("data")], sort_keys=True)
        kl = drawn.get("traversal_kl", np.full(len(drawn["traversal_dims"]), np.nan))
        return check_shapes(
            Traversals(
                images=drawn["traversal"].astype(np.float32),
                dims=drawn["traversal_dims"].astype(np.int64),
                kl=kl.astype(np.float64),
                original=drawn["original"].astype(np.float32),
                data=data,
                rows=encoded["index"].astype(np.int64),
                codes=np.nan_to_num(encoded["codes"].astype(np.float32)),
            )
        )
    except Exception as damage:  # Arrays may have any shape and type.
        raise UserError(
            f"{folder}: its traversals cannot be read ({damage})."
            f" Draw them anew: python -m vaezoo.evaluate {make_run_option(folder)} metric=fast figure=traversals"
        ) from None


def check_shapes(content: Traversals) -> Traversals:
    """Return traversals whose arrays fit together; raise ValueError for others."""
    r, channels = len(content.dims), content.original.shape[0]
    fits = (
        content.dims.ndim == content.rows.ndim == 1
        and content.kl.shape == (r,)
        and content.codes.ndim == 2
        and len(content.codes) == len(content.rows)
        and content.original.ndim == 3
        and channels in (1, 3)
        and content.images.ndim == 5
        and content.images.shape[0] == r
        and content.images.shape[2:] == content.original.shape
        and min(content.images.shape) > 0
        and 0 <= content.dims.min(initial=0) <= content.dims.max(initial=0) < content.codes.shape[1]
        and bool((np.diff(content.rows) > 0).all())
    )
    if not fits:
        raise ValueError("the shapes of its arrays do not fit together")
    return content


def correlate(a: Traversals, b: Traversals) -> np.ndarray | None:
    """Return Pearson's r of every moved latent of `a` with every one of `b`; None if they share too few images."""
    if a.data != b.data:
        return None
    return correlate_codes((a.rows, a.codes[:, a.dims]), (b.rows, b.codes[:, b.dims]))


def correlate_codes(a: tuple[np.ndarray, np.ndarray], b: tuple[np.ndarray, np.ndarray]) -> np.ndarray | None:
    """Return Pearson's r (A, B) of two tables of codes; None if they share too few images.

    A table has ascending rows of a data set (N,), the same for both, and the codes of these images, (N, A) or (N, B).
    """
    common = np.intersect1d(a[0], b[0], assume_unique=True)
    if len(common) < MIN_IMAGES:
        return None
    common = common[:: -(-len(common) // MAX_IMAGES)]
    standard = []
    for rows, table in (a, b):
        codes = table[np.searchsorted(rows, common)].astype(np.float64)
        codes = codes - codes.mean(axis=0)
        size = np.linalg.norm(codes, axis=0)
        standard.append(codes / np.where(size > 1e-9 * np.sqrt(len(common)), size, np.inf))
    return standard[0].T @ standard[1]


def match_latents(r: np.ndarray, least: float = MIN_CORRELATION) -> dict[int, Match]:
    """Return the counterparts by their place in the reference, for correlations `r` (reference, other)."""
    pairs = zip(*linear_sum_assignment(-np.abs(r)), strict=True)
    return {int(i): Match(int(j), float(r[i, j])) for i, j in pairs if abs(r[i, j]) >= least}


def align_traversals(models: Sequence[Traversals]) -> tuple[list[list[Match | None]], list[list[int]]]:
    """Return the lines of the table, and for every model the places of the latents without a counterpart.

    A line begins with a latent of the first model and has an entry for every model: the counterpart, or None.
    """
    reference = models[0]
    lines: list[list[Match | None]] = [[Match(i, np.nan)] for i in range(len(reference.dims))]
    unmatched: list[list[int]] = [[]]
    for other in models[1:]:
        r = correlate(reference, other)
        matches = {} if r is None else match_latents(r)
        for i, line in enumerate(lines):
            line.append(matches.get(i))
        taken = {match.place for match in matches.values()}
        unmatched.append([place for place in range(len(other.dims)) if place not in taken])
    return lines, unmatched


def make_picture(images: np.ndarray) -> Picture:
    """Put images (V, C, H, W) with values in [0, 1] side by side into one PNG that keeps all pixels."""
    count, channels, height, width = images.shape
    shades = np.rint(np.clip(np.nan_to_num(images), 0, 1) * 255).astype(np.uint8)
    shades = np.broadcast_to(shades, (count, 3, height, width)) if channels == 1 else shades
    shades = np.pad(shades, ((0, 0), (0, 0), (0, 0), (0, 1)), constant_values=255)
    pixels = shades.transpose(2, 0, 3, 1).reshape(height, count * (width + 1), 3)[:, :-1]
    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(file, "png", optimize=True)
    screen_height = min(height * -(-MIN_HEIGHT // height), MAX_HEIGHT)
    screen_width = round(pixels.shape[1] * screen_height / height)
    return Picture(make_data_url(file.getvalue(), "png"), screen_width, screen_height, height < screen_height)


def rewrite_png(content: bytes, path: Path) -> bytes:
    """Return a PNG with the pixels of another one and nothing else; `path` is for messages.

    What is no picture is not embedded: a link, or a renamed file, could have any content. Raises UserError for it, and
    for a picture that claims far more pixels than its file can hold.
    """
    try:
        with Image.open(io.BytesIO(content), formats=["PNG"]) as picture:
            check_claim(str(path), picture.width * picture.height * 4, len(content))
            pixels = picture.convert("RGB")
    except UserError:
        raise
    except Exception as damage:  # A damaged picture may raise anything.
        raise UserError(f"{path} is no picture, or damaged ({damage}).") from None
    file = io.BytesIO()
    pixels.save(file, "png")
    return file.getvalue()


def make_data_url(content: bytes, kind: str) -> str:
    """Return a picture of the type image/`kind` as a URL that holds its bytes."""
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
