"""One step of training in several parts, for a batch that memory has no room for.

Gradients of the parts are averaged, and the weights change once a batch, so that number and rate of
the steps stay what they are. With parts the gradient is that of the whole batch, but for rounding,
where the loss is a mean over pixels, patches or pictures (cross-entropy, also weighted by class;
Dice by patch). It is not the same where a number is taken of all that is seen at once: Dice over a
batch is that of a part, batch normalization takes the mean and deviation of a part, and dropout
draws other values. The average that batch normalization keeps moves once a part instead of once a
batch; its momentum is changed so that it forgets as much in a batch as before.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import keras
import numpy as np

ITERATION = "iteration"
ACCUMULATOR = "_gradient_accumulator"
"""What Keras calls these variables of an optimizer."""


def parts_of(batch_size: int, at_once: int) -> int:
    """Number of parts of a batch, each of `at_once` or fewer."""
    return -(-batch_size // at_once)


def adam(learning_rate: float, parts: int = 1) -> keras.optimizers.Optimizer:
    """Adam that changes the weights once in `parts` steps, by the mean of their gradients."""
    steps = parts if parts > 1 else None
    return keras.optimizers.Adam(learning_rate, gradient_accumulation_steps=steps)


def slow_down(network: keras.Model, parts: int) -> None:
    """Let batch normalization forget in `parts` steps what it forgot in one."""
    for layer in network.layers:
        if parts > 1 and isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum **= 1 / parts


def take(optimizer: keras.optimizers.Optimizer, parts: int) -> list[np.ndarray]:
    """Copies of an optimizer's variables as they would be without parts, between two epochs."""
    found = []
    for variable, counts in _lasting(optimizer):
        value = np.array(keras.ops.convert_to_numpy(variable))
        found.append(value // np.asarray(parts, value.dtype) if counts else value)
    return found


def put(optimizer: keras.optimizers.Optimizer, values: Sequence[np.ndarray], parts: int) -> None:
    """Assign what `take` gave, by an optimizer with other parts or the same."""
    for (variable, counts), value in zip(_lasting(optimizer), values, strict=True):
        variable.assign(value * np.asarray(parts, value.dtype) if counts else value)


def _lasting(optimizer: keras.optimizers.Optimizer) -> Iterator[tuple[keras.Variable, bool]]:
    """Variables that are there without parts, too, and whether they count steps."""
    for variable in optimizer.variables:
        if not variable.name.endswith(ACCUMULATOR):
            yield variable, variable.name == ITERATION
