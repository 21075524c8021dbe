"""The latent table: images of a data set, each encoded once by a model. Metrics and figures index it."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from vaezoo.errors import UserError
from vaezoo.progress import progress
from vaezoo.runs.limits import UNREADABLE, read_arrays
from vaezoo.seeds import derive, own_noise

EXAMPLES = 64  # test images that the table keeps as they are, for figures


@dataclass(frozen=True)
class LatentTable:
    """The result of one encoding pass over rows of a data set.

    Rows are in ascending order of `index`. `scored` marks the rows that factor scores use, `held_out` the test images
    that likelihoods and figures use; the columns from `log_likelihood` on hold their values, NaN elsewhere.

    A code has the means of J Gaussian latents, then, in models with categories, the probabilities of each value.

    The table and the checkpoint are all that figures need, because the table holds example images and the names of
    factors and classes.
    """

    index: np.ndarray  # (N,) row of the data set
    scored: np.ndarray  # (N,) bool
    held_out: np.ndarray  # (N,) bool
    codes: np.ndarray  # (N, D), float32
    logvars: np.ndarray  # (N, J) log variances, or (N, 0) without a Gaussian posterior of a standard normal prior
    clusters: np.ndarray  # (N, K) probabilities of the clusters that some models sort images into, or (N, 0)
    factors: np.ndarray  # (N, K), or (N, 0) without factors
    labels: np.ndarray  # (N,), or (0,) without labels
    log_likelihood: np.ndarray  # (N,) log p(x|z) at one sample of q(z|x), nats
    squared_error: np.ndarray  # (N,) sums over pixels, decoder mean at z = codes
    absolute_error: np.ndarray
    cross_entropy: np.ndarray
    rec_floor: np.ndarray  # the least that -log_likelihood can be, where the likelihood has such a bound; else NaN
    kl_per_dim: np.ndarray  # (L,) mean KL of each latent over the held-out images, nats; (0,) without a density
    categories: np.ndarray  # (G,) how many values each categorical latent has
    examples: np.ndarray  # (E,) positions in the table of the held-out images that figures show, ascending
    example_images: np.ndarray  # (E, C, H, W), float32
    factor_names: np.ndarray  # (K,) texts, or (0,)
    label_names: np.ndarray  # (classes,) texts, or (0,)

    def save(self, path: Path, **identity: str) -> None:
        """Write the table and its identity, such as the hash of the checkpoint."""
        arrays = {field.name: getattr(self, field.name) for field in fields(self)}
        arrays |= {f"identity_{key}": np.array(value) for key, value in identity.items()}
        np.savez(path, **arrays)

    @classmethod
    def load(cls, path: Path, **identity: str) -> "LatentTable | None":
        """Return the table in a file; None if it has another identity or cannot be read."""
        try:
            arrays = read_arrays(path)
            if any(str(arrays.get(f"identity_{key}")) != value for key, value in identity.items()):
                return None
            table = cls(**{field.name: arrays[field.name] for field in fields(cls)})
        except (*UNREADABLE, UserError):
            return None
        return table if table.is_consistent else None

    @property
    def is_consistent(self) -> bool:
        """Return whether the arrays have the types, the axes and the rows that belong to a table."""
        rows = len(self.index) if self.index.ndim == 1 else -1
        tables = (self.codes, self.logvars, self.clusters, self.factors)
        columns = (
            *(self.index, self.scored, self.held_out, self.labels, self.log_likelihood, self.squared_error),
            *(self.absolute_error, self.cross_entropy, self.rec_floor),
        )
        lists = (self.kl_per_dim, self.categories, self.examples, self.factor_names, self.label_names)
        numbers = (*tables, *columns, *lists[:3], self.example_images)
        return (
            all(array.shape == (rows,) or not array.size for array in columns)
            and all((array.ndim == 2 and len(array) == rows) or not array.size for array in tables)
            and all(array.ndim == 1 for array in lists)
            and all(array.dtype.kind in "biuf" for array in numbers)
            and len(self.example_images) == len(self.examples)
            and self.example_images.ndim in (1, 4)
            and 0 <= self.examples.min(initial=0) <= self.examples.max(initial=0) < max(rows, 1)
        )


def draw_ascending(candidates: np.ndarray, count: int | None, seed: int) -> np.ndarray:
    """Return at most `count` random candidates, in ascending order; None takes all."""
    if count is None or count >= len(candidates):
        return candidates
    return np.sort(np.random.default_rng(seed).choice(candidates, count, replace=False))


def choose_rows(total: int, test: np.ndarray, rows: int | None, test_rows: int | None) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows of the data set that are scored, and the test rows that are held out: random ones, or all.

    They are the same in every run, because models are compared on the same images whatever their seeds.
    """
    scored = draw_ascending(np.arange(total), rows, derive(0, "scored rows"))
    return scored, draw_ascending(test, test_rows, derive(0, "test rows"))


