"""How far generated images are from real ones, both as features of a network that classifies images; lower is better.

Heusel et al., "GANs trained by a two time-scale update rule converge to a local Nash equilibrium", NeurIPS 2017. With
means m and covariances S of the features of training images and of samples,

    Frechet distance = |m_1 - m_2|² + tr S_1 + tr S_2 - 2 tr (S_1 S_2)^½

`fid_10k` is this on 10 000 images of each kind and the 2048 pooled features of Inception-v3, the weights of 2015. Its
bias upwards falls like 1 / n, so the number of images is part of the name, and below 2 048 it is refused.
With `extrapolate=true` there is also `fid_inf`: the distances of the first n, from half of the images to all of them in
five steps, are fitted by a line in 1 / n, and this is its value at 0 (Chong & Forsyth, "Effectively unbiased FID",
CVPR 2020). It has no bias of that order, but scatters more, and may fall below 0 where both kinds are alike.

`kid` (Binkowski et al., "Demystifying MMD GANs", ICLR 2018) is the unbiased squared MMD under the kernel
(x · y / d + 1)³ of the same features, averaged over random subsets.

Without Inception, `ffd64_NAME` and `kfd64_NAME` are the same two distances in the 64 features of a small network that
has learned the classes of this data set (vaezoo.evaluation.features); NAME ends with a hash of its weights. They
compare among themselves only, and never with an FID. `_floor`, held-out images in place of samples, and `_noise`, white
noise, say what is near and what is far.
"""

import numpy as np

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
    """Features (n, 2048) of training images and of samples; equally many of each are used."""
    real, generated = equally_many(train_inception, sample_inception)
    n, d = real.shape
    if n >= d:
        found: Result = {f"fid_{n // 1000}k" if n % 1000 == 0 else f"fid_{n}": frechet(real, generated)}
        return {**found, "fid_inf": of_infinitely_many(real, generated)} if extrapolate else found
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
    """Features (n, 64) of each kind of images, and how well the network that made them knows held-out images.

    All distances are of equally many images. There is no floor where too few are held out.
    """
    least = 10 * train_features.shape[1]
    kinds = {"": sample_features, "_noise": noise_features}
    if test_features is not None and len(test_features) >= least:
        kinds["_floor"] = test_features
    real, *others = equally_many(train_features, *kinds.values())
    n, d = real.shape
    if n < least:
        raise Skip(f"{n} images of each kind are too few for {d} features, which need {least}")
    name = f"ffd{d}_{extractor}"
    found = {f"{name}{kind}": frechet(real, other) for kind, other in zip(kinds, others, strict=True)}
    if extrapolate:
        found[f"{name}_inf"] = of_infinitely_many(real, others[0])
    return {**found, f"{name}_accuracy": extractor_accuracy, "ffd_images": n}


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
    distance = mean_kernel_distance(train_features, sample_features, rng, subsets, subset)
    return {f"kfd{train_features.shape[1]}_{extractor}": distance}


def equally_many(*features: np.ndarray) -> list[np.ndarray]:
    """The rows of each are in random order, so the first are any."""
    n = min(map(len, features))
    return [each[:n].astype(np.float64) for each in features]


def frechet(x: np.ndarray, y: np.ndarray) -> float:
    """Squared Wasserstein distance of two Gaussians with the means and covariances of the rows (n, d).

    tr (S_1 S_2)^½ is the sum of the singular values of S_1^½ S_2^½, which needs no root of a matrix that is not
    symmetric and loses no digits where eigenvalues are small.
    """
    shift = x.mean(axis=0) - y.mean(axis=0)
    first, second = (np.cov(each, rowvar=False).reshape(each.shape[1], -1) for each in (x, y))
    common = np.linalg.svd(root(first) @ root(second), compute_uv=False).sum()
    return max(0.0, float(shift @ shift + np.trace(first) + np.trace(second) - 2 * common))


def of_infinitely_many(x: np.ndarray, y: np.ndarray, steps: int = 5) -> float:
    """Where the Frechet distances of the first n rows of each go, linearly in 1 / n; from half of the rows to all."""
    sizes = np.linspace(len(x) / 2, len(x), steps).astype(int)
    return intercept(1 / sizes, np.array([frechet(x[:n], y[:n]) for n in sizes]))


def intercept(x: np.ndarray, y: np.ndarray) -> float:
    """The value at 0 of the line of least squares through the points."""
    centred = x - x.mean()
    return float(y.mean() - (centred @ y) / (centred @ centred) * x.mean())


def root(covariance: np.ndarray) -> np.ndarray:
    values, vectors = np.linalg.eigh(covariance)
    return (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T


def mean_kernel_distance(x: np.ndarray, y: np.ndarray, rng: np.random.Generator, subsets: int, subset: int) -> float:
    """Over `subsets` pairs of `subset` random rows of each; all rows once, where there are no more."""
    x, y = equally_many(x, y)
    if len(x) <= subset:
        return kernel_distance(x, y)
    some = (
        kernel_distance(*(each[rng.choice(len(each), subset, replace=False)] for each in (x, y)))
        for _ in range(subsets)
    )
    return float(np.mean(list(some)))


def kernel_distance(x: np.ndarray, y: np.ndarray) -> float:
    """The unbiased estimate of the squared MMD; below 0 at times, where both are alike."""

    def kernel(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return (a @ b.T / a.shape[1] + 1) ** 3

    def between(a: np.ndarray) -> float:
        values = kernel(a, a)
        return float((values.sum() - np.trace(values)) / (len(a) * (len(a) - 1)))

    return between(x) + between(y) - 2 * float(kernel(x, y).mean())
