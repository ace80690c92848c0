"""A batch that memory has no room for is trained in parts: forced exhaustion of memory."""

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from test_trainer import (  # noqa: F401 (a fixture)
    IDENTITY,
    TRAINING,
    assert_same,
    interrupt,
    result,
    run,
    study,
)

from coverslip.config.sections import Network
from coverslip.errors import CoverslipError
from coverslip.runtime import device
from coverslip.training import checkpoint, dataset, losses, trainer

FLOAT32 = device.Device("CPU", threads=1)
PLAIN = Network(filters=4, depth=1, normalization="group", head="semantic", stem_stride=1)
EXACT = TRAINING.model_copy(update={"loss": "crossentropy", "epochs": 3})
"""What is equal in parts: no batch normalization, no dropout, no Dice over a batch."""


def exhaust(monkeypatch, limit: int, after: int = 0) -> list[int]:
    """Steps of more patches than `limit` fail within the graph, after so many that did not.

    Returns a list to which the size of each step that passed is added.
    """
    inherited, passed = losses.make, []

    def check(patches):
        if len(patches) > limit and len(passed) >= after:
            raise MemoryError("forced")
        passed.append(len(patches))

    def make(*arguments):
        made = inherited(*arguments)
        call = made.call

        def checked(y_true, y_pred):
            tf.py_function(check, [y_true], [])
            return call(y_true, y_pred)

        made.call = checked
        return made

    monkeypatch.setattr(losses, "make", make)
    return passed


@pytest.mark.parametrize("limit", [2, 1])
def test_parts_give_what_the_whole_batch_gives(study, tmp_path, monkeypatch, limit):  # noqa: F811
    same = {"device": FLOAT32, "network": PLAIN, "training": EXACT}
    facts = run(study, tmp_path / "whole", **same)
    assert "memory" not in facts and "memory" not in result(tmp_path / "whole")[2]
    lines = []
    with monkeypatch.context() as patch:
        passed = exhaust(patch, limit)
        facts = run(study, tmp_path / "parts", **same, report=lines.append)
    assert max(passed) == limit
    told = {"batch_size": 4, "halvings": [{"epoch": 1, "patches_at_once": limit}]}
    weights, history, info = result(tmp_path / "whole")
    others, other_history, other_info = result(tmp_path / "parts")
    assert facts["memory"] == other_info["memory"] == told
    assert lines[0] == "memory ran out with 4 patches at once: goes on with 2"
    for one, other in zip(weights, others, strict=True):
        np.testing.assert_allclose(one, other, atol=2e-4)
    # The last batch has 2 patches of 4, which the mean loss of an epoch weighs otherwise.
    columns = [name for name in history.columns if name != "loss"]
    pd.testing.assert_frame_equal(history[columns], other_history[columns], atol=2e-3)
    assert list(history["learning_rate"]) == list(other_history["learning_rate"])
    assert info["threshold"] == other_info["threshold"]


def test_it_moves_by_steps_of_whole_batches(study, tmp_path, monkeypatch):  # noqa: F811
    seen = []
    inherited = trainer.Steps.on_train_batch_end

    def on_train_batch_end(self, batch, logs=None):
        inherited(self, batch, logs)
        seen.append(int(keras.ops.convert_to_numpy(self.model.optimizer.iterations)))

    monkeypatch.setattr(trainer.Steps, "on_train_batch_end", on_train_batch_end)
    exhaust(monkeypatch, 1)
    run(study, tmp_path, training=EXACT.model_copy(update={"epochs": 1}))
    assert seen == [0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3]


def test_a_resumed_halved_training_ends_as_an_undisturbed_one(
    study,  # noqa: F811
    tmp_path,
    monkeypatch,
):
    # Memory runs out in the second epoch: 3 steps and 2 of validation come before.
    with monkeypatch.context() as patch:
        exhaust(patch, 2, after=6)
        run(study, tmp_path / "undisturbed")
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        exhaust(patch, 2, after=6)
        interrupt(patch, 3, 1)
        run(study, tmp_path / "resumed")
    kept = checkpoint.load(tmp_path / "resumed" / "state", IDENTITY)
    assert kept.halvings == [{"epoch": 2, "patches_at_once": 2}]
    with monkeypatch.context() as patch:
        passed = exhaust(patch, 2)
        facts = run(study, tmp_path / "resumed")
    assert facts["resumed_after_epoch"] == 3 and facts["memory"]["halvings"] == kept.halvings
    assert max(passed) == 2
    assert_same(tmp_path / "undisturbed", tmp_path / "resumed")


def test_a_state_knows_no_parts(study, tmp_path, monkeypatch):  # noqa: F811
    shapes = []
    for limit in (4, 1):
        folder = tmp_path / str(limit)
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            exhaust(patch, limit)
            interrupt(patch, 1, 0)
            run(study, folder)
        kept = checkpoint.load(folder / "state", IDENTITY)
        shapes.append([array.shape for array in kept.optimizer])
        assert int(kept.optimizer[0]) == 3
    assert shapes[0] == shapes[1]


def test_one_patch_that_does_not_fit_names_the_mend(study, tmp_path, monkeypatch):  # noqa: F811
    exhaust(monkeypatch, 0)
    with pytest.raises(CoverslipError, match="memory is exhausted: use a smaller .*patch"):
        run(study, tmp_path)
    assert not (tmp_path / "model" / "model.json").exists()


def test_a_state_of_another_precision_is_not_gone_on_from(
    study,  # noqa: F811
    tmp_path,
    monkeypatch,
):
    other = device.Device("CPU", bfloat16=True, threads=1)
    assert other.dtype_policy != FLOAT32.dtype_policy
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        interrupt(patch, 1, 0)
        run(study, tmp_path, device=other)
    assert run(study, tmp_path, device=FLOAT32)["resumed_after_epoch"] == 0


@pytest.mark.parametrize("policy", ["float32", "mixed_float16"])
def test_an_optimizer_is_taken_and_put_whatever_its_parts(policy):
    variables = [keras.Variable(np.ones((2, 3), np.float32)), keras.Variable(np.ones(3, "f4"))]

    def made(parts):
        optimizer = dataset.adam(0.1, parts)
        if policy != "float32":
            optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
        optimizer.build(variables)
        return optimizer

    one = made(3)
    for _ in range(6):
        one.apply([np.full(v.shape, 0.5, np.float32) for v in variables], variables)
    assert int(one.iterations) == 2
    values = dataset.take(one, 3)
    for parts in (1, 2, 3):
        other = made(parts)
        dataset.put(other, values, parts)
        assert int(other.iterations) == 2
        for a, b in zip(values, dataset.take(other, parts), strict=True):
            np.testing.assert_array_equal(a, b)


def test_batch_normalization_forgets_as_much_in_a_batch():
    inputs = keras.Input((4,))
    network = keras.Model(inputs, keras.layers.BatchNormalization(momentum=0.9)(inputs))
    dataset.slow_down(network, 1)
    assert network.layers[1].momentum == 0.9
    dataset.slow_down(network, 4)
    assert network.layers[1].momentum ** 4 == pytest.approx(0.9)
