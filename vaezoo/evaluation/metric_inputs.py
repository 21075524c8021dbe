"""The inputs of metrics: arrays of the latent table, and images with their features."""

import inspect
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property

import numpy as np

from vaezoo.evaluation import features
from vaezoo.evaluation.features import Extractor
from vaezoo.evaluation.inputs import Inputs, provided
from vaezoo.evaluation.outputs import Outputs
from vaezoo.figures.traversal_values import traversal_values
from vaezoo.seeds import derive

NO_FACTORS = "the data set has no ground-truth factors"
NO_LABELS = "the data set has no labels"
NO_POSTERIOR = "the model has no Gaussian posterior with a standard normal prior"
NO_ROWS = "no rows were encoded for it (metric.rows=0)"
NO_TEST_ROWS = "no held-out images were encoded (metric.test_rows=0, or a data set without a test part)"
NO_TRAIN_ROWS = "no training images were encoded (metric.rows)"
NO_RECONSTRUCTIONS = "the model reconstructs no images"
NO_CLASSIFIER = "there is no classifier beside the model (model.classifier)"
OF_SCORED_ROWS = {"codes", "means", "logvars", "factors", "labels"}
OF_TEST_ROWS = {"kl_per_dim", "log_likelihood", "rec_floor", "log_weights", "squared_error", "absolute_error"}
OF_TEST_ROWS |= {"cross_entropy", "images", "reconstructions", "image_labels", "traversals"}


