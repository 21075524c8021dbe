"""What a trained model says about a data set, each piece computed once and only when it is asked for."""

import hashlib
from collections.abc import Callable, Iterator
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

DECODED = 1024  # latents decoded at once


@dataclass(frozen=True)
class LatentTable:
    """One encoding pass over chosen rows of a data set; everything else indexes it.

    Rows are in ascending order of `index`. `scored` marks the rows that factor scores use, `held_out` the test images
    that likelihoods and figures use; the columns from `log_likelihood` on hold their values, NaN elsewhere.

    A code has the means of J Gaussian latents, then, in models with categories, the probabilities of each.
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
    everything: int, test: np.ndarray, rows: int | None, test_rows: int | None, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Which rows of the whole set are scored and which test rows are held out: all of them, or random ones."""
    scored = some_of(np.arange(everything), rows, derive(seed, "scored rows"))
    return scored, some_of(test, test_rows, derive(seed, "test rows"))


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
    scored, test = choose_rows(len(source), data.rows.test, rows, test_rows, seed)
    index = np.union1d(scored, test)
    held_out = np.isin(index, test)
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
            if hasattr(q, "clusters"):
                keep("clusters", here, q.clusters)
            if normal and hasattr(q, "logvar"):
                keep("logvars", here, q.logvar)
            chosen = torch.from_numpy(np.flatnonzero(held_out[here])).to(batch.images.device)
            if len(chosen):
                z = q.sample(relaxed=False)[chosen]
                labels = None if batch.labels is None else batch.labels[chosen]
                found = image_errors(model, q.mean[chosen], z, batch.images[chosen], labels)
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
        labels=np.empty(0, np.int64) if source.labels is None else source.labels[index],
        log_likelihood=errors[0],
        squared_error=errors[1],
        absolute_error=errors[2],
        cross_entropy=errors[3],
        rec_floor=errors[4],
        kl_per_dim=np.sum(kl_sums, axis=0) / held_out.sum() if kl_sums else np.empty(0),
        categories=np.array(model.latent.categories, np.int64),
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


