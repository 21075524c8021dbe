"""A trained model with its latent table: decoded images, traversals, samples and importance weights."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch

from vaezoo.evaluation.table import LatentTable, draw_ascending, evaluating
from vaezoo.progress import progress
from vaezoo.seeds import derive, own_noise

DECODED = 1024  # latents decoded at once


class Outputs:
    """A model and its latent table. Codes are not computed again, images are decoded from the table.

    Positions are indices into the table. Only metrics need the `data`, because figures show the examples of the table.
    """

    def __init__(self, model: Any, data: Any, table: LatentTable, title: str, seed: int = 0) -> None:
        self.model = model
        self.data = data
        self.table = table
        self.title = title
        self.seed = seed

    @property
    def device(self) -> torch.device:
        """Return the device of the model."""
        return next(self.model.parameters()).device

    def log_weights(self, rows: int | None, samples: int) -> Iterator[tuple[slice, np.ndarray]]:
        """Yield ln p(x|z) + ln p(z) - ln q(z|x) at `samples` draws z ~ q(z|x) for `rows` random held-out images.

        A block is a slice of these images, with the weights (b, s) of some of their draws, nats. The posteriors come
        from the table, so that nothing is encoded.
        """
        tested = draw_ascending(np.flatnonzero(self.table.held_out), rows, derive(self.seed, "importance rows"))
        images, draws = max(1, DECODED // samples), min(samples, DECODED)
        with progress("importance samples", len(tested) * samples, "sample") as bar:
            for start in range(0, len(tested), images):
                positions = tested[start : start + images]
                for first in range(0, samples, draws):
                    with own_noise(derive(self.seed, "importance samples", start, first)):
                        weights = self._weigh(positions, min(draws, samples - first))
                    bar.update(weights.size)
                    yield slice(start, start + len(positions)), weights

    def _weigh(self, positions: np.ndarray, draws: int) -> np.ndarray:
        """Return the log weights (B, draws) at positions in the table."""
        latent, logvars = self.model.latent, self.table.logvars[positions]
        means, probabilities = np.split(self.table.codes[positions].astype(np.float64), [logvars.shape[1]], axis=1)
        # The output of an encoder, because logarithms of probabilities are logits.
        encoded = np.concatenate([means, logvars, np.log(np.maximum(probabilities, 1e-300))], axis=1)
        with evaluating(self.model):
            params = torch.from_numpy(encoded).to(self.device).repeat_interleave(draws, 0)
            q, prior = latent.posterior(params), latent.posterior(torch.zeros_like(params))  # N(0, I), uniform
            z = q.sample(relaxed=False)
            labels = self.labels_at(np.repeat(positions, draws))
            x = self.data.batch(torch.from_numpy(self.table.index[positions])).images.repeat_interleave(draws, 0)
            p = self.model.decode(z.float(), None if labels is None else torch.from_numpy(labels).to(self.device))
            log_weights = p.log_prob(x).double() + prior.log_prob(z).sum(1) - q.log_prob(z).sum(1)
        return log_weights.view(len(positions), draws).cpu().numpy()

    def decode(
        self, z: np.ndarray, labels: np.ndarray | None = None, decoder: Callable[..., Any] | None = None
    ) -> np.ndarray:
        """Return decoder means (B, C, H, W) for latents (B, D) and, in conditional models, labels (B,); float32."""
        decoder = decoder or self.model.decode
        images, device = [], self.device
        with evaluating(self.model), progress("decoding", len(z), "image") as bar:
            parts = torch.from_numpy(np.asarray(z, np.float32)).to(device).split(DECODED)
            classes = [None] * len(parts) if labels is None else torch.from_numpy(labels).to(device).split(DECODED)
            for part, u in zip(parts, classes, strict=True):
                images.append(decoder(part, u).mean.cpu().numpy())
                bar.update(len(part))
        return np.concatenate(images)

    def labels_at(self, positions: np.ndarray) -> np.ndarray | None:
        """Return the labels at positions in the table, (B,) int64; None without labels."""
        return self.table.labels[positions].astype(np.int64) if self.table.labels.size else None

    def reconstruct(self, positions: np.ndarray) -> np.ndarray:
        """Return decoder means at the codes of positions in the table."""
        return self.decode(self.modes(positions), self.labels_at(positions), self.model.reconstruct)

    def modes(self, positions: np.ndarray) -> np.ndarray:
        """Return the latents that are decoded for codes at positions in the table, with the same noise every time."""
        with own_noise(derive(self.seed, "noise of reconstructions")):
            return self.model.latent.mode(torch.from_numpy(self.table.codes[positions])).numpy()

    def spread_examples(self, count: int) -> np.ndarray:
        """Return the positions of at most `count` examples, spread over all of them."""
        examples = self.table.examples
        return examples[np.linspace(0, len(examples) - 1, min(count, len(examples)), dtype=int)]

    def class_examples(self) -> np.ndarray:
        """Return the positions of one example of each class, in the order of the classes; none without labels."""
        examples = self.table.examples
        if not self.table.labels.size:
            return examples[:0]
        return examples[np.unique(self.table.labels[examples], return_index=True)[1]]

    def originals(self, positions: np.ndarray) -> np.ndarray:
        """Return the images (B, C, H, W) of examples."""
        return self.table.example_images[np.searchsorted(self.table.examples, positions)]

    def images(self, positions: np.ndarray) -> np.ndarray:
        """Return the images (B, C, H, W) at any positions in the table; needs the data."""
        rows = torch.from_numpy(self.table.index[positions])
        return self.data.batch(rows).images.float().cpu().numpy()

    @property
    def kl_per_dim(self) -> np.ndarray | None:
        """Return the mean KL of each latent over the held-out images, nats; None without a density."""
        return self.table.kl_per_dim if self.table.kl_per_dim.size else None

    def class_logits(self, rows: np.ndarray) -> np.ndarray | None:
        """Return the outputs (B, classes) of the linear classifier beside the model, for `rows` (N,) booleans.

        None without a classifier or without rows.
        """
        classifier = getattr(self.model, "classifier", None)
        if classifier is None or not rows.any():
            return None
        codes = torch.from_numpy(self.table.codes[rows])
        with torch.inference_mode():
            return classifier(codes.to(classifier.weight.device)).cpu().numpy()

    def samples(self, count: int) -> np.ndarray:
        """Return decoder means of `count` draws from the prior; in conditional models the classes take turns."""
        classes = len(self.table.label_names)
        with own_noise(derive(self.seed, "prior samples")):
            z = self.model.sample_prior(count)
            return self.decode(z.numpy(), np.arange(count) % classes if classes else None)

    @property
    def usual_range(self) -> str:
        """Return the preset of traversal values that suits the model (vaezoo.figures.traversal_values)."""
        if getattr(self.model.latent, "prior", "normal") == "uniform":
            return "pm1"
        # The scale of an autoencoder's codes is arbitrary, so that only the codes themselves have a range.
        return "prior_quantiles" if self.table.logvars.shape[1] else "data_quantiles"

    def traversal(self, positions: np.ndarray, dims: np.ndarray, values: np.ndarray, drawn: bool = False) -> np.ndarray:
        """Decode the codes at B positions with one latent at a time set to each value: images (B, R, V, C, H, W).

        `values` are (R, V), or (V,) for all of the R `dims`. `drawn` starts from one sample of the posterior instead of
        its mean. In a conditional model the images keep their labels.
        """
        values = np.broadcast_to(values, (len(dims), np.shape(values)[-1]))
        z = np.tile(self.start_latents(positions, drawn)[:, None, None], (1, *values.shape, 1))
        z[:, np.arange(len(dims))[:, None], np.arange(values.shape[1]), dims[:, None]] = values
        return self.decode_grid(z, np.repeat(positions, values.size))

    def start_latents(self, positions: np.ndarray, drawn: bool) -> np.ndarray:
        """Return the latents (B, L) that a traversal changes: the modes, or one draw of the Gaussian ones."""
        modes, logvars = self.modes(positions), self.table.logvars[positions]
        if drawn and logvars.size:
            noise = np.random.default_rng(derive(self.seed, "start of a traversal")).standard_normal(logvars.shape)
            modes[:, : logvars.shape[1]] += np.exp(logvars / 2) * noise.astype(np.float32)
        return modes

    def decode_grid(self, z: np.ndarray, positions: np.ndarray) -> np.ndarray:
        """Decode latents (..., L) with the labels at positions (B,), a label each: images (..., C, H, W)."""
        images = self.decode(z.reshape(-1, z.shape[-1]), self.labels_at(positions))
        return images.reshape(*z.shape[:-1], *images.shape[1:])

    def set_categories(self, positions: np.ndarray, indicators: np.ndarray) -> np.ndarray:
        """Return the latents (R, K, L) at R positions, each with K values of its categories, `indicators` (K, .)."""
        first = self.model.latent.continuous
        z = np.repeat(self.modes(positions)[:, None], len(indicators), axis=1)
        z[..., first : first + indicators.shape[1]] = indicators
        return z

    def category_traversal(self, position: int, dims: np.ndarray, values: np.ndarray) -> np.ndarray:
        """Decode a code with each value of its first category and of each latent: images (R, K, V, C, H, W)."""
        values = np.broadcast_to(values, (len(dims), np.shape(values)[-1]))
        categories = np.eye(int(self.table.categories[0]))
        z = self.set_categories(np.array([position]), categories)[:, :, None]  # (1, K, 1, L)
        z = np.tile(z, (len(dims), 1, values.shape[1], 1))
        for r, dim in enumerate(dims):
            z[r, :, :, dim] = values[r]
        return self.decode_grid(z, np.full(z[..., 0].size, position))

    def class_grid(self, positions: np.ndarray) -> np.ndarray | None:
        """Decode the codes at R positions with each value of the first categorical latent: images (R, K, C, H, W).

        None without categories or reconstructions.
        """
        if not self.table.categories.size or not self.model.reconstructs:
            return None
        values = int(self.table.categories[0])
        return self.decode_grid(self.set_categories(positions, np.eye(values)), np.repeat(positions, values))

    def swap(self, rows: np.ndarray, columns: np.ndarray) -> np.ndarray | None:
        """Decode the continuous latents at R positions with the categories at K others: images (R, K, C, H, W).

        In a conditional model the classes take the place of categories. None for a model that has neither.
        """
        if not self.model.reconstructs:
            return None
        if self.table.categories.size:
            first, places = self.model.latent.continuous, int(self.table.categories.sum())
            z = self.set_categories(rows, self.modes(columns)[:, first : first + places])
        elif self.model.conditional:
            z = np.repeat(self.modes(rows)[:, None], len(columns), axis=1)
        else:
            return None
        return self.decode_grid(z, np.tile(columns, len(rows)))
