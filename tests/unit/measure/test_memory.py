"""Measuring, segmenting and classifying go on with less at once where memory runs out."""

import json
import logging

import keras
import numpy as np
import pandas as pd
import pytest
from test_shard import place, run  # noqa: F401 (a fixture)

from coverslip.errors import CoverslipError
from coverslip.models import model

LIMIT = 3


@pytest.fixture
def told():
    """Warnings of the package's log."""
    messages: list[str] = []

    class Keep(logging.Handler):
        def emit(self, record):
            messages.append(record.getMessage())

    handler = Keep(logging.WARNING)
    logging.getLogger("coverslip").addHandler(handler)
    yield messages
    logging.getLogger("coverslip").removeHandler(handler)


def hungry(monkeypatch, kind: str, limit: int) -> None:
    """More tiles at once than `limit` exhaust the memory of this kind of model."""
    plain = model.KINDS[kind]

    def made(loaded):
        predict = plain(loaded)

        def limited(tiles):
            if len(tiles) > limit:
                raise MemoryError("forced")
            return predict(tiles)

        return limited

    monkeypatch.setitem(model.KINDS, kind, made)


def test_a_measured_folder(place, monkeypatch, told):  # noqa: F811
    _, outputs = run(place, code="enough")
    expected = pd.read_csv(outputs.images)
    assert told == []
    hungry(monkeypatch, "bright", LIMIT)
    computed, outputs = run(place, code="too little")
    assert computed == 5
    pd.testing.assert_frame_equal(pd.read_csv(outputs.images), expected)
    assert told[0] == "memory ran out with 512 tiles at once: goes on with 256"
    assert told[-1].endswith("goes on with 2") and len(told) == 8


def test_one_tile_that_does_not_fit_names_the_mend(place, monkeypatch, told):  # noqa: F811
    hungry(monkeypatch, "bright", 0)
    with pytest.raises(CoverslipError, match="32x32 pixels at a time are too many"):
        run(place)


def test_classes_of_images(tmp_path, monkeypatch, told):
    keras.utils.set_random_seed(1)
    inputs = keras.Input((8, 8, 1))
    network = keras.Model(inputs, keras.layers.Dense(3)(keras.layers.Flatten()(inputs)))
    preprocessing = {"channels": "grey", "resize": [8, 8]}
    info = {
        "head": "classification",
        "classes": ["a", "b", "c"],
        "threshold": None,
        "temperature": 2.0,
    }
    model.save(tmp_path, network, info | {"preprocessing": preprocessing, "fitted": {}})
    assert json.loads((tmp_path / "model.json").read_text())["num_classes"] == 3
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 255, (9, 9), np.uint8) for _ in range(7)]
    expected = list(model.load(tmp_path).predict(images, tta=True, batch=8))
    hungry(monkeypatch, "network", LIMIT)
    found = list(model.load(tmp_path).predict(images, tta=True, batch=8))
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert told == [
        "memory ran out with 8 tiles at once: goes on with 4",
        "memory ran out with 4 tiles at once: goes on with 2",
    ]
