"""Batches in parts: the optimizer and batch normalization do not depend on their number."""

import keras
import numpy as np
import pytest

from coverslip.training import accumulation


@pytest.mark.parametrize("policy", ["float32", "mixed_float16"])
def test_an_optimizer_is_taken_and_put_whatever_its_parts(policy):
    variables = [keras.Variable(np.ones((2, 3), np.float32)), keras.Variable(np.ones(3, "f4"))]

    def made(parts):
        optimizer = accumulation.adam(0.1, parts)
        if policy != "float32":
            optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
        optimizer.build(variables)
        return optimizer

    one = made(3)
    for _ in range(6):
        one.apply([np.full(v.shape, 0.5, np.float32) for v in variables], variables)
    assert int(one.iterations) == 2
    values = accumulation.take_variables(one, 3)
    for parts in (1, 2, 3):
        other = made(parts)
        accumulation.put_variables(other, values, parts)
        assert int(other.iterations) == 2
        for a, b in zip(values, accumulation.take_variables(other, parts), strict=True):
            np.testing.assert_array_equal(a, b)


def test_batch_normalization_forgets_as_much_in_a_batch():
    inputs = keras.Input((4,))
    network = keras.Model(inputs, keras.layers.BatchNormalization(momentum=0.9)(inputs))
    accumulation.adapt_momentum(network, 1)
    assert network.layers[1].momentum == 0.9
    accumulation.adapt_momentum(network, 4)
    assert network.layers[1].momentum ** 4 == pytest.approx(0.9)


def test_epsilon_is_that_of_adam():
    assert accumulation.adam(0.1).epsilon == 1e-7
    assert accumulation.adam(0.1, epsilon=1e-8).epsilon == 1e-8
