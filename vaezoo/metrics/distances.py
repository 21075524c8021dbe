"""Distances between generated and real images, in the features of a network that classifies images; lower is better.

With means m and covariances S of the features of training images and of samples (Heusel et al., "GANs trained by a two
time-scale update rule converge to a local Nash equilibrium", NeurIPS 2017),

    Frechet distance = |m_1 - m_2|² + tr S_1 + tr S_2 - 2 tr (S_1 S_2)^½

and with the kernel k(x, y) = (x · y / d + 1)³ of d features (Binkowski et al., "Demystifying MMD GANs", ICLR 2018),

    kernel distance = E k(x, x') + E k(y, y') - 2 E k(x, y)        the unbiased squared MMD

`fid` and `kid` use the 2048 pooled features of Inception-v3 with the weights of 2015. `ffd` and `kfd` use the 64
features of a small network that learned the classes of this data set (vaezoo.evaluation.features); their names end with
a hash of its weights, because values of different networks do not compare, least of all with an FID.
"""

import numpy as np
from sklearn.metrics.pairwise import polynomial_kernel

from vaezoo.metrics.directions import Better
from vaezoo.metrics.protocol import Result, Skip


@Better(lower=("fid_*",))
def fid(
    train_inception: np.ndarray,
    sample_inception: np.ndarray,
    *,
    allow_small: bool = False,
    extrapolate: bool = False,
) -> Result:
    """Compute FID from the features (n, 2048) of training images and of samples; equally many of both are used.

    FID is biased upwards in proportion to 1 / n, so the name has the number of images: `fid_10k`. Below 2 048 images it
    is skipped unless `allow_small`. `extrapolate` adds `fid_inf`, an estimate without this bias.
    """
    real, generated = take_equally_many(train_inception, sample_inception)
    n, d = real.shape
    if n >= d:
        result: Result = {f"fid_{n // 1000}k" if n % 1000 == 0 else f"fid_{n}": frechet(real, generated)}
        return {**result, "fid_inf": extrapolated_frechet(real, generated)} if extrapolate else result
    if not allow_small:
        raise Skip(
            f"{n} images are too few for {d} features, FID needs {d}; metric.scores.fid.allow_small=true insists"
        )
    return {f"fid_small_n{n}": frechet(real, generated)}


@Better(lower=("kid",))
def kid(
    train_inception: np.ndarray,
    sample_inception: np.ndarray,
    rng: np.random.Generator,
    *,
    subsets: int = 100,
    subset: int = 1_000,
) -> Result:
    """Compute KID from the features (n, 2048) of training images and of samples, averaged over random subsets."""
    return {"kid": mean_kernel_distance(train_inception, sample_inception, rng, subsets, subset)}


@Better(lower=("ffd64_*",), aside=("*_floor", "*_noise", "*_accuracy"))
def ffd(
    train_features: np.ndarray,
    sample_features: np.ndarray,
    noise_features: np.ndarray,
    extractor: str,
    extractor_accuracy: float,
    test_features: np.ndarray | None = None,
    *,
    extrapolate: bool = False,
) -> Result:
    """Compute Frechet distances of the features (n, 64) of training images to those of other images.

    The others are samples; white noise, `_noise`, which shows a large distance; and held-out images, `_floor`, which
    show a small one. All distances are of equally many images, and the floor is left out where fewer are held out than
    the distance needs. `extractor` names the network, and `extractor_accuracy` is its accuracy on held-out images.
    """
    least = 10 * train_features.shape[1]
    kinds = {"": sample_features, "_noise": noise_features}
    if test_features is not None and len(test_features) >= least:
        kinds["_floor"] = test_features
    real, *others = take_equally_many(train_features, *kinds.values())
    n, d = real.shape
    if n < least:
        raise Skip(f"{n} images of each kind are too few for {d} features, which need {least}")
    name = f"ffd{d}_{extractor}"
    result = {f"{name}{kind}": frechet(real, other) for kind, other in zip(kinds, others, strict=True)}
    if extrapolate:
        result[f"{name}_inf"] = extrapolated_frechet(real, others[0])
    return {**result, f"{name}_accuracy": extractor_accuracy, "ffd_images": n}