class MetricInputs(Inputs):
    """What the parameters of metrics may name; each input is computed once, when the first metric asks for it.

    N scored rows have D codes, J Gaussian latents and K factors; names that begin with `test_` are of the M held-out
    rows, and those that begin with `train_` of the L scored rows that are not held out. Of images there are at most
    `image_count` of each kind (None: as many as there are), float32 in [0, 1] and in random order. `inception` is the
    file with the weights of Inception; None: it is looked for in its usual places.
    """

    def __init__(self, outputs: Outputs, image_count: int | None, inception: str | None) -> None:
        super().__init__()
        self.outputs = outputs
        self.table = outputs.table
        self.data = outputs.data
        self.image_count = image_count
        self.weights = inception
        self.scored, self.test = self.table.scored, self.table.held_out
        self.train = self.scored & ~self.test
        self.gaussian = self.table.logvars.shape[1]  # the first columns of the codes
        self.continuous = self.table.codes.shape[1] - int(self.table.categories.sum())

    def explain(self, parameter: inspect.Parameter) -> str:
        """Return the reason why the input for a parameter is absent; missing rows come before what the model lacks."""
        name = parameter.name
        if name in OF_SCORED_ROWS and not self.scored.any():
            return NO_ROWS
        if (name in OF_TEST_ROWS or name.startswith("test_")) and not self.test.any():
            return NO_TEST_ROWS
        if name.startswith("train_") and not self.train.any():
            return NO_TRAIN_ROWS
        return super().explain(parameter)

    def without_categories(self) -> Inputs:
        """Return the same inputs with the continuous latents alone as codes."""
        codes = self.table.codes[:, : self.continuous]
        return self.replace(codes=take(codes, self.scored), test_codes=take(codes, self.test), categories=None)

    # ---- codes -------------------------------------------------------------------------------------------------------

    @provided(unless=NO_ROWS)
    def codes(self) -> np.ndarray | None:
        """Return (N, D) posterior means, then the probabilities of each categorical latent; float32."""
        return take(self.table.codes, self.scored)

    @provided(unless=NO_TEST_ROWS)
    def test_codes(self) -> np.ndarray | None:
        """Return (M, D) codes of the held-out images."""
        return take(self.table.codes, self.test)

    @provided(unless=NO_TRAIN_ROWS)
    def train_codes(self) -> np.ndarray | None:
        """Return (L, D) codes of the other scored images."""
        return take(self.table.codes, self.train)

    @provided(unless="the model has no categorical latents")
    def categories(self) -> tuple[int, ...] | None:
        """Return the number of values of each categorical latent."""
        return tuple(self.table.categories.tolist()) or None

    @provided(unless=NO_POSTERIOR)
    def means(self) -> np.ndarray | None:
        """Return (N, J) means of the Gaussian posteriors."""
        return take(self.table.codes[:, : self.gaussian], self.scored)

    @provided(unless=NO_POSTERIOR)
    def test_means(self) -> np.ndarray | None:
        """Return (M, J) means of the Gaussian posteriors of the held-out images."""
        return take(self.table.codes[:, : self.gaussian], self.test)

    @provided(unless=NO_POSTERIOR)
    def logvars(self) -> np.ndarray | None:
        """Return (N, J) log variances of the Gaussian posteriors."""
        return take(self.table.logvars, self.scored)

    @provided(unless=NO_POSTERIOR)
    def test_logvars(self) -> np.ndarray | None:
        """Return (M, J) log variances of the Gaussian posteriors of the held-out images."""
        return take(self.table.logvars, self.test)

    @provided(unless="the model sorts images into no clusters")
    def test_clusters(self) -> np.ndarray | None:
        """Return (M, clusters) probabilities of the clusters of the held-out images."""
        return take(self.table.clusters, self.test)

    @provided(unless="the model sorts images into no clusters")
    def train_clusters(self) -> np.ndarray | None:
        """Return (L, clusters) probabilities of the clusters of the other scored images."""
        return take(self.table.clusters, self.train)

    @provided(unless=NO_CLASSIFIER)
    def test_class_logits(self) -> np.ndarray | None:
        """Return (M, classes) outputs of the linear classifier beside the model for the held-out images."""
        return self.outputs.class_logits(self.test)

    @provided(unless=NO_CLASSIFIER)
    def train_class_logits(self) -> np.ndarray | None:
        """Return (L, classes) outputs of the linear classifier beside the model for the other scored images."""
        return self.outputs.class_logits(self.train)

    # ---- what the data set knows of its images -----------------------------------------------------------------------

    @provided(unless=NO_FACTORS)
    def factors(self) -> np.ndarray | None:
        """Return (N, K) levels of the ground-truth factors, integers."""
        return take(self.table.factors, self.scored)

    @provided(unless=NO_FACTORS)
    def test_factors(self) -> np.ndarray | None:
        """Return (M, K) levels of the factors of the held-out images, integers."""
        return take(self.table.factors, self.test)

    @provided(unless="the factors of the data set have no names")
    def factor_names(self) -> Sequence[str] | None:
        """Return the names of the K factors."""
        return self.table.factor_names.tolist() or None

    @provided(unless=NO_LABELS)
    def labels(self) -> np.ndarray | None:
        """Return (N,) classes, integers."""
        return take(self.table.labels, self.scored)

    @provided(unless=NO_LABELS)
    def test_labels(self) -> np.ndarray | None:
        """Return (M,) classes of the held-out images, integers."""
        return take(self.table.labels, self.test)

    @provided(unless=NO_LABELS)
    def train_labels(self) -> np.ndarray | None:
        """Return (L,) classes of the other scored images, integers."""
        return take(self.table.labels, self.train)

    @provided(unless="the classes of the data set have no names")
    def label_names(self) -> Sequence[str] | None:
        """Return the names of the classes."""
        return self.data.source.label_names or None

    @provided(unless="the scored rows are not both held-out images and others")
    def held_out(self) -> np.ndarray | None:
        """Return (N,) booleans: which of the scored rows are held out."""
        held_out = self.test[self.scored]
        return held_out if held_out.any() and not held_out.all() else None

    # ---- densities and errors of the held-out images -----------------------------------------------------------------

    @provided(unless="the model has no density of its codes")
    def kl_per_dim(self) -> np.ndarray | None:
        """Return the mean KL of each latent over the held-out images, nats."""
        return self.outputs.kl_per_dim

    @provided(unless="the loss of the model has no weight of the KL divergence")
    def kl_weight(self) -> float | None:
        """Return the number that multiplies the KL in the loss, such as beta, at the last batch."""
        model = self.outputs.model
        return None if model.kl_weight is None else float(model.now(model.kl_weight))

    @provided(unless="the model has no likelihood of images")
    def log_likelihood(self) -> np.ndarray | None:
        """Return (M,) log p(x|z) at one sample of q(z|x), nats."""
        return self._measured(self.table.log_likelihood)

    @provided(unless="the likelihood of the model has no such bound")
    def rec_floor(self) -> np.ndarray | None:
        """Return (M,) the least value that -log p(x|z) can have, nats."""
        return self._measured(self.table.rec_floor)

    @provided(unless="the model has no likelihood of images or no density of its codes")
    def log_weights(self) -> Callable[[int | None, int], Iterator[tuple[slice, np.ndarray]]] | None:
        """Return a function (rows, samples) -> blocks of importance weights, as Outputs.log_weights describes it."""
        return self.outputs.log_weights if self.gaussian and self.log_likelihood is not None else None

    @provided(unless=NO_RECONSTRUCTIONS)
    def squared_error(self) -> np.ndarray | None:
        """Return (M,) squared errors of the reconstructions, sums over the values of an image."""
        return self._measured(self.table.squared_error)

    @provided(unless=NO_RECONSTRUCTIONS)
    def absolute_error(self) -> np.ndarray | None:
        """Return (M,) absolute errors of the reconstructions, sums over the values of an image."""
        return self._measured(self.table.absolute_error)

    @provided(unless=NO_RECONSTRUCTIONS)
    def cross_entropy(self) -> np.ndarray | None:
        """Return (M,) cross-entropies of the reconstructions, nats, sums over the values of an image."""
        return self._measured(self.table.cross_entropy)

    @provided()
    def pixels(self) -> int:
        """Return the number of values of one image, C H W."""
        return int(np.prod(self.table.example_images.shape[1:]))

    def _measured(self, values: np.ndarray) -> np.ndarray | None:
        """Return a column of the table for the held-out images; None where the model gives no values."""
        return None if np.isnan(values[self.test]).all() else take(values, self.test)

    # ---- images ------------------------------------------------------------------------------------------------------

    @cached_property
    def positions(self) -> np.ndarray:
        """Return positions in the table of the held-out images."""
        rng = np.random.default_rng(derive(self.outputs.seed, "images"))
        return rng.permutation(np.flatnonzero(self.test))[: self.image_count]

    @cached_property
    def train_rows(self) -> np.ndarray:
        """Return rows of the data set, equal in all runs, because runs share the features of real images."""
        return np.random.default_rng(derive(0, "real images")).permutation(self.data.rows.train)[: self.image_count]

    @property
    def train_images(self) -> np.ndarray:
        """Return training images, (., C, H, W)."""
        return self.data.source.pixels(self.train_rows)

    @provided(unless=NO_TEST_ROWS)
    def images(self) -> np.ndarray | None:
        """Return (., C, H, W) held-out images."""
        return self.outputs.images(self.positions) if self.positions.size else None

    @provided(unless=NO_RECONSTRUCTIONS)
    def reconstructions(self) -> np.ndarray | None:
        """Return (., C, H, W) reconstructions of `images`."""
        if not self.positions.size or not self.outputs.model.reconstructs:
            return None
        return self.outputs.reconstruct(self.positions)

    @provided(unless=NO_LABELS)
    def image_labels(self) -> np.ndarray | None:
        """Return (.,) classes of `images`."""
        return self.outputs.labels_at(self.positions) if self.positions.size else None

    @provided()
    def prior_samples(self) -> np.ndarray:
        """Return (., C, H, W) decoded draws from the prior.

        There are as many as training images, because distances depend on the number of images.
        """
        return self.outputs.samples(len(self.train_rows))

    @provided(unless="the model has no continuous latents that make an image")
    def traversals(self) -> Callable[[int], tuple[np.ndarray, np.ndarray]] | None:
        """Return a function: number of held-out images B -> decoder means at their codes (B, C, H, W) and traversals.

        Traversals are (B, R, V, C, H, W): each continuous latent at each of its values, the others as they are.
        """
        if not self.outputs.model.reconstructs or not self.continuous or not self.positions.size:
            return None
        values = traversal_values(self.outputs.usual_range, self.table.codes[self.test, : self.continuous])

        def traverse(count: int) -> tuple[np.ndarray, np.ndarray]:
            positions = self.positions[:count]
            unmoved = self.outputs.decode(self.outputs.modes(positions), self.outputs.labels_at(positions))
            return unmoved, self.outputs.traversal(positions, np.arange(self.continuous), values)

        return traverse

    # ---- features of images ------------------------------------------------------------------------------------------

    @cached_property
    def inception(self) -> Extractor:
        """Return Inception; raise Skip where its package or its weights are missing."""
        return features.load_inception(self.weights)

    @provided()
    def train_inception(self) -> np.ndarray:
        """Return (., 2048) features of training images by Inception."""
        return features.load_or_make(
            self.inception, self.data, self.train_rows, lambda: self._extract(self.inception, self.train_images)
        )

    @provided()
    def sample_inception(self) -> np.ndarray:
        """Return (., 2048) features of `prior_samples` by Inception."""
        return self._extract(self.inception, self.prior_samples)

    @cached_property
    def learned(self) -> Extractor:
        """Return the small network that learned the factors or classes of the data set; raise Skip without these."""
        return features.load_or_learn(self.data, self.outputs.device)

    @provided()
    def train_features(self) -> np.ndarray:
        """Return (., 64) features of training images by the network `extractor`."""
        return self._extract(self.learned, self.train_images)

    @provided()
    def sample_features(self) -> np.ndarray:
        """Return (., 64) features of `prior_samples` by the network `extractor`."""
        return self._extract(self.learned, self.prior_samples)

    @provided(unless=NO_TEST_ROWS)
    def test_features(self) -> np.ndarray | None:
        """Return (., 64) features of held-out images by the network `extractor`."""
        return None if self.images is None else self._extract(self.learned, self.images)

    @provided()
    def noise_features(self) -> np.ndarray:
        """Return (., 64) features of white noise by the network `extractor`, as many images as `prior_samples`."""
        shape = (len(self.train_rows), *self.data.source.shape)
        noise = np.random.default_rng(derive(0, "white noise")).random(shape, dtype=np.float32)
        return self._extract(self.learned, noise)

    @provided()
    def extractor(self) -> str:
        """Return the name of the network that makes the 64 features: the data set and a hash of the weights."""
        return self.learned.name

    @provided()
    def extractor_accuracy(self) -> float:
        """Return the accuracy of `extractor` on held-out images."""
        return self.learned.accuracy

    @provided()
    def small_classifier(self) -> Callable[[np.ndarray, np.ndarray, int], np.ndarray]:
        """Return a function: positions (B,), classes (B,), seed -> logits (M, classes) for the held-out images.

        A small network learns the classes of those training images; positions count the rows of `train_clusters`.
        """

        def classify(positions: np.ndarray, classes: np.ndarray, seed: int) -> np.ndarray:
            rows, test_rows = self.table.index[self.train][positions], self.table.index[self.test]
            return features.classify_by_small_network(self.data, rows, classes, test_rows, seed, self.outputs.device)

        return classify

    def _extract(self, extractor: Extractor, images: np.ndarray) -> np.ndarray:
        """Return the features of images."""
        return features.extract(extractor, images, self.outputs.device)


def take(column: np.ndarray, rows: np.ndarray) -> np.ndarray | None:
    """Return some rows of a column of the table; None where the column or the choice is empty."""
    return column[rows] if column.size and rows.any() else None
