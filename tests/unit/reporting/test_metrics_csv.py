"""The tidy table of a run."""

import made_up
import pandas as pd
import pytest

from coverslip.reporting import metrics_csv, results


@pytest.fixture
def table(tmp_path):
    config, _ = made_up.results(tmp_path / "results")
    studies = results.collect(config, list(config["studies"]), root=tmp_path / "results")
    metrics_csv.write(studies, tmp_path / "metrics.csv")
    return pd.read_csv(tmp_path / "metrics.csv")


def test_a_row_has_interval_baseline_and_published_value(table):
    assert tuple(table.columns) == metrics_csv.COLUMNS
    keys = ["study", "metric", "class", "subset", "run"]
    assert not table.duplicated(keys).any()
    rows = table[(table["metric"] == "iou") & (table["subset"] == "test") & (table["run"] == "all")]
    row = rows.set_index("study").loc["nuclei-random"]
    assert row["ci_low"] < row["value"] < row["ci_high"] and row["n_groups"] == 21
    assert row["n_images"] == 134 and row["baseline"] == "otsu" and row["reported"] == 0.8531
    assert row["difference"] == pytest.approx(row["value"] - row["baseline_value"])


def test_the_kind_is_that_of_the_split(table):
    kinds = table.groupby("study")["kind"].first()
    assert kinds["nuclei-grouped"] == "grouped" and kinds["nuclei-random"] == "random"
    assert kinds["nuclei-mobilenet-reproduced"] == "reproduced"
