"""K-means on distinct colours: the partition that scikit-learn finds on all pixels."""

from itertools import combinations

import numpy as np
import pytest
from skimage import data
from sklearn.cluster import KMeans

from coverslip.models import kmeans
from coverslip.models.kmeans import distinct, partition

RNG = np.random.default_rng(6)


def on_all_pixels(image, starts):
    """The published way: normalise, flatten, K-means; in the order of the brightness."""
    pixels = image.reshape(-1, image.shape[2]) / 255
    found = KMeans(len(starts), init=starts / 255, n_init=1).fit(pixels)
    order = np.argsort(found.cluster_centers_.mean(axis=1))
    labels = np.argsort(order)[found.labels_].reshape(image.shape[:2])
    return labels, 255 * found.cluster_centers_[order], found.inertia_ / len(pixels)


def real(name):
    image = getattr(data, name)()
    image = image[:, :, np.newaxis] if image.ndim == 2 else image[:, :, :3]
    return np.ascontiguousarray(image[40:240, 60:300])


@pytest.mark.parametrize("name", ["cell", "immunohistochemistry", "retina", "coins"])
@pytest.mark.parametrize("clusters", [2, 3, 5])
@pytest.mark.parametrize("draw", range(3))
def test_the_very_partition_of_scikit_learn_on_all_pixels(name, clusters, draw):
    image = real(name)
    colours = distinct(image).colours
    rng = np.random.default_rng(draw)
    starts = colours[rng.choice(len(colours), clusters, replace=False)].astype(float)
    labels, centres, inertia = on_all_pixels(image, starts)
    found = partition(image, clusters, 0, starts)
    np.testing.assert_array_equal(found.labels, labels)
    np.testing.assert_allclose(found.centres, centres, atol=1e-6)
    np.testing.assert_allclose(found.inertia, inertia, rtol=1e-9)


@pytest.mark.parametrize("channels", [1, 3])
def test_distinct_colours(channels):
    image = RNG.integers(0, 4, (50, 40, channels), np.uint8) * 80
    found = distinct(image)
    colours, numbers, counts = np.unique(
        image.reshape(-1, channels), axis=0, return_inverse=True, return_counts=True
    )
    np.testing.assert_array_equal(found.colours, colours)
    np.testing.assert_array_equal(found.counts, counts)
    np.testing.assert_array_equal(found.paint(np.arange(len(colours))), numbers.reshape(50, 40))
    np.testing.assert_array_equal(found.colours[found.paint(np.arange(len(colours)))], image)


def test_clusters_are_numbered_by_brightness_with_every_seed():
    shares = []
    for seed in range(4):
        found = partition(real("immunohistochemistry"), 3, seed)
        brightness = found.centres.mean(axis=1)
        assert (np.diff(brightness) > 0).all()
        assert found.labels.dtype == np.uint8 and found.labels.max() == 2
        shares.append(np.bincount(found.labels.ravel()) / found.labels.size)
    assert np.ptp(shares, axis=0).max() < 0.03


def test_the_same_seed_gives_the_same():
    first, again = (partition(real("retina"), 4, 9) for _ in range(2))
    np.testing.assert_array_equal(first.labels, again.labels)
    np.testing.assert_array_equal(first.centres, again.centres)


@pytest.mark.parametrize("colours", [1, 2, 3])
def test_no_more_clusters_than_colours(colours):
    image = (np.arange(24).reshape(4, 6, 1) % colours * 50).astype(np.uint8)
    found = partition(image, 3, 1)
    assert len(found.centres) == colours and found.inertia < 1e-12
    np.testing.assert_array_equal(found.labels, image[:, :, 0] // 50)


@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_clusters_of_greys_are_the_best_there_are(number):
    rng = np.random.default_rng(number)
    values = np.sort(rng.choice(256, 9, replace=False))
    weights = rng.integers(1, 50, 9)

    def distance(cuts):
        total = 0.0
        for part in np.split(np.arange(9), cuts):
            mean = np.average(values[part], weights=weights[part])
            total += (weights[part] * (values[part] - mean) ** 2).sum()
        return total / weights.sum()

    least = min(distance(cuts) for cuts in combinations(range(1, 9), number - 1))
    starts, inertia = kmeans.optimal_partitions(values, weights, number)
    assert inertia[number - 1] == pytest.approx(least, abs=1e-6)
    assert distance(starts[number - 1][1:]) == pytest.approx(least, abs=1e-6)


def test_an_image_of_few_greys_has_as_many_clusters():
    flat = kmeans.cluster_greys(np.bincount([7] * 9, minlength=256))
    assert flat.number == 1 and len(flat.foreground) == 0
    two = kmeans.cluster_greys(np.bincount([7] * 9 + [90] * 3, minlength=256), number=5)
    assert two.number == 2 and two.foreground.tolist() == [1]
    assert two.table[[0, 7, 89, 90, 255]].tolist() == [0, 0, 0, 1, 1]
