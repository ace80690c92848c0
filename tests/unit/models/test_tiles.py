"""Tiled prediction: any size, no seams, one batch shape."""

import cv2
import numpy as np
import pytest

from coverslip.models import tiles, tiling

RNG = np.random.default_rng(3)


def identity(batch):
    return batch.astype(np.float32)


def blurred(image, radius=2):
    """A local operator that knows nothing beyond a border: zeros, as in a padded convolution."""
    size = 2 * radius + 1
    result = cv2.blur(image.astype(np.float32), (size, size), borderType=cv2.BORDER_CONSTANT)
    return result.reshape(image.shape)


def blur(batch):
    return np.stack([blurred(image) for image in batch])


@pytest.mark.parametrize("overlap", [0.0, 0.1, 0.25, 0.5, 0.9])
@pytest.mark.parametrize("length", [1, 15, 16, 17, 31, 33, 100])
def test_windows_cover_all_and_stay_inside(length, overlap):
    starts = tiles.window_starts(length, 16, overlap)
    covered = np.zeros(max(length, 16), int)
    for start in starts:
        covered[start : start + 16] += 1
        assert start + 16 <= len(covered)
    assert covered.min() >= 1
    assert starts == sorted(set(starts))


def test_windows_keep_their_step():
    assert tiles.window_starts(100, 32, 0.25) == [0, 24, 48, 68]
    assert tiles.window_starts(64, 32, 0.0) == [0, 32]


def test_padding_reflects_again_and_again():
    padded = tiles.pad(np.array([[1, 2, 3]]), (2, 10))
    assert padded.tolist() == [[1, 2, 3, 3, 2, 1, 1, 2, 3, 3]] * 2
    assert tiles.pad(np.full((1, 1, 3), 7), (4, 5)).shape == (4, 5, 3)
    large = np.zeros((8, 9))
    assert tiles.pad(large, (4, 4)) is large


@pytest.mark.parametrize("size", [(16, 16), (5, 3), (1, 1), (16, 40), (37, 53), (64, 17)])
@pytest.mark.parametrize("tta", [False, True])
@pytest.mark.parametrize("overlap", [0.0, 0.25, 0.5])
def test_images_of_any_size_come_back_whole(size, tta, overlap):
    image = np.random.default_rng(8).random((*size, 3), np.float32)  # alike in any order of tests
    result = tiles.predict_tiled(identity, image, 16, overlap, batch=3, tta=tta)
    assert result.dtype == np.float32
    assert np.abs(result - image).max() < 1e-6


@pytest.mark.parametrize("overlap", [0.25, 0.5])
@pytest.mark.parametrize("size", [(128, 128), (150, 77), (64, 33)])
def test_tiles_equal_the_whole_if_the_overlap_is_large_enough(size, overlap):
    image = RNG.random((*size, 1), np.float32)
    result = tiles.predict_tiled(blur, image, 32, overlap, batch=4)
    assert np.abs(result - blurred(image)).max() < 1e-4


def pooled(image):
    """A network of two levels: each pixel sees the brightest of 2x2, smoothed, beside itself."""
    height, width = image.shape[:2]
    low = image.astype(np.float32).reshape(height // 2, 2, width // 2, 2).max(axis=(1, 3))
    high = np.repeat(np.repeat(blurred(low[..., np.newaxis], 1), 2, axis=0), 2, axis=1)
    return 0.5 * blurred(image, 1) + 0.5 * high


@pytest.mark.parametrize("tta", [False, True])
@pytest.mark.parametrize(("size", "tile", "overlap"), [((96, 64), 32, 0.5), ((88, 136), 40, 0.4)])
def test_a_network_with_pooling_is_the_same_in_tiles(size, tile, overlap, tta):
    image = RNG.random((*size, 1), np.float32)

    def predict(batch):
        return np.stack([pooled(one) for one in batch])

    result = tiles.predict_tiled(predict, image, tile, overlap, batch=4, tta=tta)
    assert np.abs(result - pooled(image)).max() < 1e-4


def test_without_overlap_the_seams_would_show():
    image = np.ones((128, 128, 1), np.float32)
    result = tiles.predict_tiled(blur, image, 32, 0.0, batch=4)
    assert np.abs(result - blurred(image)).max() > 0.1


def test_a_flat_image_has_no_seam():
    image = np.full((200, 130, 1), 90, np.uint8)
    result = tiles.predict_tiled(blur, image, 32, 0.25, batch=5)
    assert np.ptp(result[2:-2, 2:-2]) < 1e-4


def test_tiles_have_one_shape_and_type():
    shapes, counts = set(), []

    def predict(batch):
        shapes.add((batch.shape[1:], batch.dtype))
        counts.append(len(batch))
        return batch[..., :1].astype(np.float32)

    images = [
        RNG.integers(0, 255, size, np.uint8) for size in [(9, 70, 3), (16, 16, 3), (50, 3, 3)]
    ]
    results = list(tiles.predict_stream(predict, images, 16, 0.25, batch=4))
    assert shapes == {((16, 16, 3), np.dtype(np.uint8))}
    assert set(counts[:-1]) == {4} and 0 < counts[-1] <= 4
    for image, result in zip(images, results, strict=True):
        assert np.allclose(result[..., 0], image[..., 0], atol=1e-3)


def test_batches_are_filled_across_images_and_memory_is_bounded():
    calls, read = [], []

    def predict(batch):
        calls.append(len(read))
        return batch

    def images():
        for number in range(12):
            read.append(number)
            yield np.full((8, 8, 1), number, np.float32)

    ahead = []
    for number, result in enumerate(tiles.predict_stream(predict, images(), 8, 0.0, batch=5)):
        ahead.append(len(read) - number)
        assert np.abs(result - number).max() < 1e-5
    assert len(calls) == 3
    assert max(ahead) <= 5


def test_turns_are_eight_and_can_be_undone():
    array = np.arange(12).reshape(3, 4, 1)
    seen = set()
    for orientation in range(8):
        there = tiles.apply_symmetry(array, orientation)
        seen.add((there.shape, there.tobytes()))
        assert np.array_equal(tiles.undo_symmetry(there, orientation), array)
    assert len(seen) == 8


def test_flips_average_over_all_orientations():
    def upper_left(batch):
        return np.broadcast_to(batch[:, :1, :1], batch.shape)

    image = np.array([[1, 2], [3, 6]], np.float32).reshape(2, 2, 1)
    result = tiles.predict_tiled(upper_left, image, 2, 0.0, batch=3, tta=True)
    assert result.ravel() == pytest.approx([3.0] * 4)
    image = np.array([[1, 2, 3], [4, 5, 9]], np.float32).reshape(2, 3, 1)
    result = tiles.predict_tiled(upper_left, image, (2, 3), 0.0, batch=1, tta=True)
    assert result.ravel() == pytest.approx([(1 + 3 + 4 + 9) / 4] * 6)


def test_the_window_is_a_gaussian_of_an_eighth_with_a_floor():
    weight = tiling.gaussian(65, 0, 3, 65)
    assert weight[32] == 1
    assert weight[32 + 65 // 8] == pytest.approx(np.exp(-0.5 * (8 / (65 / 8)) ** 2))
    assert weight[0] == pytest.approx(tiling.FLOOR)
    assert (weight[-3:] == 0).all() and weight[-4] > 0
