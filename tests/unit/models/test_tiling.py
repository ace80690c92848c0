"""How images are cut into tiles: larger ones than patches, for networks that take them."""

import logging

import numpy as np
import pytest

from coverslip.config.sections import Network, Preprocessing
from coverslip.imaging.rows import Whole
from coverslip.models import heads, tiles, tiling
from coverslip.models import model as models
from coverslip.models.networks import build
from coverslip.runtime import oom

RNG = np.random.default_rng(6)
SIZES = [(64, 64), (65, 64), (100, 300), (520, 696), (603, 1272), (1024, 1024), (31, 2000)]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("overlap", [0.1, 0.25, 0.5])
def test_larger_tiles_cover_all_share_enough_and_cost_no_more(size, overlap):
    cut = tiling.tiling(size, (64, 64), overlap, grain=32)
    plain = tiling.tiling(size, (64, 64), overlap)
    covered = np.zeros(cut.padded, int)
    for y, x in cut.corners:
        covered[y : y + cut.tile[0], x : x + cut.tile[1]] += 1
        assert (cut.weights((y, x)) >= 0).all()
    assert covered.min() >= 1 and all(p >= s for p, s in zip(cut.padded, size, strict=True))
    for axis in (0, 1):
        starts = cut.starts(axis)
        assert starts[-1] + cut.tile[axis] == cut.padded[axis]
        assert all(cut.tile[axis] - step >= 64 * overlap - 1 for step in np.diff(starts))
        if cut.wide:
            assert all(start % 32 == 0 for start in starts) and cut.tile[axis] % 32 == 0
    costs = [len(each.corners) * np.prod(each.tile) for each in (cut, plain)]
    assert costs[0] <= costs[1] and np.prod(cut.tile) <= tiling.LARGEST


def test_where_tiles_stay_as_large_as_patches():
    for size, overlap, grain in [
        ((900, 900), 0.0, 32),
        ((900, 900), 0.25, None),
        ((64, 9), 0.5, 32),
    ]:
        cut = tiling.tiling(size, (64, 64), overlap, grain)
        assert cut.tile == (64, 64) and not cut.wide
    assert tiling.tiling((900, 900), (64, 64), 0.9, 32).tile == (64, 64)  # they would not move on
    assert tiling.tiling((2000, 2000), (1024, 1024), 0.25, 32).tile[0] <= 1024


def test_ends_of_larger_tiles_weigh_what_those_of_patches_do():
    patch, larger = tiling.gaussian(64, 4, 0, 64), tiling.gaussian(160, 4, 0, 64)
    assert (larger[:32] == patch[:32]).all() and (larger[-32:] == patch[-32:]).all()
    assert (larger[32:-32] > 0.99).all()


def unet(normalization="batch", depth=1, stem_stride=1):
    import keras

    keras.utils.set_random_seed(5)
    settings = Network(
        architecture="unet",
        filters=2,
        depth=depth,
        stem_stride=stem_stride,
        normalization=normalization,
        head="semantic",
    )
    return build(settings, (None, None, 1))


def test_the_receptive_field_is_what_a_network_sees():
    network = unet(depth=2)
    field, step = tiling.receptive_field(network)
    assert step == 4
    image = RNG.random((128, 128, 1), np.float32)
    poked = np.repeat(image[np.newaxis], 129, axis=0)
    for row in range(128):
        poked[row, row] += 100
    found = network.predict_on_batch(poked)[:, 64, 64, 0]
    seen = np.flatnonzero(found[:-1] != found[-1])
    assert 0.5 * field <= np.ptp(seen) + 1 <= field


@pytest.mark.parametrize(
    ("facts", "patch", "grain"),
    [
        ({}, 64, 32),
        ({"depth": 4}, 256, 32),
        ({"depth": 4}, 128, None),  # sees 200 pixels
        ({"depth": 3, "stem_stride": 2}, 256, 32),
        ({}, 40, None),
        ({"normalization": "none"}, 64, 32),
        ({"normalization": "group"}, 64, None),
    ],
)
def test_only_local_networks_take_larger_tiles(facts, patch, grain):
    assert tiling.size_divisor_of(unet(**facts), (patch, patch)) == grain