@Better(lower=("kfd64_*",))
def kfd(
    train_features: np.ndarray,
    sample_features: np.ndarray,
    extractor: str,
    rng: np.random.Generator,
    *,
    subsets: int = 100,
    subset: int = 1_000,
) -> Result:
    """Compute the kernel distance of the features (n, 64) of training images and of samples."""
    distance = mean_kernel_distance(train_features, sample_features, rng, subsets, subset)
    return {f"kfd{train_features.shape[1]}_{extractor}": distance}


def take_equally_many(*features: np.ndarray) -> list[np.ndarray]:
    """Return the first n rows of each, in float64, with n the smallest number of rows; rows are in random order."""
    n = min(map(len, features))
    return [table[:n].astype(np.float64) for table in features]


def frechet(x: np.ndarray, y: np.ndarray) -> float:
    """Return the squared Wasserstein distance of two Gaussians with the means and covariances of x and y (n, d).

    tr (S_1 S_2)^½ is computed as the sum of the singular values of S_1^½ S_2^½. This needs no root of a matrix that is
    not symmetric, and loses no digits where eigenvalues are small.
    """
    shift = x.mean(axis=0) - y.mean(axis=0)
    first, second = (np.cov(table, rowvar=False).reshape(table.shape[1], -1) for table in (x, y))
    common = np.linalg.svd(symmetric_root(first) @ symmetric_root(second), compute_uv=False).sum()
    return max(0.0, float(shift @ shift + np.trace(first) + np.trace(second) - 2 * common))


def extrapolated_frechet(x: np.ndarray, y: np.ndarray, steps: int = 5) -> float:
    """Extrapolate the Frechet distance to infinitely many rows.

    A line in 1 / n is fitted to the distances of the first n rows, from half of the rows to all of them, and its value
    at 0 is returned (Chong & Forsyth, "Effectively unbiased FID", CVPR 2020). It has no bias in proportion to 1 / n,
    but more variance, and can be negative where both are alike.
    """
    sizes = np.linspace(len(x) / 2, len(x), steps).astype(int)
    return intercept(1 / sizes, np.array([frechet(x[:n], y[:n]) for n in sizes]))


def intercept(x: np.ndarray, y: np.ndarray) -> float:
    """Return the value at 0 of the least-squares line through the points."""
    centred = x - x.mean()
    return float(y.mean() - (centred @ y) / (centred @ centred) * x.mean())


def symmetric_root(covariance: np.ndarray) -> np.ndarray:
    """Return S^½ of a covariance S (d, d); eigenvalues that rounding made negative count as 0."""
    values, vectors = np.linalg.eigh(covariance)
    return (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T


def mean_kernel_distance(x: np.ndarray, y: np.ndarray, rng: np.random.Generator, subsets: int, subset: int) -> float:
    """Return the mean distance over `subsets` draws of `subset` random rows of both.

    Where there are no more than `subset` rows, it is the distance of all rows.
    """
    x, y = take_equally_many(x, y)
    if len(x) <= subset:
        return kernel_distance(x, y)
    distances = (
        kernel_distance(*(table[rng.choice(len(table), subset, replace=False)] for table in (x, y)))
        for _ in range(subsets)
    )
    return float(np.mean(list(distances)))


def kernel_distance(x: np.ndarray, y: np.ndarray) -> float:
    """Return the unbiased estimate of the squared MMD of x and y (n, d); it can be negative where both are alike.

    The kernel is scikit-learn's default polynomial, (x · y / d + 1)³.
    """

    def mean_of_pairs(a: np.ndarray) -> float:
        values = polynomial_kernel(a)
        return float((values.sum() - np.trace(values)) / (len(a) * (len(a) - 1)))

    return mean_of_pairs(x) + mean_of_pairs(y) - 2 * float(polynomial_kernel(x, y).mean())
