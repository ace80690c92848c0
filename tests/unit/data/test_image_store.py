import time

import numpy as np
import pytest

from coverslip.data.image_store import ImageStore, ImageStoreWriter
from coverslip.errors import CoverslipError


def fill(path, wait=0.0):
    rng = np.random.default_rng(1)
    with ImageStoreWriter(path) as store:
        for id in ("b", "a"):
            store.image(id, rng.integers(0, 65535, (7, 5, 3), dtype=np.uint16))
            store.label(id, rng.integers(0, 300, (7, 5)))
            time.sleep(wait)


def test_round_trip(tmp_path):
    image = np.arange(12, dtype=np.uint8).reshape(3, 4)
    label = np.array([[0, 70000], [1, 2]])
    with ImageStoreWriter(tmp_path / "s.h5") as store:
        store.image("b", image)
        store.label("b", label)
        store.image("a", np.zeros((2, 2, 3), np.uint16))
    with ImageStore(tmp_path / "s.h5") as store:
        assert store.ids() == ["a", "b"]
        assert store.image("b").dtype == np.uint8
        assert store.label("b").dtype == np.int32
        np.testing.assert_array_equal(store.image("b"), image[:, :, None])
        np.testing.assert_array_equal(store.label("b"), label)
        assert store.image("a").dtype == np.uint16
        with pytest.raises(CoverslipError, match="no label of 'a'"):
            store.label("a")


def test_equal_calls_give_equal_bytes(tmp_path):
    fill(tmp_path / "1.h5")
    fill(tmp_path / "2.h5", wait=0.6)
    assert (tmp_path / "1.h5").read_bytes() == (tmp_path / "2.h5").read_bytes()


def test_nothing_remains_of_a_broken_write(tmp_path):
    with pytest.raises(RuntimeError), ImageStoreWriter(tmp_path / "s.h5") as store:
        store.image("a", np.zeros((3, 3), np.uint8))
        raise RuntimeError
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("id", ["", "a/b", "..", "."])
def test_id_must_be_a_name(tmp_path, id):
    with pytest.raises(ValueError, match="id"), ImageStoreWriter(tmp_path / "s.h5") as store:
        store.image(id, np.zeros((3, 3), np.uint8))


def test_refuses_floats_and_a_second_image_of_one_id(tmp_path):
    with ImageStoreWriter(tmp_path / "s.h5") as store:
        with pytest.raises(ValueError, match="float"):
            store.image("a", np.zeros((3, 3)))
        with pytest.raises(ValueError, match="label map"):
            store.label("a", np.zeros((3, 3)))
        store.image("a", np.zeros((3, 3), np.uint8))
        with pytest.raises(ValueError, match="a"):
            store.image("a", np.zeros((3, 3), np.uint8))


def test_no_store(tmp_path):
    (tmp_path / "s.h5").write_text("no")
    for name in ("s.h5", "missing.h5"):
        with pytest.raises(CoverslipError, match=name):
            ImageStore(tmp_path / name)
