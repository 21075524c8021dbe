"""The variance of the Laplacian against its definition."""

import numpy as np
import pytest
from scipy import ndimage

from vaezoo.metrics.protocol import Skip
from vaezoo.metrics.sharpness import boxes, laplacian, variances

KERNEL = np.array([[0, 1, 0], [1, -4, 1], [0, 1, 0]])


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(sum(shape)).random(shape, dtype=np.float32)


@pytest.mark.parametrize("shape", [(3, 1, 8, 8), (600, 1, 5, 9), (4, 3, 12, 7)])
def test_it_is_the_convolution_of_the_definition(shape):
    images = noise(*shape)
    grey = 255 * np.einsum("nchw,c->nhw", images.astype(float), [1] if shape[1] == 1 else [0.299, 0.587, 0.114])
    # scipy calls "mirror" what numpy, torch and OpenCV call a reflection without the edge pixel.
    expected = [ndimage.convolve(image, KERNEL, mode="mirror").var() for image in grey]
    np.testing.assert_allclose(variances(images), expected, rtol=1e-12)


def test_a_point_by_hand():
    image = np.zeros((1, 1, 5, 5), np.float32)
    image[0, 0, 2, 2] = 1 / 255
    # -4 once, 1 four times, 0 elsewhere: the mean is 0 and the mean square 20 / 25.
    assert variances(image)[0] == pytest.approx(20 / 25, rel=1e-6)
    image[0, 0, 2, 2], image[0, 0, 0, 0] = 0, 1 / 255
    # In a corner the reflection counts for nothing but the inner neighbours: -4 there and 1 in two more places.
    assert variances(image)[0] == pytest.approx(18 / 25 - (2 / 25) ** 2, rel=1e-6)


def test_constant_images_ramps_and_blur():
    images = noise(20, 1, 16, 16)
    assert not variances(np.full((3, 3, 6, 6), 0.3, np.float32)).any()
    blurred = ndimage.gaussian_filter(images, (0, 0, 1, 1))
    assert (variances(blurred) < 0.2 * variances(images)).all()
    ramp = np.tile(np.linspace(0, 1, 16), (1, 1, 16, 1))
    assert variances(ramp)[0] < 0.05 * variances(images).min(), "only its borders bend"
    np.testing.assert_allclose(variances(images), variances(1 - images), rtol=1e-5)
    np.testing.assert_allclose(variances(images / 2), variances(images) / 4, rtol=1e-6)


def test_grey_in_three_channels_is_grey():
    images = noise(5, 1, 9, 9)
    np.testing.assert_allclose(variances(images.repeat(3, axis=1)), variances(images), rtol=1e-12)
    with pytest.raises(Skip, match="2 channels"):
        variances(noise(2, 2, 4, 4))


def test_nothing_is_rounded_or_clipped():
    images = noise(5, 1, 9, 9)
    expected = [
        ndimage.convolve(255 * (image - 1), KERNEL, mode="mirror").var() for image in images[:, 0].astype(float)
    ]
    np.testing.assert_allclose(variances(images - 1), expected, rtol=1e-9)


def test_scores_boxes_and_the_digit_one():
    images, names = noise(40, 1, 8, 8), ("0", "1", "2", "3")
    labels = np.arange(40) % 3
    result = laplacian(images, images / 2, images[:7], labels, names)
    assert result["laplacian_var_images"] == pytest.approx(variances(images).mean())
    assert result["laplacian_var_reconstructions"] == pytest.approx(variances(images).mean() / 4, rel=1e-5)
    assert result["laplacian_var_mean_no1"] == pytest.approx(variances(images / 2)[labels != 1].mean())
    assert result["box_images"].shape == (5, 5)
    assert result["box_samples"].shape == (1, 5)
    np.testing.assert_allclose(
        result["box_images"][2, 1:4], np.percentile(variances(images)[labels == 1], [25, 50, 75])
    )
    assert np.isnan(result["box_images"][4]).all(), "there is no 3"


def test_other_classes_have_no_digit_one_and_some_models_no_reconstructions():
    images, labels = noise(9, 1, 8, 8), np.arange(9) % 2
    assert "laplacian_var_mean_no1" not in laplacian(images, images, images, labels, ("shirt", "bag"))
    assert set(laplacian(images)) == {"laplacian_var_images", "images", "box_images"}


def test_whiskers_end_at_the_last_value_within_reach():
    values = np.array([0.0, 10, 11, 12, 13, 14, 40])
    np.testing.assert_allclose(boxes(values, None, 0), [[10, 10.5, 12, 13.5, 14]])
