"""The latent table: what a model makes of chosen images of a data set, each encoded once. All the rest indexes it."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import torch
from torch import Tensor

from vaezoo.progress import progress
from vaezoo.seeds import derive, own_noise

EXAMPLES = 64  # test images that the table keeps as they are, for figures


@dataclass(frozen=True)
class LatentTable:
    """One encoding pass over chosen rows of a data set; everything else indexes it.

    Rows are in ascending order of `index`. `scored` marks the rows that factor scores use, `held_out` the test images
    that likelihoods and figures use; the columns from `log_likelihood` on hold their values, NaN elsewhere.

    A code has the means of J Gaussian latents, then, in models with categories, the probabilities of each.

    With the checkpoint, the table is all that figures need: it keeps some images and the names that the data set gives.
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
        arrays = {field.name: getattr(self, field.name) for field in fields(self)}
        arrays |= {f"identity_{key}": np.array(value) for key, value in identity.items()}
        np.savez(path, **arrays)

    @classmethod
    def load(cls, path: Path, **identity: str) -> "LatentTable | None":
        """The table of that identity (checkpoint, rows, ...), or None if the file holds another one."""
        try:
            with np.load(path, allow_pickle=False) as file:
                if any(str(file.get(f"identity_{key}")) != value for key, value in identity.items()):
                    return None
                return cls(**{field.name: file[field.name] for field in fields(cls)})
        except (OSError, ValueError, KeyError, BadZipFile):
            return None


def some_of(candidates: np.ndarray, count: int | None, seed: int) -> np.ndarray:
    """At most `count` random ones, in ascending order; None takes all."""
    if count is None or count >= len(candidates):
        return candidates
    return np.sort(np.random.default_rng(seed).choice(candidates, count, replace=False))


def choose_rows(
    everything: int, test: np.ndarray, rows: int | None, test_rows: int | None
) -> tuple[np.ndarray, np.ndarray]:
    """Which rows of the whole set are scored and which test rows are held out: all of them, or random ones.

    The same for every run: models are compared on the same images, whatever their seeds, and agree on them (UDR).
    """
    scored = some_of(np.arange(everything), rows, derive(0, "scored rows"))
    return scored, some_of(test, test_rows, derive(0, "test rows"))


def choose_examples(held_out: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Which held-out rows figures show: EXAMPLES spread over them, and the first of each class.

    `held_out` (N,) bool, `labels` (N,) or (0,); positions in ascending order.
    """
    rows = np.flatnonzero(held_out)
    spread = rows[np.linspace(0, len(rows) - 1, min(EXAMPLES, len(rows)), dtype=int)]
    if not labels.size:
        return spread
    _, first = np.unique(labels[rows], return_index=True)
    return np.union1d(spread, rows[first[:EXAMPLES]])


@contextmanager
def evaluating(model: Any) -> Iterator[None]:
    """In evaluation mode and without gradients; the model is afterwards in the mode that it was in."""
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
    """Encode each chosen row once, in evaluation mode; test rows are decoded in the same pass.

    `rows` and `test_rows` limit the scored and the held-out rows (None: all). The noise of `log_likelihood` depends on
    the seed and the batch size. `batch_size` None is 1024 on an accelerator and 64 on a CPU, where larger batches are
    up to three times slower: their feature maps no longer come from memory that is already mapped.
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
    normal = getattr(model.latent, "prior", "normal") == "normal"  # else a KL to N(0, I) says nothing about the prior
    columns: dict[str, np.ndarray] = {}  # of the table, made when the first batch shows how wide they are
    kl_sums: list[np.ndarray] = []
    errors = np.full((5, len(index)), np.nan)

    def keep(name: str, here: slice, values: Tensor) -> None:
        if name not in columns:
            columns[name] = np.empty((len(index), values.shape[1]), np.float32)
        columns[name][here] = values.float().cpu().numpy()

    with (
        evaluating(model),
        own_noise(derive(seed, "evaluation")),
        progress("encoding", len(index), "image") as bar,
    ):
        done = 0
        for batch in data.batches(index, batch_size):
            bar.update(len(batch.images))
            here = slice(done, done := done + len(batch.images))
            q = model.encode(batch.images, batch.labels)
            keep("codes", here, q.mean)
            shown = slice(*np.searchsorted(examples, [here.start, here.stop]))
            if shown.start < shown.stop:
                picked = torch.from_numpy(examples[shown] - here.start).to(batch.images.device)
                example_images[shown] = batch.images[picked].float().cpu().numpy()
            if hasattr(q, "clusters"):
                keep("clusters", here, q.clusters)
            if normal and hasattr(q, "logvar"):
                keep("logvars", here, q.logvar)
            chosen = torch.from_numpy(np.flatnonzero(held_out[here])).to(batch.images.device)
            if len(chosen):
                z = q.sample(relaxed=False)[chosen]
                classes = None if batch.labels is None else batch.labels[chosen]
                found = image_errors(model, q.mean[chosen], z, batch.images[chosen], classes)
                errors[:, here][:, held_out[here]] = found
                if normal and hasattr(q, "kl"):
                    kl_sums.append(q.kl()[chosen].double().sum(0).cpu().numpy())
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
        log_likelihood=errors[0],
        squared_error=errors[1],
        absolute_error=errors[2],
        cross_entropy=errors[3],
        rec_floor=errors[4],
        kl_per_dim=np.sum(kl_sums, axis=0) / held_out.sum() if kl_sums else np.empty(0),
        categories=np.array(model.latent.categories, np.int64),
        examples=examples,
        example_images=example_images,
        factor_names=np.array(source.factor_names or (), np.str_),
        label_names=np.array(source.label_names or (), np.str_),
    )


def image_errors(model: Any, mean: Tensor, z: Tensor, x: Tensor, labels: Tensor | None) -> np.ndarray:
    """(5, B): log p(x|z) at the sample z; squared, absolute error, cross-entropy at the posterior mean; the floor.

    NaN where the model has no such thing.
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
    """A short hash of a model's weights: which checkpoint a table or a score belongs to."""
    digest = hashlib.sha256()
    for name in sorted(state):
        digest.update(name.encode())
        digest.update(state[name].detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]
