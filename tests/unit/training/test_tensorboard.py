"""Event files that TensorBoard itself reads."""

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from coverslip.training import progress

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
