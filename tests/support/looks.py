"""What can be said of a training by looking at its pictures, which slow tests hold to what models claim."""

from functools import cache, cached_property

import numpy as np
import torch
from hydra.utils import instantiate
from sklearn.kernel_ridge import KernelRidge
from sklearn.metrics.pairwise import euclidean_distances
from sklearn.svm import SVC

from tests.support.configuration import compose_train
from tests.support.slow import Run
from vaezoo.seeds import own_noise

TAUGHT, CALIBRATED = 5000, 2000  # real images, at most
SAMPLES = 1000


def flat(data, rows: np.ndarray) -> np.ndarray:
    """Images of a data set as (N, P)."""
    return data.source.pixels(rows).reshape(len(rows), -1)


class Reader:
    """A classifier of real images alone, which also says when an image is like none of them.

    It is kernel ridge regression of one-hot classes on pixels. An image is recognised when its largest output is above,
    and its squared distance to the nearest real image below, what 95 % of held-out real images reach: an image between
    classes fails the first, noise the second, where classifiers can be sure of anything. `binary` rounds real images.
    """

    def __init__(self, data, binary: bool) -> None:
        train, test = data.rows.train[:TAUGHT], data.rows.test[:CALIBRATED]
        self.taught, self.held_out = flat(data, train), flat(data, test)
        if binary:
            self.taught, self.held_out = self.taught.round(), self.held_out.round()
        self.labels = data.source.labels[test]
        width = 2 / (self.taught.shape[1] * self.taught.var())
        self.regression = KernelRidge(alpha=0.01, kernel="rbf", gamma=width)
        self.regression.fit(self.taught, np.eye(10)[data.source.labels[train]])
        outputs, distances = self.regression.predict(self.held_out), self.distances(self.held_out)
        self.least, self.furthest = np.quantile(outputs.max(axis=1), 0.05), np.quantile(distances, 0.95)

    def distances(self, images: np.ndarray) -> np.ndarray:
        """The squared error a pixel of each image to the nearest real one."""
        return euclidean_distances(images, self.taught, squared=True).min(axis=1) / images.shape[1]

    def read(self, images: np.ndarray) -> np.ndarray:
        """The class of each image."""
        return self.regression.predict(images).argmax(axis=1)

    def recognises(self, images: np.ndarray) -> np.ndarray:
        """Whether each image is recognised."""
        sure = self.regression.predict(images).max(axis=1) > self.least
        return sure & (self.distances(images) < self.furthest)


def nothings(images: np.ndarray) -> np.ndarray:
    """What is of no class: noise, and images whose pixels are each of another real one (N, P)."""
    rng = np.random.default_rng(0)
    shape = (500, images.shape[1])
    scrambled = images[rng.integers(len(images), size=shape), np.arange(shape[1])]
    return np.concatenate([rng.random(shape), scrambled])


@cache
def reader_of(dataset: str, binary: bool = False) -> Reader:
    data = instantiate(compose_train(f"dataset={dataset}").dataset)
    data.setup()
    return Reader(data, binary)


class Look:
    """Of one run; pictures are made when they are asked for."""

    def __init__(self, run: Run, binary: bool = False) -> None:
        self.table = run.table
        self.model, self.data = run.restored()
        self.data.setup()
        self.reader = reader_of(self.data.name, binary)

    @cached_property
    def codes(self) -> torch.Tensor:
        return torch.from_numpy(self.table["codes"])

    @cached_property
    def images(self) -> np.ndarray:
        return flat(self.data, self.table["index"][self.table["held_out"]])

    @cached_property
    def reconstructions(self) -> np.ndarray:
        """Of the held-out images, in their order."""
        with torch.no_grad(), own_noise(0):
            latents = self.model.latent.mode(self.codes[self.table["held_out"]])
            return self.model.reconstruct(latents).mean.flatten(1).numpy()

    @cached_property
    def samples(self) -> np.ndarray:
        """Images of draws from the prior."""
        with torch.no_grad(), own_noise(0):
            return self.model.decode(self.model.sample_prior(SAMPLES)).mean.flatten(1).numpy()

    @property
    def read(self) -> float:
        """The share of held-out images whose reconstruction is read as the class that they are of."""
        return (self.reader.read(self.reconstructions) == self.table["labels"][self.table["held_out"]]).mean()

    @property
    def shuffled(self) -> float:
        """The squared error a pixel between held-out images and reconstructions of others, over all pairs."""
        x, y = self.images.astype(np.float64), self.reconstructions.astype(np.float64)
        own = np.square(x - y).sum()
        every = len(x) * (np.square(x).sum() + np.square(y).sum()) - 2 * x.sum(axis=0) @ y.sum(axis=0)
        return (every - own) / (len(x) * (len(x) - 1) * x.shape[1])

    @property
    def recognised(self) -> float:
        """The share of samples that the reader recognises."""
        return self.reader.recognises(self.samples).mean()

    @property
    def rarest(self) -> float:
        """The share of samples that are recognised and read as the class that is read least often."""
        classes = self.reader.read(self.samples)[self.reader.recognises(self.samples)]
        return np.bincount(classes, minlength=10).min() / SAMPLES

    @property
    def unlike(self) -> float:
        """The squared error a pixel of samples to the nearest real image; 0.019 for held-out digits."""
        return self.reader.distances(self.samples).mean()

    @property
    def told_apart(self) -> float:
        """How often a classifier of codes and draws from the prior is right on new ones; 0.5 by chance."""
        with own_noise(0):
            prior = self.model.sample_prior(len(self.codes))[:, : self.codes.shape[1]]
        both, real = torch.cat([prior, self.codes]).numpy(), np.repeat([True, False], len(self.codes))
        new = np.tile(self.table["held_out"], 2)
        return SVC().fit(both[~new], real[~new]).score(both[new], real[new])


def seen(runs: list[Run], what: str, *, binary: bool = False) -> np.ndarray:
    return np.array([getattr(Look(run, binary), what) for run in runs])