def choose_examples(held_out: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return the positions of the images that figures show, ascending: EXAMPLES spread over the held-out ones, and the
    first of each class.

    `held_out` (N,) bool, `labels` (N,) or (0,).
    """
    rows = np.flatnonzero(held_out)
    spread = rows[np.linspace(0, len(rows) - 1, min(EXAMPLES, len(rows)), dtype=int)]
    if not labels.size:
        return spread
    _, first = np.unique(labels[rows], return_index=True)
    return np.union1d(spread, rows[first[:EXAMPLES]])


@contextmanager
def evaluating(model: Any) -> Iterator[None]:
    """Put the model into evaluation mode, without gradients; afterwards it has the mode that it had."""
    was_training = model.training
    model.eval()
    try:
        with torch.inference_mode():
            yield
    finally:
        model.train(was_training)


def encode(
    model: Any,
    data: Any,
    *,
    rows: int | None,
    test_rows: int | None,
    seed: int,
    batch_size: int | None = None,
) -> LatentTable:
    """Encode scored and held-out rows, each once and in evaluation mode; held-out rows are decoded in the same pass.

    `rows` and `test_rows` limit the scored and the held-out rows (None: all). The noise of `log_likelihood` depends on
    the seed and the batch size. `batch_size` None is 1024 on an accelerator and 64 on a CPU, where larger batches are
    up to three times slower, because their feature maps no longer come from memory that is already mapped.
    """
    if batch_size is None:
        batch_size = 64 if next(model.parameters()).device.type == "cpu" else 1024
    source = data.source
    scored, test = choose_rows(len(source), data.rows.test, rows, test_rows)
    index = np.union1d(scored, test)
    held_out = np.isin(index, test)
    labels = np.empty(0, np.int64) if source.labels is None else source.labels[index]
    examples = choose_examples(held_out, labels)
    example_images = np.empty((len(examples), *source.shape), np.float32)
    columns: dict[str, np.ndarray] = {}  # of the table, made at the first batch, which shows how wide they are
    measures = np.full((5, len(index)), np.nan)
    kl_sums: list[np.ndarray] = []
    with (
        evaluating(model),
        own_noise(derive(seed, "evaluation")),
        progress("encoding", len(index), "image") as bar,
    ):
        done = 0
        for batch in data.batches(index, batch_size):
            bar.update(len(batch.images))
            here = slice(done, done := done + len(batch.images))
            encoded = encode_batch(model, batch, np.flatnonzero(held_out[here]))
            for name, values in encoded.columns.items():
                if name not in columns:
                    columns[name] = np.empty((len(index), values.shape[1]), np.float32)
                columns[name][here] = values.float().cpu().numpy()
            if encoded.measures is not None:
                measures[:, here][:, held_out[here]] = encoded.measures
            if encoded.kl_sum is not None:
                kl_sums.append(encoded.kl_sum)
            inside = slice(*np.searchsorted(examples, [here.start, here.stop]))
            if inside.start < inside.stop:
                places = torch.from_numpy(examples[inside] - here.start).to(batch.images.device)
                example_images[inside] = batch.images[places].float().cpu().numpy()
    nothing = np.empty((len(index), 0), np.float32)
    return LatentTable(
        index=index,
        scored=np.isin(index, scored),
        held_out=held_out,
        codes=columns["codes"],
        logvars=columns.get("logvars", nothing),
        clusters=columns.get("clusters", nothing),
        factors=np.empty((len(index), 0), np.uint8) if source.factors is None else source.factors[index],
        labels=labels,
        log_likelihood=measures[0],
        squared_error=measures[1],
        absolute_error=measures[2],
        cross_entropy=measures[3],
        rec_floor=measures[4],
        kl_per_dim=np.sum(kl_sums, axis=0) / held_out.sum() if kl_sums else np.empty(0),
        categories=np.array(model.latent.categories, np.int64),
        examples=examples,
        example_images=example_images,
        factor_names=np.array(source.factor_names or (), np.str_),
        label_names=np.array(source.label_names or (), np.str_),
    )


class EncodedBatch(NamedTuple):
    """The codes of a batch, and the measures of its held-out images, if there are any."""

    columns: dict[str, Tensor]  # (B, .), by the column of the table
    measures: np.ndarray | None = None  # (5, T), as `measure_images` returns them
    kl_sum: np.ndarray | None = None  # (L,) KL of each latent, summed over the held-out images; nats


def encode_batch(model: Any, batch: Any, tested: np.ndarray) -> EncodedBatch:
    """Encode the images of a batch, and decode those at the T positions `tested`."""
    q = model.encode(batch.images, batch.labels)
    # A KL to N(0, I) is the model's own only where that is its prior.
    normal = getattr(model.latent, "prior", "normal") == "normal"
    columns = {"codes": q.mean}
    if hasattr(q, "clusters"):
        columns["clusters"] = q.clusters
    if normal and hasattr(q, "logvar"):
        columns["logvars"] = q.logvar
    if not len(tested):
        return EncodedBatch(columns)
    positions = torch.from_numpy(tested).to(batch.images.device)
    z = q.sample(relaxed=False)[positions]
    labels = None if batch.labels is None else batch.labels[positions]
    measures = measure_images(model, q.mean[positions], z, batch.images[positions], labels)
    has_kl = normal and hasattr(q, "kl")
    kl_sum = q.kl()[positions].double().sum(0).cpu().numpy() if has_kl else None
    return EncodedBatch(columns, measures, kl_sum)


def measure_images(model: Any, mean: Tensor, z: Tensor, x: Tensor, labels: Tensor | None) -> np.ndarray:
    """Return (5, B): log p(x|z) at the sample z, three errors at the posterior mean, and the floor of -log p.

    The errors are squared, absolute and cross-entropy. NaN stands where the model has no such value.
    """
    nothing = torch.full_like(x[:, 0, 0, 0], torch.nan)
    if not model.reconstructs:
        return torch.stack([nothing] * 5).double().cpu().numpy()
    p = model.reconstruct(model.latent.mode(mean), labels)
    difference = (x - p.mean).flatten(1)
    rows = [
        nothing if model.likelihood_free else model.decode(z, labels).log_prob(x),
        difference.square().sum(1),
        difference.abs().sum(1),
        p.cross_entropy(x),
        nothing if model.likelihood_free or not hasattr(p, "rec_floor") else p.rec_floor(x),
    ]
    return torch.stack(rows).double().cpu().numpy()


def fingerprint(state: dict[str, Tensor]) -> str:
    """Return a short hash of a model's weights, which tells the checkpoint of a table or a score."""
    digest = hashlib.sha256()
    for name in sorted(state):
        digest.update(name.encode())
        digest.update(state[name].detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]
