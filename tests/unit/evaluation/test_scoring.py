import h5py
import numpy as np
import pytest

from coverslip.config.sections import Evaluation, Preprocessing
from coverslip.errors import CoverslipError
from coverslip.evaluation.predictions import (
    Predictions,
    count_objects,
    count_true_objects,
    scored_size,
    truth_mask,
)


def test_size_is_that_of_the_network_only_where_the_study_resizes():
    resized = Preprocessing(resize=(32, 48), channels="rgb", normalization="dtype_range")
    assert scored_size(resized, Evaluation(resolution="network")) == (32, 48)
    assert scored_size(resized, Evaluation()) is None
    assert (
        scored_size(
            Preprocessing(channels="rgb", normalization="dtype_range"),
            Evaluation(resolution="network"),
        )
        is None
    )


def test_truth_is_resized_as_in_training():
    label = np.zeros((8, 8), np.int32)
    label[2:6, 2:6] = 7
    assert truth_mask(label, None, "area").sum() == 16
    half = truth_mask(label, (4, 4), "area")
    assert half.dtype == bool and half.sum() == 4


def test_objects_are_counted_by_size_and_touch_at_corners():
    mask = np.zeros((10, 10), dtype=bool)
    mask[0:2, 0:2] = mask[2:4, 2:4] = True  # 8-connected: one object of 8 pixels
    mask[7, 7] = True
    assert [count_objects(mask, area) for area in (0, 2, 9)] == [2, 1, 0]
    assert count_objects(np.zeros((3, 3), dtype=bool), 0) == 0


def test_true_objects_are_instances_even_if_they_touch():
    label = np.array([[1, 1, 5, 5], [0, 0, 5, 9]], np.int32)
    assert count_true_objects(label) == 3
    assert count_true_objects(np.zeros((2, 2), np.int32)) == 0


def write(path, labels):
    with h5py.File(path, "w") as file:
        for id, label in labels.items():
            file.create_dataset(f"label/{id}", data=label)


def test_predictions_of_all_shards_are_one(tmp_path):
    write(tmp_path / "0.h5", {"b": np.array([[0, 2]], np.uint8)})
    write(tmp_path / "1.h5", {"a": np.zeros((1, 2), np.uint8)})
    with h5py.File(tmp_path / "2.h5", "w"):
        pass  # a shard without images
    with Predictions([tmp_path / f"{n}.h5" for n in range(3)]) as predictions:
        assert predictions.ids() == ["a", "b"]
        np.testing.assert_array_equal(predictions.mask("b", (1, 2)), [[False, True]])
        with pytest.raises(CoverslipError, match="no prediction of 'c'"):
            predictions.label("c")
        with pytest.raises(CoverslipError, match=r"1\.h5: the prediction of 'a' has \(1, 2\)"):
            predictions.mask("a", (4, 4))


def test_instances_where_the_model_predicts_them(tmp_path):
    write(tmp_path / "0.h5", {"a": np.ones((1, 2), np.uint8), "b": np.ones((1, 2), np.uint8)})
    with Predictions([tmp_path / "0.h5"]) as predictions:
        assert not predictions.has_instances
    with h5py.File(tmp_path / "0.h5", "a") as file:
        file.create_dataset("instance/a", data=np.array([[4, 7]], np.int32))
    with Predictions([tmp_path / "0.h5"]) as predictions:
        assert predictions.has_instances
        np.testing.assert_array_equal(predictions.instances("a", (1, 2)), [[4, 7]])
        for missing in ("b", "c"):
            with pytest.raises(CoverslipError, match=f"holds no instances of '{missing}'"):
                predictions.instances(missing, (1, 2))
        with pytest.raises(CoverslipError, match=r"the prediction of 'a' has \(1, 2\)"):
            predictions.instances("a", (2, 2))


def test_file_that_is_no_prediction_is_named(tmp_path):
    (tmp_path / "0.h5").write_text("no")
    with (
        pytest.raises(CoverslipError, match=r"0\.h5: not a readable prediction"),
        Predictions([tmp_path / "0.h5"]),
    ):
        pass
