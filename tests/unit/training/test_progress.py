"""When a training is finished, and what it says meanwhile."""

import pytest

from coverslip.config.sections import Training
from coverslip.training.progress import best_epoch, duration, finished, progress_line


def history(*losses: float) -> list[dict]:
    return [
        {
            "epoch": number + 1,
            "loss": 0.21,
            "validation_loss": loss,
            "validation_iou": 0.81,
            "seconds": 10.0,
        }
        for number, loss in enumerate(losses)
    ]


def test_best_epoch_is_the_first_of_equals():
    assert best_epoch([]) == 0
    assert best_epoch(history(0.5, 0.3, 0.4, 0.3)) == 2


@pytest.mark.parametrize(
    ("losses", "patience", "expected"),
    [
        ((), 1, False),
        ((0.5, 0.6), 2, False),
        ((0.5, 0.6, 0.5), 2, True),
        ((0.5, 0.6, 0.4), 2, False),
        ((0.5, 0.6, 0.7), None, False),
        ((0.5, 0.4, 0.3, 0.2), None, True),
    ],
)
def test_finished(losses, patience, expected):
    assert finished(history(*losses), Training(epochs=4, patience=patience)) is expected


def test_progress_line():
    line = progress_line(history(0.4, 0.25, 0.3), Training(epochs=50))
    assert line == (
        "epoch 3/50  loss 0.2100  val loss 0.3000  val IoU 0.8100  10.0 s  left about 8 min"
    )


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0 s"), (89, "89 s"), (120, "2 min"), (4800, "80 min")]
)
def test_duration(seconds, text):
    assert duration(seconds) == text
    assert duration(2 * 3600 + 60) == "2 h 1 min"