def test_networks_of_the_whole_tile_take_no_larger_ones():
    import keras

    image = keras.Input((None, None, 4))
    whole = keras.layers.GlobalAveragePooling2D(keepdims=True)(image)
    for answer in (
        keras.layers.Add()([image, whole]),
        keras.layers.Multiply()([image, whole]),
        keras.layers.LayerNormalization()(image),
        keras.layers.UpSampling2D(interpolation="bilinear")(keras.layers.MaxPooling2D()(image)),
        keras.layers.Conv2D(4, 3, padding="valid")(image),
        keras.layers.MaxPooling2D()(image),
    ):
        assert tiling.size_divisor_of(keras.Model(image, answer), (64, 64)) is None
    fixed = keras.Input((64, 64, 1))
    assert tiling.size_divisor_of(keras.Model(fixed, keras.layers.ReLU()(fixed)), (64, 64)) is None


def saved(folder, network):
    p = Preprocessing(channels="grey", patch=64, input_scaling="unit", normalization="dtype_range")
    facts = {"classes": ["background", "nucleus"], "fitted": {}, "threshold": 0.5}
    models.save(folder, network, facts | {"preprocessing": p})
    return models.load(folder)


@pytest.mark.parametrize("tta", [False, True])
def test_a_network_in_larger_tiles_gives_what_it_gives_whole(tmp_path, monkeypatch, tta):
    monkeypatch.setattr(tiling, "LARGEST", 128 * 96)
    network = unet()
    loaded = saved(tmp_path, network)
    image = RNG.integers(0, 255, (192, 288), np.uint8)
    cut = tiling.tiling(image.shape, (64, 64), 0.5, 32)
    assert cut.wide and len(cut.corners) > 2 and cut.tile[0] != cut.tile[1]
    found = next(loaded.predict([image], overlap=0.5, tta=tta))
    if not tta:
        whole = heads.probabilities(network, "semantic")
        expected = whole.predict_on_batch(image[None, :, :, None] / np.float32(255))[0]
        assert np.abs(found - expected).max() < 1e-4
    source = Whole(image[:, :, None])
    assert (loaded.open_image(source, 0.5, tta)(source.array, 0, 0) == found).all()


def test_what_is_predicted_before_changes_nothing(tmp_path):
    images = [RNG.integers(0, 255, size, np.uint8) for size in [(200, 130), (60, 50), (90, 300)]]
    loaded = saved(tmp_path, unet())
    one_by_one = [next(models.load(tmp_path).predict([image])) for image in images]
    together = list(loaded.predict(images))
    again = list(loaded.predict(reversed(images)))[::-1]
    for single, found, last in zip(one_by_one, together, again, strict=True):
        assert (single == found).all() and (single == last).all()


def hungry(most, seen):
    """A network that smooths nothing and has memory for so many pixels at once."""

    def predict(stack):
        seen.append(stack.shape)
        if stack.shape[0] * stack.shape[1] * stack.shape[2] > most:
            raise MemoryError
        return stack[..., :1].astype(np.float32)

    return oom.AdaptiveBatchPredictor(predict)


def test_where_memory_runs_out_tiles_are_patches_again(caplog):
    images = [RNG.integers(0, 255, size, np.uint8) for size in [(9, 9, 1), (90, 130, 1)]]
    seen = []
    with caplog.at_level(logging.WARNING, "coverslip"):
        found = list(tiles.predict_stream(hungry(2048, seen), images, 32, 0.25, 4, grain=16))
    for image, answer in zip(images, found, strict=True):
        assert np.abs(answer - image).max() < 1e-4
    assert "goes on with tiles of 32x32" in caplog.text
    assert sum(shape[1:3] != (32, 32) for shape in seen) == 1
    with pytest.raises(oom.OutOfMemory):
        list(tiles.predict_stream(hungry(99, []), images, 32, 0.25, 4, grain=16))


def test_small_images_do_not_hold_back_many_large_ones(monkeypatch):
    monkeypatch.setattr(tiles, "WAITING", 60 * 60)
    read = []

    def images():
        for number in range(12):
            read.append(number)
            yield np.full((20, 20, 1) if number % 4 == 0 else (48, 48, 1), number, np.uint8)

    ahead = []
    predict = hungry(2**20, [])
    for number, found in enumerate(tiles.predict_stream(predict, images(), 32, 0.25, 8, grain=16)):
        assert np.abs(found - number).max() < 1e-5
        ahead.append(len(read) - number)
    assert len(ahead) == 12 and max(ahead) <= 4
