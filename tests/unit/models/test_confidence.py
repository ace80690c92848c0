"""The confidence of an object is the fraction of such objects that are right."""

import numpy as np
import pytest

from coverslip.models.confidence import FEATURES, fit, object_confidence, object_features


def field(probabilities):
    """Two squares of 10 x 10 pixels, one of 20 x 20, with the given probabilities inside."""
    labels = np.zeros((64, 64), np.int32)
    labels[2:12, 2:12], labels[2:12, 30:40], labels[30:50, 30:50] = 1, 2, 3
    return np.take([0.02, *probabilities], labels), labels


def test_features_are_inside_outside_and_area():
    foreground, labels = field([0.9, 0.6, 0.99])
    foreground[0:2, 2:12] = 0.5  # above the first object
    features = object_features(foreground, labels)
    assert features.shape == (3, len(FEATURES))
    inside, outside, area = features.T
    assert inside[2] > inside[0] > inside[1]
    assert outside[0] > outside[1] == pytest.approx(outside[2])
    assert area == pytest.approx([0, 0, np.log(4)])


def test_an_image_without_objects_has_no_confidence():
    empty = np.zeros((8, 8), np.int32)
    assert object_features(np.zeros((8, 8)), empty).shape == (0, len(FEATURES))
    assert object_confidence(np.zeros((8, 8)), empty).shape == (0,)
    assert object_confidence(np.zeros((8, 8)), empty, [0.0, 1.0, 0.0, 0.0]).shape == (0,)


def test_objects_without_ring_or_alone_in_an_image_have_numbers():
    labels = np.ones((5, 5), np.int32)
    assert np.isfinite(object_features(np.ones((5, 5)), labels)).all()


def test_without_coefficients_it_is_the_mean_probability():
    assert object_confidence(*field([0.9, 0.6, 0.99])) == pytest.approx([0.9, 0.6, 0.99])


def test_of_objects_with_confidence_p_a_fraction_p_is_right():
    rng = np.random.default_rng(0)
    features = rng.normal(size=(4000, 3))
    probability = 1 / (1 + np.exp(-(0.5 + features @ [2.0, -1.0, 0.3])))
    matched = rng.random(4000) < probability
    coefficients = fit(features[:2000], matched[:2000])
    assert coefficients is not None
    predicted = 1 / (1 + np.exp(-(coefficients[0] + features[2000:] @ coefficients[1:])))
    sure = (predicted > 0.75) & (predicted < 0.85)
    assert matched[2000:][sure].mean() == pytest.approx(0.8, abs=0.08)


def test_too_few_objects_give_no_fit():
    assert fit(np.zeros((10, 3)), np.arange(10) % 2 == 0) is None
    assert fit(np.zeros((200, 3)), np.ones(200, bool)) is None
