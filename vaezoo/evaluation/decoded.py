"""Images for the scores that look at images: each kind is made once in an evaluation, when the first score asks."""

from collections.abc import Callable, Sequence
from functools import cached_property, partial
from typing import Any

import numpy as np

from vaezoo.evaluation import features
from vaezoo.evaluation.features import Extractor
from vaezoo.evaluation.outputs import Outputs
from vaezoo.figures.traversal_values import traversal_values
from vaezoo.seeds import derive

FIXTURES = (
    "images",
    "reconstructions",
    "prior_samples",
    "image_labels",
    "label_names",
    "train_inception",
    "sample_inception",
    "train_features",
    "sample_features",
    "test_features",
    "noise_features",
    "extractor",
    "extractor_accuracy",
    "small_classifier",
    "traversals",
)


class Decoded:
    """At most `count` images of each kind (None: as many as there are), float32 in [0, 1], in random order.

    `inception` is the file with the weights of Inception; None: looked for in its usual places.
    """

    def __init__(self, outputs: Outputs, count: int | None, inception: str | None) -> None:
        self.outputs = outputs
        self.data = outputs.data
        self.count = count
        self.weights = inception

    def fixtures(self) -> dict[str, Callable[[], Any]]:
        return {name: partial(getattr, self, name) for name in FIXTURES}

    # Images.

    @cached_property
    def positions(self) -> np.ndarray:
        """Held-out rows of the table."""
        held_out = np.flatnonzero(self.outputs.table.held_out)
        return np.random.default_rng(derive(self.outputs.seed, "images")).permutation(held_out)[: self.count]

    @cached_property
    def train_rows(self) -> np.ndarray:
        """Rows of the data set; the same in all runs, since features of real images are kept."""
        return np.random.default_rng(derive(0, "real images")).permutation(self.data.rows.train)[: self.count]

    @cached_property
    def images(self) -> np.ndarray | None:
        return self.outputs.images(self.positions) if self.positions.size else None

    @cached_property
    def reconstructions(self) -> np.ndarray | None:
        known = self.positions.size and self.outputs.model.reconstructs
        return self.outputs.reconstruct(self.positions) if known else None

    @cached_property
    def prior_samples(self) -> np.ndarray:
        """As many as training images, for their distance depends on how many they are."""
        return self.outputs.samples(len(self.train_rows))

    @property
    def train_images(self) -> np.ndarray:
        return self.data.source.pixels(self.train_rows)

    @property
    def noise(self) -> np.ndarray:
        """White noise, as many images as samples."""
        shape = (len(self.train_rows), *self.data.source.shape)
        return np.random.default_rng(derive(0, "white noise")).random(shape, dtype=np.float32)

    @property
    def image_labels(self) -> np.ndarray | None:
        return self.outputs.labels_at(self.positions) if self.positions.size else None

    @property
    def label_names(self) -> Sequence[str] | None:
        return self.data.source.label_names or None

    @property
    def traversals(self) -> Callable[[int], tuple[np.ndarray, np.ndarray]] | None:
        """What decodes some held-out images and their traversals; None where nothing continuous is decoded."""
        table, model = self.outputs.table, self.outputs.model
        latents = table.codes.shape[1] - int(table.categories.sum())
        if not model.reconstructs or not latents or not self.positions.size:
            return None
        values = traversal_values(self.outputs.usual_range, table.codes[table.held_out, :latents])

        def decoded(count: int) -> tuple[np.ndarray, np.ndarray]:
            """At their codes (B, C, H, W), and with each latent at each value (B, R, V, C, H, W)."""
            positions = self.positions[:count]
            unmoved = self.outputs.decode(self.outputs.modes(positions), self.outputs.labels_at(positions))
            return unmoved, self.outputs.traversal(positions, np.arange(latents), values)

        return decoded

    # Their features.

    @cached_property
    def inception(self) -> Extractor:
        return features.inception(self.weights)

    @cached_property
    def train_inception(self) -> np.ndarray:
        def make() -> np.ndarray:
            return self.seen_by(self.inception, self.train_images)

        return features.kept(self.inception, self.data, self.train_rows, make)

    @cached_property
    def sample_inception(self) -> np.ndarray:
        return self.seen_by(self.inception, self.prior_samples)

    @cached_property
    def learned(self) -> Extractor:
        return features.learned(self.data, self.outputs.device)

    @cached_property
    def train_features(self) -> np.ndarray:
        return self.seen_by(self.learned, self.train_images)

    @cached_property
    def sample_features(self) -> np.ndarray:
        return self.seen_by(self.learned, self.prior_samples)

    @cached_property
    def test_features(self) -> np.ndarray | None:
        return None if self.images is None else self.seen_by(self.learned, self.images)

    @cached_property
    def noise_features(self) -> np.ndarray:
        return self.seen_by(self.learned, self.noise)

    @property
    def extractor(self) -> str:
        return self.learned.name

    @property
    def extractor_accuracy(self) -> float:
        return self.learned.accuracy

    def small_classifier(self, positions: np.ndarray, classes: np.ndarray, seed: int) -> np.ndarray:
        """Logits for all held-out images of a small network that learned the classes of some training images.

        `positions` count the training images of the table, as `train_clusters` has them.
        """
        table = self.outputs.table
        rows = table.index[table.scored & ~table.held_out][positions]
        test = table.index[table.held_out]
        return features.small_classifier(self.data, rows, classes, test, seed, self.outputs.device)

    def seen_by(self, extractor: Extractor, images: np.ndarray) -> np.ndarray:
        return features.features(extractor, images, self.outputs.device)
