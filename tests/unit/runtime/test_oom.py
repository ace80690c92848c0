"""Memory that runs out: what is taken for it, and what is tried then."""

import errno
import logging

import numpy as np
import pytest

from coverslip.errors import CoverslipError
from coverslip.runtime import oom


class XlaRuntimeError(RuntimeError):
    """As JAX has one for all."""


class OutOfMemoryError(RuntimeError):
    """As torch has it."""


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        np._core._exceptions._ArrayMemoryError((2**50,), np.dtype("f4")),
        OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB"),
        XlaRuntimeError("RESOURCE_EXHAUSTED: Out of memory while trying to allocate 1 bytes."),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to"),
        RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
        OSError(errno.ENOMEM, "Cannot allocate memory"),
    ],
)
def test_exhausted(error):
    assert oom.is_out_of_memory(error)


@pytest.mark.parametrize(
    "error",
    [
        ValueError("shapes"),
        OSError(errno.ENOSPC, "No space left on device"),
        CoverslipError("out of memory"),
        KeyboardInterrupt("out of memory"),
    ],
)
def test_other_errors_are_other_errors(error):
    assert not oom.is_out_of_memory(error)


def test_tensorflow_says_it_too():
    import tensorflow as tf

    assert oom.is_out_of_memory(tf.errors.ResourceExhaustedError(None, None, "OOM"))
    assert oom.is_out_of_memory(tf.errors.InternalError(None, None, "Failed to allocate scratch"))
    assert not oom.is_out_of_memory(tf.errors.InvalidArgumentError(None, None, "shapes"))


def fitting(limit: int, size: int) -> tuple[list[int], list[str], object]:
    tried, told = [], []

    def attempt(count):
        tried.append(count)
        if count > limit:
            raise MemoryError
        return "done"

    found = oom.fit_in_memory(attempt, size, "patches", "a smaller patch", told.append)
    return tried, told, found


def test_halved_until_it_fits():
    tried, told, found = fitting(limit=3, size=13)
    assert tried == [13, 6, 3]
    assert found == ("done", 3)
    assert told == [
        "memory ran out with 13 patches at once: goes on with 6",
        "memory ran out with 6 patches at once: goes on with 3",
    ]
    assert fitting(limit=99, size=13) == ([13], [], ("done", 13))


def test_one_that_does_not_fit_names_the_mend():
    with pytest.raises(CoverslipError, match="memory is exhausted: a smaller patch; or run on"):
        fitting(limit=0, size=4)


def test_other_errors_pass():
    def attempt(count):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        oom.fit_in_memory(attempt, 4, "patches", "", print)


def test_a_stack_is_answered_in_parts():
    sizes, told = [], []

    def predict(stack):
        if len(stack) > 4:
            raise MemoryError
        sizes.append(len(stack))
        return stack[..., :1] * 2.0

    stack = np.arange(11 * 2 * 2 * 3, dtype=np.uint8).reshape(11, 2, 2, 3)
    fit = oom.AdaptiveBatchPredictor(predict, report=told.append)
    np.testing.assert_array_equal(fit(stack), stack[..., :1] * 2.0)
    assert (fit.most, sizes) == (2, [2] * 5 + [1])
    fit(stack)
    assert len(told) == 2 and set(sizes) == {1, 2}
    with pytest.raises(CoverslipError, match="2x2 pixels at a time"):
        oom.AdaptiveBatchPredictor(lambda stack: np.empty(2**50), report=told.append)(stack)


def test_a_stack_that_fits_is_passed_on_as_it_is():
    seen = []
    fit = oom.AdaptiveBatchPredictor(lambda stack: seen.append(stack) or stack)
    stack = np.zeros((3, 2, 2, 1))
    assert fit(stack) is stack is seen[0]
    assert fit.most is None


def test_warned_of_by_default():
    assert oom.AdaptiveBatchPredictor(len)._report.__self__ is logging.getLogger("coverslip")
