"""The model folder: written, refused, read, and predicting."""

import json
import subprocess
import sys

import numpy as np
import pytest
from model_files import GREY16, grey, info, network

from coverslip.config.sections import Preprocessing
from coverslip.errors import CoverslipError
from coverslip.models import model as models
from coverslip.models import preprocessing


def saved(folder, p=GREY16, made=None, **more):
    models.save(folder, made or network(), info(p, **more))
    return models.load(folder)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def test_a_folder_tells_what_was_saved(tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "history.csv").write_text("epoch\n")
    loaded = saved(tmp_path / "model", licence="CC0")
    assert loaded.preprocessing == GREY16
    assert loaded.threshold == 0.4
    assert loaded.info["licence"] == "CC0"
    assert (loaded.info["format"], loaded.info["kind"], loaded.info["num_classes"]) == (
        models.FORMAT,
        "network",
        1,
    )
    names = sorted(path.name for path in (tmp_path / "model").iterdir())
    assert names == ["history.csv", "model.json", "model.keras"]


def test_saving_again_replaces_and_a_failure_leaves_no_model(tmp_path):
    saved(tmp_path)
    assert saved(tmp_path, threshold=0.7).threshold == 0.7
    broken = network()
    broken.save = lambda path: (path.write_bytes(b"half"), 1 / 0)
    with pytest.raises(ZeroDivisionError):
        models.save(tmp_path, broken, info())
    assert not (tmp_path / "model.json").exists()
    assert [path.name for path in tmp_path.iterdir() if "part" in path.name] == []


@pytest.mark.parametrize("name", models.REQUIRED)
def test_what_is_missing_is_refused_before_anything_is_written(tmp_path, name):
    facts = info()
    del facts[name]
    with pytest.raises(ValueError, match=name):
        models.save(tmp_path / "model", network(), facts)
    assert not (tmp_path / "model").exists()


def test_not_a_number_is_refused(tmp_path):
    with pytest.raises(ValueError, match="JSON"):
        models.save(tmp_path / "model", network(), info(threshold=float("nan")))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 3}, "newer"),
        ({"format": None}, "not written by coverslip"),
        ({"kind": "crystal ball"}, "unknown kind"),
        ({"preprocessing": {"chanels": "grey"}}, "preprocessing"),
        ({"preprocessing": None}, "preprocessing"),
    ],
)
def test_foreign_folders_are_refused(tmp_path, change, message):
    saved(tmp_path)
    path = tmp_path / "model.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(CoverslipError, match=message) as caught:
        models.load(tmp_path)
    assert str(path) in str(caught.value)


def test_missing_and_unreadable_folders_are_named(tmp_path):
    with pytest.raises(CoverslipError, match="nowhere: not a model folder"):
        models.load(tmp_path / "nowhere")
    (tmp_path / "model.json").write_text("{")
    with pytest.raises(CoverslipError, match="not JSON"):
        models.load(tmp_path)
    (tmp_path / "model.json").write_text("[]")
    with pytest.raises(CoverslipError, match="not written by coverslip"):
        models.load(tmp_path)
    loaded = saved(tmp_path)
    (tmp_path / "model.keras").write_bytes(b"PK half of a file")
    with pytest.raises(CoverslipError, match=r"model\.keras: cannot be loaded"):
        next(loaded.predict([grey(16, 16)]))


def test_code_in_a_network_is_not_run(tmp_path):
    import keras

    inputs = keras.Input((16, 16, 1))
    risky = keras.Model(inputs, keras.layers.Lambda(lambda x: x)(inputs))
    loaded = saved(tmp_path, made=risky)
    with pytest.raises(CoverslipError, match="cannot be loaded"):
        next(loaded.predict([grey(16, 16)]))


