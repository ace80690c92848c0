"""Predict smaller batches when memory runs out, instead of failing.

Only a failed allocation can be tried again with less: memory of a GPU, or main memory
under a limit of the process. Linux kills a process that takes too much without an error message,
and a further attempt has to be given more (on a cluster the workflow asks for it). Needs no Keras.
"""

from __future__ import annotations

import errno
import gc
import logging
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import numpy as np

from coverslip.errors import CoverslipError

LOG = logging.getLogger("coverslip")

NAMES = {"ResourceExhaustedError", "OutOfMemoryError"}
"""Exceptions of TensorFlow and of torch; JAX and others have one kind for all that may happen."""

WORDS = re.compile(
    r"RESOURCE_EXHAUSTED|out of memory|OOM when allocating|failed to allocate"
    r"|can't allocate memory|not enough memory|insufficient memory|STATUS_ALLOC_FAILED",
    re.IGNORECASE,
)
"""How XLA (TensorFlow, JAX), CUDA, cuDNN, cuBLAS, torch and OpenCV report it."""

MORE = "or run on a machine with more"

T = TypeVar("T")


class OutOfMemory(CoverslipError):
    """Memory is exhausted, with as little at once as there can be."""


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an exception means that memory is exhausted, on the host or on a device."""
    if isinstance(error, CoverslipError):
        return False
    if isinstance(error, MemoryError) or any(k.__name__ in NAMES for k in type(error).__mro__):
        return True
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    return isinstance(error, Exception) and WORDS.search(str(error)) is not None


@contextmanager
def explain_out_of_memory(fix: str) -> Iterator[None]:
    """Turn exhausted memory into an `OutOfMemory` that names the fix."""
    try:
        yield
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        raise OutOfMemory(f"memory is exhausted: {fix}; {MORE}") from error


def fit_in_memory(
    attempt: Callable[[int], T], size: int, what: str, fix: str, report: Callable[[str], None]
) -> tuple[T, int]:
    """Try with `size` things at once, and with half as many as often as memory runs out.

    Args:
        attempt: is called with the number of things at once; may be called again.
        size: number to begin with, at least 1.
        what: what the things are, as in `patches`.
        fix: what to do where even one at a time is too much.
        report: is given a line for each halving.

    Returns:
        What `attempt` gave, and the number that it gave it with.

    Raises:
        OutOfMemory: one at a time is too much.
    """
    while True:
        with explain_out_of_memory(fix):
            try:
                return attempt(size), size
            except Exception as error:
                if size == 1 or not is_out_of_memory(error):
                    raise
        # Not inside `except`: the traceback would hold what is to be given back.
        gc.collect()
        report(f"memory ran out with {size} {what} at once: goes on with {size // 2}")
        size //= 2


class AdaptiveBatchPredictor:
    """A function of a stack of tiles or images that takes as many at once as memory allows.

    Once halved, the number stays: memory that ran out once would run out again. Answers are the
    same but for the last bits, in which batches of other sizes may round otherwise.

    Attributes:
        most: how many at once, where memory ran out; else None.
    """

    def __init__(
        self,
        predict: Callable[[np.ndarray], np.ndarray],
        what: str = "tiles",
        report: Callable[[str], None] = LOG.warning,
    ) -> None:
        self._predict = predict
        self._what = what
        self._report = report
        self.most: int | None = None

    def __call__(self, stack: np.ndarray) -> np.ndarray:
        """Answers to a stack, N x ...; `OutOfMemory` where one at a time is too much."""
        begin = min(len(stack), self.most or len(stack))
        fix = f"{stack.shape[1]}x{stack.shape[2]} pixels at a time are too many for this network"
        answer, size = fit_in_memory(
            lambda count: self._parts(stack, count), begin, self._what, fix, self._report
        )
        if size < len(stack):
            self.most = size
        return answer

    def _parts(self, stack: np.ndarray, count: int) -> np.ndarray:
        if count == len(stack):
            return self._predict(stack)
        starts = range(0, len(stack), count)
        return np.concatenate([self._predict(stack[at : at + count]) for at in starts])
