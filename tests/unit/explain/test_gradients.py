"""Gradients of class scores."""

import numpy as np
import pytest

from coverslip.explain import gradients


def test_gradient_is_the_slope(network, image):
    gradient = gradients.input_gradient(network)
    found = gradient(image[None], 2)[0]
    away = found / np.linalg.norm(found)
    step = 1e-3
    ends = network.predict_on_batch(np.stack([image + step * away, image - step * away]))[:, 2]
    assert (ends[0] - ends[1]) / (2 * step) == pytest.approx(float((found * away).sum()), rel=0.05)


def test_integrated_gradients_are_complete(network, image):
    gradient = gradients.input_gradient(network)
    for baseline in (0.0, np.full((16, 16, 1), 0.5, np.float32)):
        found = gradients.integrated_gradients(gradient, image, 1, baseline, steps=200)
        blank = np.broadcast_to(np.float32(baseline), image.shape)
        scores = network.predict_on_batch(np.stack([image, blank]))[:, 1]
        assert found.sum() == pytest.approx(float(scores[0] - scores[1]), abs=5e-3)
    one = gradients.integrated_gradients(gradient, image, 1, batch=1)
    np.testing.assert_allclose(
        one, gradients.integrated_gradients(gradient, image, 1, batch=99), atol=1e-6
    )


def test_smoothgrad():
    seen = []

    def attribute(noisy):
        seen.append(noisy)
        return noisy[..., 0].astype(np.float64)

    image = np.linspace(0, 2, 4096, dtype=np.float32).reshape(64, 64, 1)
    assert gradients.smoothgrad(attribute, image, 0, 0.1, 1) is not None
    np.testing.assert_array_equal(seen[0], image)
    seen.clear()
    found = gradients.smoothgrad(attribute, image, 40, 0.1, 1)
    noise = np.stack(seen) - image
    assert noise.std() == pytest.approx(0.1, rel=0.02)
    np.testing.assert_allclose(found, np.mean(seen, axis=0)[..., 0], atol=1e-6)
    np.testing.assert_array_equal(found, gradients.smoothgrad(attribute, image, 40, 0.1, 1))
    assert (found != gradients.smoothgrad(attribute, image, 40, 0.1, 2)).any()
    squares = gradients.smoothgrad(attribute, image, 40, 0.1, 1, squared=True)
    noisy = np.stack(seen)[:40, ..., 0].astype(float)
    np.testing.assert_allclose(squares, (noisy**2).mean(axis=0), atol=1e-6)


def test_gradient_shap_of_a_linear_score():
    rng = np.random.default_rng(0)
    weights = rng.normal(size=(6, 5, 2))
    image = rng.normal(size=(6, 5, 2)).astype(np.float32)

    def gradient(images, target):
        return np.broadcast_to((target + 1) * weights, images.shape)

    one = gradients.gradient_shap(gradient, image, 1, [0.5], 20, 0.0, 1, batch=7)
    np.testing.assert_allclose(one, 2 * weights * (image - 0.5), atol=1e-6)
    two = gradients.gradient_shap(gradient, image, 0, [0.0, image], 400, 1e-4, 1)
    share = np.median(two / (weights * image))
    assert share == pytest.approx(0.5, abs=0.1), "half of the baselines are the image itself"
    np.testing.assert_allclose(two, share * weights * image, atol=1e-3)


def test_gradient_shap_is_between_baseline_and_image():
    image = np.full((1, 1, 1), 2.0, np.float32)
    seen = []

    def gradient(images, target):
        seen.append(images.ravel())
        return 2 * images  # of the square, whose integral is 4

    found = gradients.gradient_shap(gradient, image, 0, [0.0], 2000, 0.0, 3)
    assert found.item() == pytest.approx(4.0, rel=0.05)
    points = np.concatenate(seen)
    assert len(points) == 2000 and 0 <= points.min() < 0.1 and 1.9 < points.max() <= 2
