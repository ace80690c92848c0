"""The state of a training on disk."""

import numpy as np
import pytest

from coverslip.errors import CoverslipError
from coverslip.training.checkpoint import FILE, Checkpoint, history, load, save

STATE = Checkpoint(
    history=[{"epoch": 1, "loss": 0.1 + 0.2}],
    variables=[np.arange(3, dtype=np.float32), np.array(7, np.uint32)],
    optimizer=[np.full((2, 2), np.float32(1e-38))] * 12,
    best=[],
)


def test_what_was_saved_is_loaded_exactly(tmp_path):
    save(tmp_path / "state", "a", STATE)
    again = load(tmp_path / "state", "a")
    assert again.history == STATE.history
    for name in ("variables", "optimizer", "best"):
        for one, other in zip(getattr(STATE, name), getattr(again, name), strict=True):
            assert one.dtype == other.dtype
            assert np.array_equal(one, other)


def test_absent_foreign_and_damaged_states_are_none(tmp_path):
    assert load(tmp_path, "a") is None
    save(tmp_path, "a", STATE)
    assert load(tmp_path, "b") is None
    whole = (tmp_path / FILE).read_bytes()
    for damaged in (b"", whole[: len(whole) // 2], b"x" * 100):
        (tmp_path / FILE).write_bytes(damaged)
        assert load(tmp_path, "a") is None
    middle = len(whole) // 3
    (tmp_path / FILE).write_bytes(whole[:middle] + b"????" + whole[middle + 4 :])
    assert load(tmp_path, "a") is None


def test_an_unwritable_folder_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(CoverslipError, match="file.*run again"):
        save(tmp_path / "file", "a", STATE)


def test_the_history_is_that_of_the_run_on_whatever_device(tmp_path):
    assert history(tmp_path, "a") == []
    save(tmp_path, "a float32 tensorflow", STATE)
    assert history(tmp_path, "a") == STATE.history
    assert history(tmp_path, "b") == history(tmp_path, "a float32") == []
    (tmp_path / FILE).write_bytes(b"damaged")
    assert history(tmp_path, "a") == []
