"""Confluency by K-means, from made images to the report and to own images; no TensorFlow."""

import json
import zipfile

import kmeans_study
import outputs
import pandas as pd
import pytest
import yaml
from running import copy_project, jobs, snakemake

pytestmark = pytest.mark.e2e


def test_both_ways_from_images_to_report(tmp_path):
    where = copy_project(tmp_path / "project")
    (where / "study.yaml").write_text(yaml.safe_dump(kmeans_study.config()))
    own = ["--configfile", "study.yaml", "--config", "run=['texture','raw-color']"]
    snakemake(where, *own)
    scores = {}
    for name in ("texture", "raw-color"):
        home = where / "results/studies" / name
        records = json.loads((home / "metrics.json").read_text())["metrics"]
        of_test = [r for r in records if (r["subset"], r["run"]) == ("test", "all")]
        found = {record["name"]: record["value"] for record in of_test}
        table = pd.read_csv(home / "images.csv")
        error = table.loc[table["subset"] == "test", "confluency_error"]
        assert found["confluency_bias"] == pytest.approx(error.mean(), abs=1e-4)
        scores[name] = found
        assert (home / "figures/clusters.png").is_file()
        assert (home / "figures/confluency.svg").is_file()
        assert "K-means puts pixels that look alike" in (home / "notebook.html").read_text()
        assert (home / "fold0_seed1/model/README.md").is_file()
    assert scores["texture"]["iou"] > scores["raw-color"]["iou"]
    assert scores["texture"]["confluency_mae"] < scores["raw-color"]["confluency_mae"]
    assert jobs(where, *own) == {}
    with zipfile.ZipFile(where / "results/raw/dishes.zip") as archive:
        archive.extract("inputs/dish01_001.png", where / "mine")
    snakemake(where, "measure", *own, "images=mine", "model=texture")
    (home,) = (where / "results/measure").glob("mine-*")
    measured = pd.read_csv(home / "images.csv")
    assert 0 < measured["confluency_percent"].item() < 100
    wanted = {"masks", "K-means", "confluency", "measure"}
    assert outputs.differences(where, wanted) == []
    for log in (where / "results/logs").rglob("*.log"):
        assert "tensorflow" not in log.read_text().lower()
