"""The sharpness of images: the variance of their Laplacian; higher is sharper."""

from collections.abc import Sequence

import numpy as np

from vaezoo.metrics.directions import Better
from vaezoo.metrics.protocol import Result, Skip

LUMA = np.array([0.299, 0.587, 0.114])
LEFT_OUT = "1"  # This digit has fewer edges than the others.


@Better()
def laplacian(
    images: np.ndarray,
    reconstructions: np.ndarray | None = None,
    prior_samples: np.ndarray | None = None,
    image_labels: np.ndarray | None = None,
    label_names: Sequence[str] = (),
) -> Result:
    """Compute the mean variance of the Laplacian of images, reconstructions and samples (N, C, H, W) in [0, 1].

    Noise is sharp, too, and so are the checkerboards of transposed convolutions, so read the score beside the
    reconstruction error. `image_labels` (N,) are the classes of the images and of their reconstructions;
    `laplacian_var_mean_no1` is the mean over reconstructions of all classes but "1".

    Arrays are the values of all images (N,), and `box_` (1 + classes, 5) with all images in the first row.
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
        others = image_labels != list(label_names).index(LEFT_OUT)
        result["laplacian_var_mean_no1"] = float(result["reconstructions"][others].mean())  # type: ignore[index,union-attr]
    return result


def variances(images: np.ndarray) -> np.ndarray:
    """Return the population variance of the Laplacian of each image (N, C, H, W) in [0, 1], (N,) in float64.

    The grey image in [0, 255] (of colour 0.299 R + 0.587 G + 0.114 B) is convolved with

        0  1  0
        1 -4  1
        0  1  0

    with its border reflected without repeating the last pixel (... c b | a b c ...). Nothing is clipped or rounded. For
    images in [0, 1] divide by 65 025.
    """
    if images.shape[1] not in (1, 3):
        raise Skip(f"images of {images.shape[1]} channels are neither grey nor colour")
    blocks = []
    for block in np.split(images, range(256, len(images), 256)):  # Blocks keep the memory of the steps small.
        pixels = 255.0 * block.astype(np.float64)
        grey = pixels[:, 0] if pixels.shape[1] == 1 else np.einsum("nchw,c->nhw", pixels, LUMA)
        wide = np.pad(grey, ((0, 0), (1, 1), (1, 1)), mode="reflect")
        sides = wide[:, :-2, 1:-1] + wide[:, 2:, 1:-1] + wide[:, 1:-1, :-2] + wide[:, 1:-1, 2:]
        blocks.append((sides - 4 * grey).var(axis=(1, 2)))
    return np.concatenate(blocks)


def boxes(values: np.ndarray, labels: np.ndarray | None, classes: int) -> np.ndarray:
    """Return a box of all values and one of each class, (1 + classes, 5); NaN for a class without an image."""
    groups = [values] if labels is None else [values, *(values[labels == label] for label in range(classes))]
    return np.array([box(group) if len(group) else [np.nan] * 5 for group in groups])


def box(values: np.ndarray) -> list[float]:
    """Return the lower whisker, quartile, median, quartile and upper whisker of a box plot.

    Whiskers end at the last value within 1.5 interquartile ranges of the box.
    """
    low, middle, high = np.percentile(values, [25, 50, 75])
    reach = 1.5 * (high - low)
    inside = values[(values >= low - reach) & (values <= high + reach)]
    return [inside.min(), low, middle, high, inside.max()]
