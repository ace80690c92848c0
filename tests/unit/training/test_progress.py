"""When a training is finished, and what it reports."""

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from coverslip.config.sections import Augmentation, Training
from coverslip.training import progress
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
    assert (
        finished(
            history(*losses),
            Training(
                epochs=4,
                patience=patience,
                loss="crossentropy",
                schedule="constant",
                augmentation=Augmentation(flip=False, rot90=False, gamma=(1.0, 1.0)),
            ),
        )
        is expected
    )


def test_progress_line():
    line = progress_line(
        history(0.4, 0.25, 0.3),
        Training(
            epochs=50,
            loss="crossentropy",
            schedule="constant",
            augmentation=Augmentation(flip=False, rot90=False, gamma=(1.0, 1.0)),
        ),
    )
    assert line == "epoch 3/50  loss 0.210  val loss 0.300  IoU 0.810  8 min left"


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0 s"), (89, "89 s"), (120, "2 min"), (4800, "80 min")]
)
def test_duration(seconds, text):
    assert duration(seconds) == text
    assert duration(2 * 3600 + 60) == "2 h 1 min"


ROW = {"loss": 0.5, "iou": 0.25, "validation_loss": 0.75, "learning_rate": 0.125, "seconds": 9.0}


def test_tensorboard_reads_each_epoch(tmp_path):
    for first in (1, 3):  # the second begins where a training was killed
        write = progress.writer(tmp_path)
        for epoch in (first, first + 1):
            write({"epoch": epoch, **ROW})
    found = {}
    for subset in ("training", "validation"):
        read = EventAccumulator(str(tmp_path / subset)).Reload()
        for tag in read.Tags()["tensors"]:
            events = read.Tensors(tag)
            values = {event.tensor_proto.float_val[0] for event in events}
            found[subset, tag] = ([event.step for event in events], values)
    steps = [1, 2, 3, 4]
    assert found == {
        ("training", "loss"): (steps, {0.5}),
        ("training", "iou"): (steps, {0.25}),
        ("training", "learning_rate"): (steps, {0.125}),
        ("validation", "loss"): (steps, {0.75}),
    }


def test_nothing_is_written_without_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    progress.writer(None)({"epoch": 1, **ROW})
    assert not list(tmp_path.iterdir())