class Outputs:
    """A model, a data set and its latent table, as the named arrays that metrics and figures ask for."""

    def __init__(self, model: Any, data: Any, table: LatentTable, title: str, seed: int = 0) -> None:
        self.model = model
        self.data = data
        self.table = table
        self.title = title
        self.seed = seed

    @property
    def device(self) -> torch.device:
        return next(self.model.parameters()).device

    # What metrics ask for: arrays of the table alone.

    def metric_fixtures(self) -> dict[str, Any]:
        table, source = self.table, self.data.source
        scored, test = table.scored, table.held_out

        train = scored & ~test
        held_out = test[scored]
        gaussian = table.logvars.shape[1]  # the first columns of the codes
        continuous = table.codes.shape[1] - int(table.categories.sum())

        def some(array: np.ndarray, rows: np.ndarray) -> np.ndarray | None:
            """The chosen rows, or None where the model or the data set has no such thing."""
            return array[rows] if array.size and rows.any() else None

        def known(array: np.ndarray) -> np.ndarray | None:
            """Of the held-out images, or None where the model does not say."""
            return None if np.isnan(array[test]).all() else some(array, test)

        return {
            "codes": lambda: some(table.codes, scored),
            "means": lambda: some(table.codes[:, :gaussian], scored),
            "logvars": lambda: some(table.logvars, scored),
            "continuous_codes": lambda: some(table.codes[:, :continuous], scored),
            "test_continuous_codes": lambda: some(table.codes[:, :continuous], test),
            "categories": lambda: tuple(table.categories.tolist()) or None,
            "factors": lambda: some(table.factors, scored),
            "factor_names": lambda: source.factor_names or None,
            "labels": lambda: some(table.labels, scored),
            "held_out": lambda: held_out if held_out.any() and not held_out.all() else None,
            "test_codes": lambda: some(table.codes, test),
            "test_means": lambda: some(table.codes[:, :gaussian], test),
            "test_logvars": lambda: some(table.logvars, test),
            "test_factors": lambda: some(table.factors, test),
            "test_labels": lambda: some(table.labels, test),
            "test_clusters": lambda: some(table.clusters, test),
            "train_codes": lambda: some(table.codes, train),
            "train_labels": lambda: some(table.labels, train),
            "train_clusters": lambda: some(table.clusters, train),
            "test_class_logits": lambda: self.class_logits(test),
            "train_class_logits": lambda: self.class_logits(train),
            "kl_per_dim": lambda: self.kl_per_dim,
            "kl_weight": lambda: None if self.model.kl_weight is None else float(self.model.now(self.model.kl_weight)),
            "log_weights": lambda: self.log_weights if gaussian and known(table.log_likelihood) is not None else None,
            "rec_floor": lambda: known(table.rec_floor),
            "log_likelihood": lambda: known(table.log_likelihood),
            "squared_error": lambda: known(table.squared_error),
            "absolute_error": lambda: known(table.absolute_error),
            "cross_entropy": lambda: known(table.cross_entropy),
            "pixels": lambda: int(np.prod(source.shape)),
        }

    def log_weights(self, rows: int | None, samples: int) -> Iterator[tuple[slice, np.ndarray]]:
        """ln p(x|z) + ln p(z) - ln q(z|x) at `samples` draws z ~ q(z|x) of each of `rows` random held-out images.

        In blocks: which of the images, and the weights of some of their draws (b, s), nats. The posteriors are those of
        the table: nothing is encoded.
        """
        chosen = some_of(np.flatnonzero(self.table.held_out), rows, derive(self.seed, "importance rows"))
        images, draws = max(1, DECODED // samples), min(samples, DECODED)
        with progress("importance samples", len(chosen) * samples, "sample") as bar:
            for start in range(0, len(chosen), images):
                positions = chosen[start : start + images]
                for first in range(0, samples, draws):
                    some = min(draws, samples - first)
                    with own_noise(derive(self.seed, "importance samples", start, first)):
                        weights = self._weigh(positions, some)
                    bar.update(weights.size)
                    yield slice(start, start + len(positions)), weights

    def _weigh(self, positions: np.ndarray, draws: int) -> np.ndarray:
        """(B, draws) log weights of rows of the table."""
        latent, logvars = self.model.latent, self.table.logvars[positions]
        means, probabilities = np.split(self.table.codes[positions].astype(np.float64), [logvars.shape[1]], axis=1)
        # What an encoder would have said; probabilities are their own logits, up to what a softmax ignores.
        said = np.concatenate([means, logvars, np.log(np.maximum(probabilities, 1e-300))], axis=1)
        with evaluating(self.model):
            params = torch.from_numpy(said).to(self.device).repeat_interleave(draws, 0)
            q, prior = latent.posterior(params), latent.posterior(torch.zeros_like(params))  # N(0, I), uniform
            z = q.sample(relaxed=False)
            labels = self.labels_at(np.repeat(positions, draws))
            x = self.data.batch(torch.from_numpy(self.table.index[positions])).images.repeat_interleave(draws, 0)
            p = self.model.decode(z.float(), None if labels is None else torch.from_numpy(labels).to(self.device))
            log_weights = p.log_prob(x).double() + prior.log_prob(z).sum(1) - q.log_prob(z).sum(1)
        return log_weights.view(len(positions), draws).cpu().numpy()

    # What figures ask for: pictures, decoded from codes that are already there.

    def decode(
        self, z: np.ndarray, labels: np.ndarray | None = None, decoder: Callable[..., Any] | None = None
    ) -> np.ndarray:
        """Decoder means for latents (B, D) and, for conditional models, labels (B,): float32 (B, C, H, W)."""
        decoder = decoder or self.model.decode
        images, device = [], self.device
        with evaluating(self.model), progress("decoding", len(z), "image") as bar:
            parts = torch.from_numpy(np.asarray(z, np.float32)).to(device).split(DECODED)
            known = [None] * len(parts) if labels is None else torch.from_numpy(labels).to(device).split(DECODED)
            for part, u in zip(parts, known, strict=True):
                images.append(decoder(part, u).mean.cpu().numpy())
                bar.update(len(part))
        return np.concatenate(images)

    def labels_at(self, positions: np.ndarray) -> np.ndarray | None:
        """The labels of rows of the table, (B,) int64; None without labels."""
        return self.table.labels[positions].astype(np.int64) if self.table.labels.size else None

    def reconstruct(self, positions: np.ndarray) -> np.ndarray:
        """Decoder means at the codes of rows of the table."""
        return self.decode(self.modes(positions), self.labels_at(positions), self.model.reconstruct)

    def modes(self, positions: np.ndarray) -> np.ndarray:
        """What is decoded for the codes of rows of the table; the same noise every time, where there is any."""
        with own_noise(derive(self.seed, "noise of reconstructions")):
            return self.model.latent.mode(torch.from_numpy(self.table.codes[positions])).numpy()

    def shown(self, count: int) -> np.ndarray:
        """Positions in the table of the test images that figures show: spread over the held-out rows."""
        held_out = np.flatnonzero(self.table.held_out)
        return held_out[np.linspace(0, len(held_out) - 1, min(count, len(held_out)), dtype=int)]

    def images(self, positions: np.ndarray) -> np.ndarray:
        rows = torch.from_numpy(self.table.index[positions])
        return self.data.batch(rows).images.float().cpu().numpy()

    @property
    def kl_per_dim(self) -> np.ndarray | None:
        """Mean KL of each latent over the held-out images, nats; None without a density."""
        return self.table.kl_per_dim if self.table.kl_per_dim.size else None

    def class_logits(self, rows: np.ndarray) -> np.ndarray | None:
        """What the linear classifier beside the model says of rows of the table, (B, classes); None without one."""
        classifier = getattr(self.model, "classifier", None)
        if classifier is None or not rows.any():
            return None
        codes = torch.from_numpy(self.table.codes[rows])
        with torch.inference_mode():
            return classifier(codes.to(classifier.weight.device)).cpu().numpy()

    def samples(self, count: int) -> np.ndarray:
        """Decoder means of `count` draws from the prior; of conditional models the classes take turns."""
        classes = len(self.data.source.label_names)
        with own_noise(derive(self.seed, "prior samples")):
            z = self.model.sample_prior(count)
            return self.decode(z.numpy(), np.arange(count) % classes if classes else None)

    def traversal(self, position: int, dims: np.ndarray, values: np.ndarray) -> np.ndarray:
        """The code of one row of the table with one latent at a time set to each value: images (R, V, C, H, W).

        `values` are (R, V), or (V,) for all of the R `dims`. A conditional model keeps the label of the row.
        """
        values = np.broadcast_to(values, (len(dims), np.shape(values)[-1]))
        z = np.tile(self.modes(np.array([position])), (len(dims), values.shape[1], 1))
        z[np.arange(len(dims))[:, None], np.arange(values.shape[1]), dims[:, None]] = values
        labels = self.labels_at(np.full(values.size, position))
        return self.decode(z.reshape(values.size, -1), labels).reshape(*values.shape, *self.data.source.shape)

    def class_grid(self, positions: np.ndarray) -> np.ndarray | None:
        """Rows of the table decoded with each value of the first categorical latent: (R, K, C, H, W), None without."""
        if not self.table.categories.size or not self.model.reconstructs:
            return None
        latent, values = self.model.latent, int(self.table.categories[0])
        z = np.repeat(self.modes(positions), values, axis=0)
        z[:, latent.continuous : latent.continuous + values] = np.tile(np.eye(values), (len(positions), 1))
        labels = self.labels_at(np.repeat(positions, values))
        return self.decode(z, labels).reshape(len(positions), values, *self.data.source.shape)


def fingerprint(state: dict[str, Tensor]) -> str:
    """A short hash of a model's weights: which checkpoint a table or a score belongs to."""
    digest = hashlib.sha256()
    for name in sorted(state):
        digest.update(name.encode())
        digest.update(state[name].detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]