def test_reading_a_folder_needs_no_keras(tmp_path):
    saved(tmp_path)
    code = (
        "import sys, pathlib; from coverslip.models.model import load;"
        "print(load(pathlib.Path(sys.argv[1])).threshold, 'keras' in sys.modules)"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        env={"PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout.split() == ["0.4", "False"]


def test_images_of_all_sizes_and_kinds_are_predicted_in_order(tmp_path):
    made = network(gain=0.5)
    loaded = saved(tmp_path, made=made)
    images = [grey(40, 23), grey(16, 16, 1), grey(5, 3), grey(20, 33, 4)]
    results = list(loaded.predict(iter(images), overlap=0.5, batch=4))
    assert [result.shape for result in results] == [
        (40, 23, 1),
        (16, 16, 1),
        (5, 3, 1),
        (20, 33, 1),
    ]
    whole = sigmoid(made.predict_on_batch(images[0][None, :, :, None] / np.float32(255)))
    assert results[0].dtype == np.float32
    assert np.abs(results[0] - whole[0]).max() < 1e-4


def test_the_fitted_numbers_are_used(tmp_path):
    p = Preprocessing(
        channels="grey", patch=16, input_scaling="zscore", normalization="dtype_range"
    )
    made = network()
    fitted = {"mean": [100.0], "standard_deviation": [20.0]}
    loaded = saved(tmp_path, p, made, fitted=fitted)
    image = grey(16, 16)
    expected = sigmoid(made.predict_on_batch((image[None, :, :, None] - np.float32(100)) / 20))
    assert next(loaded.predict([image])) == pytest.approx(expected[0], abs=1e-5)


def test_softmax_sums_to_one(tmp_path):
    loaded = saved(tmp_path, made=network(outputs=6))
    result = next(loaded.predict([grey(30, 30)]))
    assert result.shape == (30, 30, 6)
    assert np.abs(result.sum(axis=-1) - 1).max() < 1e-5


@pytest.mark.parametrize("outputs", [1, 6])
@pytest.mark.parametrize("size", [(40, 64), (10, 64), (16, 24)])
def test_a_resizing_model_comes_back_to_native_size(tmp_path, outputs, size):
    p = Preprocessing(channels="grey", resize=(16, 24), normalization="dtype_range")
    loaded = saved(tmp_path, p, network(outputs, (16, 24, 1)))
    small = next(loaded.predict([grey(*size)], resolution="network", tta=True))
    assert small.shape == (16, 24, outputs)
    ramp = np.tile(np.linspace(0, 255, size[1]).astype(np.uint8), (size[0], 1))
    native = next(loaded.predict([ramp]))
    network_size = next(loaded.predict([ramp], resolution="network"))
    assert native.shape == (*size, outputs)
    assert native.mean() == pytest.approx(network_size.mean(), abs=0.01)
    assert native.min() >= 0 and native.max() <= 1


@pytest.mark.parametrize("outputs", [1, 3])
def test_scales_are_averaged_at_native_size(tmp_path, outputs):
    loaded = saved(tmp_path, made=network(outputs))
    images = [grey(40, 23), grey(5, 3), grey(32, 32)]
    found = list(loaded.predict(images, tta_scales=(1.0, 0.75, 0.1)))
    for image, mean in zip(images, found, strict=True):
        parts = [next(loaded.predict([image]))]
        for scale in (0.75, 0.1):
            size = [max(1, round(scale * length)) for length in image.shape]
            pixels = preprocessing.to_input(image, GREY16)
            smaller = preprocessing.resize_image(pixels, tuple(size))
            part = next(models.predict_stream(loaded.predictor(), [smaller], loaded.tile, 0.25, 1))
            parts.append(preprocessing.resize_image(part, image.shape))
        assert mean.shape == (*image.shape, outputs) and mean.dtype == np.float32
        assert mean == pytest.approx(np.mean(parts, axis=0), abs=1e-5)
        assert np.abs(mean - parts[0]).max() > 1e-3


def test_one_scale_changes_nothing_and_a_resizing_model_has_one(tmp_path):
    image = grey(40, 23)
    loaded = saved(tmp_path / "native")
    once = next(loaded.predict([image], tta_scales=[1.0]))
    assert np.array_equal(once, next(loaded.predict([image])))
    p = Preprocessing(channels="grey", resize=(16, 24), normalization="dtype_range")
    loaded = saved(tmp_path / "resizing", p, network(1, (16, 24, 1)))
    two = list(loaded.predict([image, image], tta_scales=[1.0, 0.5]))
    assert len(two) == 2 and np.array_equal(two[0], next(loaded.predict([image])))


def brighter(model):
    """A stand-in for a network: the brightness is the probability."""
    return lambda tiles: tiles.astype(np.float32) / 255


def test_images_are_resized_to_the_objects_of_training(tmp_path):
    """A network whose answer is the brightness, so that bright squares are the objects."""
    import keras

    inputs = keras.Input((None, None, 1))
    layer = keras.layers.Conv2D(4, 1)
    made = keras.Model(inputs, layer(inputs))
    # Background, interior, border and depth, from pixels on the scale 0..1.
    layer.set_weights([np.array([[[[-20.0, 20, 0, 20]]]]), np.array([10.0, -10, -30, -10])])
    facts = {"head": "instance", "diameter_px": 10.0}
    facts["instances"] = {"threshold": 0.5, "seed": 0.5, "min_area_px": 0}
    p = GREY16.model_copy(update={"rescale_objects": True, "patch": 32})
    models.save(tmp_path, made, info(p, **facts))
    model = models.load(tmp_path)
    image = np.zeros((96, 96), np.uint8)
    for side, factor in ((18, 10 / (2 * 18 / np.sqrt(np.pi))), (9, 1), (3, 1)):
        image[:] = 0
        image[40 : 40 + side, 40 : 40 + side] = 255
        assert model.scale_of(image) == pytest.approx(factor if side != 3 else 1, rel=0.05)
        (found,) = model.predict([image])
        assert found.shape == (96, 96, 4) and model.objects(found).max() == 1
    off = models.load(tmp_path)
    off.preprocessing = p.model_copy(update={"rescale_objects": False})
    image[40:58, 40:58] = 255
    assert off.scale_of(image) == 1


def test_each_image_comes_back_to_its_own_size(tmp_path, monkeypatch):
    monkeypatch.setitem(models.KINDS, "network", brighter)
    loaded = saved(
        tmp_path, Preprocessing(channels="grey", resize=(16, 24), normalization="dtype_range")
    )
    images = [np.full(size, 10 * size[0], np.uint8) for size in [(9, 5), (20, 8), (6, 30), (7, 7)]]
    results = list(loaded.predict(images))
    for image, result in zip(images, results, strict=True):
        assert result.shape == (*image.shape, 1)
        assert result == pytest.approx(image[:, :, np.newaxis] / 255, abs=1e-5)


def test_the_kind_tells_how_to_predict(tmp_path, monkeypatch):
    monkeypatch.setitem(models.KINDS, "photometer", brighter)
    loaded = saved(tmp_path, kind="photometer")
    image = grey(16, 16)
    assert next(loaded.predict([image]))[..., 0] == pytest.approx(image / 255, abs=1e-5)


def test_one_call_predicts_tiles_of_many_images(tmp_path, monkeypatch):
    calls = []

    def counting(model):
        def predict(tiles):
            calls.append(tiles.shape)
            return tiles.astype(np.float32) / 255

        return predict

    monkeypatch.setitem(models.KINDS, "network", counting)
    loaded = saved(tmp_path)
    assert len(list(loaded.predict(grey(16, 16) for _ in range(20)))) == 20
    assert calls == [(20, 16, 16, 1)]
    calls.clear()
    assert len(list(loaded.predict((grey(16, 16) for _ in range(20)), batch=8))) == 20
    assert calls == [(count, 16, 16, 1) for count in (8, 8, 4)]


def test_flips_of_classes_are_averaged():
    def predict(stack):
        return np.stack([stack[:, 0, 0, 0], stack.mean(axis=(1, 2, 3))], axis=1)

    rng = np.random.default_rng(0)
    images = [rng.integers(0, 9, (4, 4, 1), dtype=np.uint8) for _ in range(5)]
    plain = np.stack(list(models.predict_classes(predict, images, 2, tta=False)))
    np.testing.assert_allclose(plain[:, 0], [image[0, 0, 0] for image in images])
    flipped = np.stack(list(models.predict_classes(predict, images, 2, tta=True)))
    corners = [image[[0, 0, -1, -1], [0, -1, 0, -1], 0].mean() for image in images]
    np.testing.assert_allclose(flipped[:, 0], corners, rtol=1e-6)
    np.testing.assert_allclose(flipped[:, 1], plain[:, 1], rtol=1e-6)
    wide = [image[:2] for image in images]
    assert np.stack(list(models.predict_classes(predict, wide, 3, tta=True))).shape == (5, 2)
    assert list(models.predict_classes(predict, [], 3, tta=True)) == []
