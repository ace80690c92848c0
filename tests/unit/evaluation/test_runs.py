"""Names of runs, and what is read of a model folder."""

from pathlib import Path

import pandas as pd
import pytest

from coverslip.errors import CoverslipError
from coverslip.evaluation.runs import (
    ENSEMBLE,
    at_epoch,
    fold_and_seed,
    read_history,
    read_info,
    run_name,
    run_of,
)


def test_names_of_runs():
    assert run_name(2, ENSEMBLE) == "fold2_ensemble" and run_name(2, 5) == "fold2_seed5"
    assert fold_and_seed("fold2_ensemble") == (2, ENSEMBLE)
    assert run_of(Path("results/studies/s/fold2_ensemble/predictions/0.h5")) == "fold2_ensemble"
    with pytest.raises(ValueError, match="ensemble"):
        fold_and_seed("ensemble")
    with pytest.raises(ValueError, match="no folder of a run"):
        run_of(Path("results/studies/s/metrics.json"))


def test_the_row_of_an_epoch_or_the_last_one():
    history = pd.DataFrame({"epoch": [1, 2, 3], "loss": [0.3, 0.2, 0.1]})
    assert at_epoch(history, 2)["loss"] == 0.2
    assert at_epoch(history, 9)["loss"] == 0.1


def test_damaged_model_folders_are_named(tmp_path):
    (tmp_path / "history.csv").write_text("epoch,loss\n1,0.5\n")
    with pytest.raises(CoverslipError, match="history.csv: .*without accuracy, validation_loss"):
        read_history(tmp_path)
    (tmp_path / "model.json").write_text('{"classes": ["one"], "kept_epoch": 1}')
    with pytest.raises(CoverslipError, match="model.json: has no classes or epoch"):
        read_info(tmp_path)
