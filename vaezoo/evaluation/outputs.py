"""What a trained model says about a data set, each piece computed once and only when it is asked for."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch

from vaezoo.evaluation.table import LatentTable, evaluating, some_of
from vaezoo.progress import progress
from vaezoo.seeds import derive, own_noise

DECODED = 1024  # latents decoded at once


class Outputs:
    """A model and its latent table, as the named arrays that metrics and figures ask for.

    Only metrics need the `data`: figures show the examples of the table.
    """

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
        table = self.table
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
            "factor_names": lambda: table.factor_names.tolist() or None,
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
            "pixels": lambda: int(np.prod(table.example_images.shape[1:])),
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
        """Positions in the table of at most `count` examples, spread over them."""
        examples = self.table.examples
        return examples[np.linspace(0, len(examples) - 1, min(count, len(examples)), dtype=int)]

    def classes_shown(self) -> np.ndarray:
        """Positions of one example of each class, in the order of the classes; none without labels."""
        examples = self.table.examples
        if not self.table.labels.size:
            return examples[:0]
        return examples[np.unique(self.table.labels[examples], return_index=True)[1]]

    def originals(self, positions: np.ndarray) -> np.ndarray:
        """The images (B, C, H, W) of examples."""
        return self.table.example_images[np.searchsorted(self.table.examples, positions)]

    def images(self, positions: np.ndarray) -> np.ndarray:
        """The images (B, C, H, W) of any rows of the table."""
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
        classes = len(self.table.label_names)
        with own_noise(derive(self.seed, "prior samples")):
            z = self.model.sample_prior(count)
            return self.decode(z.numpy(), np.arange(count) % classes if classes else None)

    @property
    def usual_range(self) -> str:
        """Which values of traversals suit the model (vaezoo.figures.traversal_values)."""
        if getattr(self.model.latent, "prior", "normal") == "uniform":
            return "pm1"
        # The scale of an autoencoder's codes is arbitrary: only the data know how far to go.
        return "prior_quantiles" if self.table.logvars.shape[1] else "data_quantiles"

    def traversal(self, positions: np.ndarray, dims: np.ndarray, values: np.ndarray, drawn: bool = False) -> np.ndarray:
        """The codes of B rows of the table with one latent at a time set to each value: images (B, R, V, C, H, W).

        `values` are (R, V), or (V,) for all of the R `dims`. `drawn` starts from one sample of the posterior instead of
        its mean. A conditional model keeps the labels of the rows.
        """
        values = np.broadcast_to(values, (len(dims), np.shape(values)[-1]))
        z = np.tile(self.start(positions, drawn)[:, None, None], (1, *values.shape, 1))
        z[:, np.arange(len(dims))[:, None], np.arange(values.shape[1]), dims[:, None]] = values
        return self.sheet(z, np.repeat(positions, values.size))

    def start(self, positions: np.ndarray, drawn: bool) -> np.ndarray:
        """Latents of rows of the table to change, (B, L): the modes, or with the Gaussian ones as one draw has them."""
        modes, logvars = self.modes(positions), self.table.logvars[positions]
        if drawn and logvars.size:
            noise = np.random.default_rng(derive(self.seed, "start of a traversal")).standard_normal(logvars.shape)
            modes[:, : logvars.shape[1]] += np.exp(logvars / 2) * noise.astype(np.float32)
        return modes

    def sheet(self, z: np.ndarray, positions: np.ndarray) -> np.ndarray:
        """Latents (..., L) decoded: images (..., C, H, W); `positions` are the rows whose labels they have."""
        images = self.decode(z.reshape(-1, z.shape[-1]), self.labels_at(positions))
        return images.reshape(*z.shape[:-1], *images.shape[1:])

    def with_categories(self, positions: np.ndarray, of: np.ndarray) -> np.ndarray:
        """Latents of rows of the table (R, L), each with every one of the category parts `of` (K, ...): (R, K, L)."""
        first = self.model.latent.continuous
        z = np.repeat(self.modes(positions)[:, None], len(of), axis=1)
        z[..., first : first + of.shape[1]] = of
        return z

    def category_traversal(self, position: int, dims: np.ndarray, values: np.ndarray) -> np.ndarray:
        """One row of the table with each value of its first category and of one latent: images (R, K, V, C, H, W)."""
        values = np.broadcast_to(values, (len(dims), np.shape(values)[-1]))
        categories = np.eye(int(self.table.categories[0]))
        z = self.with_categories(np.array([position]), categories)[:, :, None]  # (1, K, 1, L)
        z = np.tile(z, (len(dims), 1, values.shape[1], 1))
        for r, dim in enumerate(dims):
            z[r, :, :, dim] = values[r]
        return self.sheet(z, np.full(z[..., 0].size, position))

    def class_grid(self, positions: np.ndarray) -> np.ndarray | None:
        """Rows of the table decoded with each value of the first categorical latent: (R, K, C, H, W), None without."""
        if not self.table.categories.size or not self.model.reconstructs:
            return None
        values = int(self.table.categories[0])
        return self.sheet(self.with_categories(positions, np.eye(values)), np.repeat(positions, values))

    def swap(self, rows: np.ndarray, columns: np.ndarray) -> np.ndarray | None:
        """What is continuous of `rows` of the table with what is categorical of others: images (R, K, C, H, W).

        Of a conditional model the class is what is categorical. None of a model that has neither.
        """
        if not self.model.reconstructs:
            return None
        if self.table.categories.size:
            first, places = self.model.latent.continuous, int(self.table.categories.sum())
            z = self.with_categories(rows, self.modes(columns)[:, first : first + places])
        elif self.model.conditional:
            z = np.repeat(self.modes(rows)[:, None], len(columns), axis=1)
        else:
            return None
        return self.sheet(z, np.tile(columns, len(rows)))
