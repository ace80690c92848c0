"""What reproductions need of a training: the monitored value, validation in training mode..."""

import numpy as np
import pytest
from mask_training import (
    DEVICE,
    NETWORK,
    PREPROCESSING,
    TRAINING,
    assert_same,
    interrupt,
    result,
    train,
)

from coverslip.config.sections import Network, Training
from coverslip.training import dataset

CONSTANT = Training(epochs=2, batch_size=4, learning_rate=1e-2)


def test_the_monitored_value_chooses_the_epoch(mask_study, tmp_path):
    section = TRAINING.model_copy(update={"monitor": "validation_accuracy"})
    train(mask_study, tmp_path, training=section)
    _, history, info = result(tmp_path)
    assert info["kept_epoch"] == info["best_epoch"] == history["validation_accuracy"].argmax() + 1


def test_validation_in_training_mode_uses_batch_statistics(mask_study, tmp_path):
    network = Network(filters=4, depth=1, normalization="batch", dropout=0.5)
    modes = ("inference", "training")
    for mode in modes:
        section = CONSTANT.model_copy(update={"validation_mode": mode, "epochs": 1})
        train(mask_study, tmp_path / mode, network=network, training=section)
    (weights, history, _), (others, other, _) = (result(tmp_path / mode) for mode in modes)
    assert history["loss"][0] == other["loss"][0]
    assert history["validation_loss"][0] != other["validation_loss"][0]
    moved = [i for i in range(len(weights)) if not np.array_equal(weights[i], others[i])]
    import keras

    network = keras.saving.load_model(tmp_path / "training/model/model.keras", compile=False)
    names = {network.weights[i].path.split("/")[-1] for i in moved}
    assert {"moving_mean", "moving_variance"} <= names
    assert not names & {"kernel", "gamma", "beta", "bias"}, "no weight is trained by validation"


def test_validation_in_training_mode_resumes(mask_study, tmp_path, monkeypatch):
    changes = {"validation_mode": "training", "steps_per_epoch": 3, "validation_steps": 4}
    arguments = {
        "network": Network(filters=4, depth=1, normalization="batch", dropout=0.3),
        "training": CONSTANT.model_copy(update=changes),
    }
    train(mask_study, tmp_path / "whole", **arguments)
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        interrupt(patched, epoch=1, step=1)
        train(mask_study, tmp_path / "killed", **arguments)
    train(mask_study, tmp_path / "killed", **arguments)
    assert_same(tmp_path / "whole", tmp_path / "killed")


def test_micro_batches_are_what_batch_normalization_sees(mask_study, tmp_path):
    network = Network(filters=4, depth=1, normalization="batch")
    for size in (None, 2, 4):
        section = CONSTANT.model_copy(update={"micro_batch_size": size, "shuffle": "once"})
        train(mask_study, tmp_path / str(size), network=network, training=section)
    losses = {size: result(tmp_path / str(size))[1]["loss"].tolist() for size in (None, 2, 4)}
    assert losses[None] == losses[4] != losses[2]
    assert "memory" not in result(tmp_path / "2")[2]


def material(mask_study, **changes):
    sections = dataset.TrainingConfig(
        changes.pop("preprocessing", PREPROCESSING),
        NETWORK,
        TRAINING.model_copy(update=changes),
        seed=1,
    )
    return dataset.load_training_data(
        mask_study["patches"], mask_study["split"], 0, sections, DEVICE, print
    )


def test_the_first_training_masks_may_be_those_of_test_images(mask_study):
    batches = material(mask_study, overwrite_masks=True)
    train, test = batches.batches["train"], batches.batches["train"].patches.rows(["015"])
    patches = train.patches
    np.testing.assert_array_equal(train[0][1][0], patches.labels(test)[0] > 0)
    np.testing.assert_array_equal(train[0][1][1:], patches.labels(train.rows[1:4]) > 0)
    images = material(mask_study).batches["train"][0][0]
    np.testing.assert_array_equal(train[0][0], images)


@pytest.mark.parametrize(
    ("fit_on", "own", "of_test"),
    [("training", 10, None), ("all", 16, None), ("each_subset", 15, [15])],
)
def test_scaling_is_fitted_on_what_the_section_names(mask_study, fit_on, own, of_test):
    section = PREPROCESSING.model_copy(update={"fit_scaling_on": fit_on})
    fitted = material(mask_study, preprocessing=section).fitted
    patches = material(mask_study).batches["train"].patches
    values = patches.images(np.arange(own)).astype(float)
    assert fitted["mean"] == pytest.approx([values.mean()])
    assert fitted["standard_deviation"] == pytest.approx([values.std()])
    assert ("test" in fitted) == (of_test is not None)
    if of_test:
        assert fitted["test"]["mean"] == pytest.approx([patches.images(of_test).mean()])
