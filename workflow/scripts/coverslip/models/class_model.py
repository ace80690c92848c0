"""Whole pictures through a network that gives one answer a picture."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from coverslip.models.tiles import Predict, turned


def answers(
    predict: Predict, images: Iterable[np.ndarray], batch: int, flips: bool
) -> Iterator[np.ndarray]:
    """Answers of a network to pictures of one size, one after the other.

    Args:
        predict: from N x height x width x C to N x K, with N = `batch`.
        images: HxWxC each, of one dtype and size.
        batch: pictures a call of `predict`; the last call is filled up with zeros.
        flips: average over the eight flips and turns of a picture (four where height and width
            differ).

    Yields:
        float32 (K,), in the order of the pictures.
    """
    waiting: list[np.ndarray] = []
    visits = 1
    for image in images:
        square = image.shape[0] == image.shape[1]
        ways = (tuple(range(8)) if square else (0, 2, 4, 6)) if flips else (0,)
        visits = len(ways)
        waiting += [turned(image, way) for way in ways]
        while len(waiting) >= batch * visits:
            yield from _averaged(predict, waiting[: batch * visits], batch, visits)
            waiting = waiting[batch * visits :]
    if waiting:
        yield from _averaged(predict, waiting, batch, visits)


def _averaged(
    predict: Predict, images: list[np.ndarray], batch: int, visits: int
) -> Iterator[np.ndarray]:
    """Mean answer over each `visits` pictures in a row."""
    found = []
    for start in range(0, len(images), batch):
        some = np.stack(images[start : start + batch])
        stack = np.zeros((batch, *some.shape[1:]), some.dtype)
        stack[: len(some)] = some
        found.append(np.asarray(predict(stack), np.float32)[: len(some)])
    whole = np.concatenate(found)
    yield from whole.reshape(-1, visits, whole.shape[1]).mean(axis=1)
