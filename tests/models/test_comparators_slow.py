"""How well models that cluster find the digits: small trainings on real 8x8 digits, beside K-means on pixels.

Slow: `make test-all`. What these settings gave when they were written is beside each claim, over seeds 0, 1 and 2. By
chance, ten clusters get about 0.18 one-to-one on the 179 held-out images, and 0.11 on all of them.
"""

import numpy as np
import pytest
from sklearn.cluster import KMeans

from tests.support.slow import values
from vaezoo.data.sources.digits import digits
from vaezoo.metrics.clusters import clustering

pytestmark = pytest.mark.slow

SEEDS = (0, 1, 2)
CATGAN = [
    "model=catgan",
    "latent.categories=[10]",
    "dataset.batch_size=128",
    "max_batches=2000",
    "model.optimizers.critic.lr=1e-3",
    "model.optimizers.generator.lr=1e-3",
]
DEC = [
    "model=dec",
    "dataset.split=all",
    "network=mlp002",
    "model.dropout=0",
    "model.pretrain_batches=2000",
    "model.refresh=40",
    "model.optimizers.clustering.lr=0.05",
]


@pytest.fixture
def accuracies(train):
    """One-to-one accuracy of each seed."""
    return lambda *line: values(train("dataset=digits", *line, seeds=SEEDS), "cluster_acc_hungarian")


def k_means_on_pixels(clusters: int) -> float:
    """One-to-one accuracy on all images."""
    source = digits(size=8)
    pixels = source.images.reshape(len(source), -1) / source.scale
    found = KMeans(clusters, n_init=20, random_state=0).fit_predict(pixels)
    return clustering(np.eye(clusters)[found], source.labels)["cluster_acc_hungarian"]


def test_catgan_finds_digits(accuracies):
    """0.89, 0.73 and 0.80 on held-out images, where K-means gets 0.80: no better on the average, and it varies."""
    assert accuracies(*CATGAN).mean() > 0.65


def test_dec_is_better_than_k_means_on_its_codes_and_on_pixels(accuracies):
    """0.85, 0.83 and 0.83 on all images, against 0.81, 0.79 and 0.80 of K-means on its codes and 0.79 on pixels."""
    trained, begun = accuracies(*DEC, "max_batches=3200"), accuracies(*DEC, "max_batches=2001")
    assert trained.mean() > begun.mean() + 0.02
    assert trained.mean() > k_means_on_pixels(10) + 0.02


def test_the_critic_of_pixelgan_makes_its_categories_digits(train):
    """Majority accuracy of 30 clusters 0.71, one-to-one 0.61, of seed 0; by chance 0.32 and 0.14.

    Its samples are not recognised: 0.01, where 0.79 of real images are that are rounded to 0 and 1.
    """
    line = ["model.pixelcnn.maps=32", "model.pixelcnn.blocks=1", "model.pixelcnn.first=5", "max_batches=2000"]
    runs = train("dataset=digits", "model=pixelgan", *line, seeds=(0,))
    assert (values(runs, "cluster_acc_majority") > 0.55).all()
    assert (values(runs, "cluster_acc_hungarian") > 0.4).all()
