"""How sharp images are: the variance of their Laplacian; higher is sharper.

The grey image I in [0, 255] (luma 0.299 R + 0.587 G + 0.114 B of colour) is convolved with

    0  1  0
    1 -4  1
    0  1  0

its border reflected without repeating the last pixel (... c b | a b c ...). The score of an image is the population
variance of the result, never clipped or rounded. For I in [0, 1] divide by 65 025. Noise is sharp, too, and so are the
checkerboards of transposed convolutions: read it beside the reconstruction error.

`laplacian_var_mean_no1` is the mean over reconstructions without those of the class "1": that digit has fewer edges
than the others. Box plots are five numbers a row: whiskers end at the last value within 1.5 interquartile ranges.
"""

from collections.abc import Sequence

import numpy as np

from vaezoo.metrics.protocol import Result, Skip

LUMA = np.array([0.299, 0.587, 0.114])
LEFT_OUT = "1"


def laplacian(
    images: np.ndarray,
    reconstructions: np.ndarray | None = None,
    prior_samples: np.ndarray | None = None,
    image_labels: np.ndarray | None = None,
    label_names: Sequence[str] = (),
) -> Result:
    """`image_labels` (N,) are the classes of the images, and so of their reconstructions.

    Arrays: the values of all images, and `box_` (1 + classes, 5), all images in the first row.
    """
    result: Result = {}
    for name, pictures, labels in (
        ("images", images, image_labels),
        ("reconstructions", reconstructions, image_labels),
        ("samples", prior_samples, None),
    ):
        if pictures is not None:
            values = variances(pictures)
            result |= {
                f"laplacian_var_{name}": float(values.mean()),
                name: values,
                f"box_{name}": boxes(values, labels, len(label_names)),
            }
    if reconstructions is not None and image_labels is not None and LEFT_OUT in label_names:
        kept = image_labels != list(label_names).index(LEFT_OUT)
        result["laplacian_var_mean_no1"] = float(result["reconstructions"][kept].mean())  # type: ignore[index]
    return result


def variances(images: np.ndarray) -> np.ndarray:
    """(N,) of images (N, C, H, W) in [0, 1], float64."""
    if images.shape[1] not in (1, 3):
        raise Skip(f"images of {images.shape[1]} channels are neither grey nor colour")
    found = []
    for some in np.split(images, range(256, len(images), 256)):  # so that what is in between stays small
        some = 255.0 * some.astype(np.float64)
        grey = some[:, 0] if some.shape[1] == 1 else np.einsum("nchw,c->nhw", some, LUMA)
        wide = np.pad(grey, ((0, 0), (1, 1), (1, 1)), mode="reflect")
        sides = wide[:, :-2, 1:-1] + wide[:, 2:, 1:-1] + wide[:, 1:-1, :-2] + wide[:, 1:-1, 2:]
        found.append((sides - 4 * grey).var(axis=(1, 2)))
    return np.concatenate(found)


def boxes(values: np.ndarray, labels: np.ndarray | None, classes: int) -> np.ndarray:
    """(1 + classes, 5): lower whisker, quartile, median, quartile, upper whisker; NaN for a class without an image."""
    groups = [values] if labels is None else [values, *(values[labels == label] for label in range(classes))]
    return np.array([box(group) if len(group) else [np.nan] * 5 for group in groups])


def box(values: np.ndarray) -> list[float]:
    low, middle, high = np.percentile(values, [25, 50, 75])
    reach = 1.5 * (high - low)
    inside = values[(values >= low - reach) & (values <= high + reach)]
    return [inside.min(), low, middle, high, inside.max()]
