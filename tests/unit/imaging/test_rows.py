"""An image that is read row by row gives what the whole image gives."""

import cv2
import numpy as np
import pytest

from coverslip.config.sections import KMeans, Preprocessing
from coverslip.imaging import rows
from coverslip.imaging.rows import Cached, Whole, percentile
from coverslip.models import kmeans, preprocessing

RNG = np.random.default_rng(7)


@pytest.fixture(autouse=True)
def small_parts(monkeypatch):
    """Parts of a few rows, so that a small image has many."""
    monkeypatch.setattr(rows, "PART", 1500)


def textured(height, width, channels, dtype=np.uint8):
    noise = RNG.normal(size=(height, width, channels)).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), 5).reshape(noise.shape)
    light = 1 + np.linspace(0, 1, width)[np.newaxis, :, np.newaxis]
    values = (0.3 + smooth * 2) * light * np.iinfo(dtype).max / 3
    return np.clip(values, 0, np.iinfo(dtype).max).astype(dtype)


def read(source, step):
    """An image from its rows, `step` at a time, with rows before and after that are dropped."""
    height = source.shape[0]
    found = []
    for start in range(0, height, step):
        stop, top, bottom = min(start + step, height), max(0, start - 3), min(height, start + step)
        found.append(source.rows(top, bottom)[start - top :])
        assert len(found[-1]) == stop - start
    return np.concatenate(found)


def test_blocks_are_read_once_each():
    image = textured(50, 7, 3)
    seen = []

    class Counted(Whole):
        def rows(self, start, stop):
            seen.append((start, stop))
            return super().rows(start, stop)

    cached = Cached(Counted(image), 8)
    assert (read(cached, 5) == image).all()
    assert seen == [(start, min(start + 8, 50)) for start in range(0, 50, 8)]


@pytest.mark.parametrize("share", [0, 1, 33.3, 50, 99.8, 100])
@pytest.mark.parametrize("size", [1, 2, 10, 4321])
def test_percentiles_of_histograms_are_those_of_numpy(share, size):
    values = RNG.integers(0, 300, size).astype(np.uint16)
    assert percentile(np.bincount(values), share) == np.percentile(values, share)


SECTIONS = [
    {"channels": "grey"},
    {"channels": "rgb"},
    {"channels": "grey", "normalization": "percentile", "invert_bright_background": True},
    {"channels": "rgb", "normalization": "percentile", "invert_bright_background": True},
    {"channels": "grey", "invert_bright_background": True, "transform": "sqrt"},
    {"channels": "max_contrast"},
    {"channels": "max_contrast", "normalization": "percentile", "invert_bright_background": True},
    {"channels": "grey", "clahe_clip": 3.0},
    {"channels": "rgb", "clahe_clip": 2.0, "normalization": "percentile"},
]


@pytest.mark.parametrize("section", SECTIONS)
@pytest.mark.parametrize("kind", [(1, np.uint8), (3, np.uint8), (1, np.uint16), (3, np.uint16)])
@pytest.mark.parametrize("size", [(96, 64), (101, 67)])
def test_preprocessing_is_that_of_the_whole_image(section, kind, size, monkeypatch):
    p = Preprocessing(**section)
    for image in (textured(*size, *kind), np.iinfo(kind[1]).max - textured(*size, *kind)):
        seen = preprocessing.ImagePreprocessor(Whole(image), p).rows(Whole(image))
        with monkeypatch.context() as patch:
            patch.setattr(rows, "PART", 2**22)
            expected = preprocessing.to_input(image, p)
        found = read(seen, 13)
        assert found.dtype == expected.dtype and found.shape == seen.shape == expected.shape
        assert (found == expected).all()


@pytest.mark.parametrize("channels", ["grey", "max_contrast", "rgb"])
@pytest.mark.parametrize("height", [12, 60, 130, 200])
def test_noise_is_that_of_the_whole_image(channels, height, monkeypatch):
    p = Preprocessing(channels=channels, normalization="percentile")
    image = RNG.poisson((9, 40, 15), (height, 70, 3)).astype(np.uint8)
    found = read(preprocessing.ImagePreprocessor(Whole(image), p).rows(Whole(image)), 13)
    with monkeypatch.context() as patch:
        patch.setattr(rows, "PART", 2**22)
        expected = preprocessing.to_input(image, p)
    assert (found == expected).all() and expected.std() < 30


def test_clahe_is_that_of_opencv():
    image = textured(1003, 777, 1)
    p = Preprocessing(channels="grey", clahe_clip=3.0, normalization="dtype_range")
    found = preprocessing.to_input(image, p)
    lab = cv2.cvtColor(np.repeat(image, 3, axis=2), cv2.COLOR_RGB2LAB)
    equalizer = cv2.createCLAHE(clipLimit=3.0, tileGridSize=preprocessing.CLAHE_TILES)
    lab[:, :, 0] = equalizer.apply(np.ascontiguousarray(lab[:, :, 0]))
    expected = cv2.cvtColor(cv2.cvtColor(lab, cv2.COLOR_LAB2RGB), cv2.COLOR_RGB2GRAY)
    # OpenCV may fuse a multiplication with an addition: one digit of the last place.
    different = np.abs(found[:, :, 0].astype(int) - expected)
    assert different.max() <= 1 and (different > 0).mean() < 1e-5


def in_windows(image, recipe, clusters, margin):
    """Cluster labels of an image from windows with a margin."""
    labels = kmeans.label_windows(Whole(image), recipe, clusters, 1)
    found = np.zeros(image.shape[:2], np.uint8)
    for row in range(0, image.shape[0], 60):
        for column in range(0, image.shape[1], 50):
            top, left = max(0, row - margin), max(0, column - margin)
            window = image[top : row + 60 + margin, left : column + 50 + margin]
            part = labels(window, top, left)[row - top :, column - left :][:60, :50]
            found[row : row + 60, column : column + 50] = part
    return found


def fitted(scales):
    count = 1 + 2 * len(scales)
    facts = {"mean": RNG.normal(-2, 1, count), "standard_deviation": np.full(count, 0.7)}
    facts["centres"] = RNG.normal(size=(4, count))
    return {name: value.astype(np.float32) for name, value in facts.items()} | {"number": 4}


@pytest.mark.parametrize("channels", [1, 3])
def test_raw_color_clusters_are_those_of_the_whole_image(channels):
    image = textured(70, 90, channels)
    recipe = KMeans(features="raw_color", clusters=[3])
    expected = kmeans.cluster_labels(image, recipe, {"number": 3}, 1)
    found = in_windows(image, recipe, {"number": 3}, 0)
    assert (found == expected).all() and len(np.unique(found)) == 3


@pytest.mark.parametrize("padded", [False, True])
def test_texture_clusters_are_those_of_the_whole_image(padded, monkeypatch):
    monkeypatch.setattr(kmeans, "STRIP", 4000)
    image = np.maximum(textured(220, 190, 1), 20)
    if padded:
        image[:30] = image[:, :25] = image[200:] = image[:, 170:] = 0
    recipe = KMeans(clusters=[4])
    clusters = fitted(recipe.scales)
    expected = kmeans.cluster_labels(image, recipe, clusters, 1)
    found = in_windows(image, recipe, clusters, 50)
    assert (found == kmeans.OUTSIDE).any() == padded
    # Sums of floats in another order: a pixel between two centres may fall to the other.
    assert (found != expected).mean() < 1e-3
    assert ((found == kmeans.OUTSIDE) == (expected == kmeans.OUTSIDE)).all()
