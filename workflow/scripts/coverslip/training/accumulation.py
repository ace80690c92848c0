"""Gradient accumulation: batches in parts that fit in memory.

Gradients of the parts are averaged, and the weights change once in a batch, so that number and rate
of the steps stay the same. With parts the gradient is that of the whole batch, up to rounding, if
the loss is a mean over pixels, patches or images (cross-entropy, also weighted by class; Dice by
patch). It differs where a number is computed of everything at once: Dice over a batch is that of a
part, batch normalization uses the mean and deviation of a part, and dropout draws other values. The
moving averages of batch normalization are updated once for each part instead of each batch; their
momentum is changed so that a batch has the same weight as before.

How many patches fit is found by halving, see `coverslip.runtime.oom` and `Trainer.fitting`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import keras
import numpy as np

ITERATION = "iteration"

ACCUMULATOR = "_gradient_accumulator"
"""Keras' name of these variables of an optimizer."""


def split_batch(batch_size: int, at_once: int) -> int:
    """Return the number of parts of a batch, each of at most `at_once` patches."""
    return -(-batch_size // at_once)


def adam(learning_rate: float, parts: int = 1, epsilon: float = 1e-7) -> keras.optimizers.Optimizer:
    """Return Adam that changes the weights once in `parts` steps, by their mean gradient."""
    steps = parts if parts > 1 else None
    return keras.optimizers.Adam(learning_rate, epsilon=epsilon, gradient_accumulation_steps=steps)


def adapt_momentum(network: keras.Model, parts: int) -> None:
    """Set the momentum of batch normalization so that `parts` steps weigh as much as one."""
    for layer in network.layers:
        if parts > 1 and isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum **= 1 / parts


def take_variables(optimizer: keras.optimizers.Optimizer, parts: int) -> list[np.ndarray]:
    """Return copies of an optimizer's variables as without parts, between two epochs."""
    values = []
    for variable, counts in _lasting(optimizer):
        value = np.array(keras.ops.convert_to_numpy(variable))
        values.append(value // np.asarray(parts, value.dtype) if counts else value)
    return values


def put_variables(
    optimizer: keras.optimizers.Optimizer, values: Sequence[np.ndarray], parts: int
) -> None:
    """Assign what `take_variables` returned to an optimizer with any number of parts."""
    for (variable, counts), value in zip(_lasting(optimizer), values, strict=True):
        variable.assign(value * np.asarray(parts, value.dtype) if counts else value)


def _lasting(optimizer: keras.optimizers.Optimizer) -> Iterator[tuple[keras.Variable, bool]]:
    """Yield the variables that also exist without parts, and whether they count steps."""
    for variable in optimizer.variables:
        if not variable.name.endswith(ACCUMULATOR):
            yield variable, variable.name == ITERATION
