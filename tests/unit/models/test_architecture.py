import zipfile

import pytest
import study_files

from coverslip.errors import CoverslipError
from coverslip.models.architecture import FLAT, read_stages


def test_levels_of_a_small_unet(tmp_path):
    study_files.write_model(tmp_path, 2, 1)
    stages = read_stages(tmp_path / "model.keras", (64, 96))
    assert [(s.side, s.shrink, s.size) for s in stages] == [
        ("down", 1, (64, 96)),
        ("down", 2, (32, 48)),
        ("up", 1, (64, 96)),
    ]
    assert [(s.channels_in, s.channels) for s in stages] == [(1, 8), (8, 16), (16, 1)]
    assert [s.parameters for s in stages] == [80, 1168, 24 * 9 * 8 + 8 + 9]
    assert [s.sources for s in stages] == [[], [0], [0, 1]]
    assert stages[1].layers == "max-pool, conv 3×3"


def test_broken_file_is_named(tmp_path):
    path = tmp_path / "model.keras"
    with pytest.raises(CoverslipError, match=r"model\.keras: cannot be read"):
        read_stages(path, (8, 8))
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", "{}")
    with pytest.raises(CoverslipError, match=r"model\.keras: cannot be read"):
        read_stages(path, (8, 8))


def test_agrees_with_keras_on_nested_models(tmp_path):
    keras = pytest.importorskip("keras")
    layers = keras.layers
    inner_input = keras.Input((None, None, 4))
    low = layers.Conv2D(6, 3, strides=2, padding="same")(inner_input)
    encoder = keras.Model(inner_input, [inner_input, layers.BatchNormalization()(low)])
    encoder.trainable = False
    inputs = keras.Input((None, None, 3))
    skip, low = encoder(layers.Conv2D(4, 1)(inputs))
    up = keras.Sequential([layers.Conv2DTranspose(5, 2, strides=2), layers.Dropout(0.1)])(low)
    joined = layers.Concatenate()([skip, up])
    pooled = layers.GlobalAveragePooling2D()(joined)
    model = keras.Model(inputs, layers.Dense(2)(pooled))
    model.save(tmp_path / "model.keras")
    stages = read_stages(tmp_path / "model.keras", (16, 16))
    assert sum(stage.parameters for stage in stages) == model.count_params()
    assert [(s.side, s.shrink) for s in stages] == [
        ("down", 1),
        ("down", 2),
        ("up", 1),
        ("up", FLAT),
    ]
    assert [s.frozen for s in stages] == [False, True, False, False]
