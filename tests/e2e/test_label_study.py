"""Label images of another program, from the folder to the report; no TensorFlow."""

import json

import label_study
import outputs
import pandas as pd
import pytest
import tifffile
import yaml
from running import copy_project, jobs, snakemake

from coverslip.data.image_store import ImageStore
from coverslip.metrics.matching import match

pytestmark = pytest.mark.e2e


def test_label_images_from_folder_to_report(tmp_path):
    where = copy_project(tmp_path / "project")
    (where / "study.yaml").write_text(yaml.safe_dump(label_study.config()))
    own = ["--configfile", "study.yaml"]
    snakemake(where, "results/datasets/nuclei/check/report.json", *own)
    label_study.write_eroded(where)
    snakemake(where, *own)
    home = where / "results/studies/eroded"
    records = json.loads((home / "metrics.json").read_text())["metrics"]
    scores = {r["name"]: r["value"] for r in records if r["run"] == "all"}
    tested = pd.read_csv(home / "images.csv", dtype={"id": str})["id"]
    with ImageStore(where / "results/datasets/nuclei/images.h5") as store:
        pairs = [
            match(store.label(id), tifffile.imread(where / f"eroded/{id}_mask.tif"))
            for id in tested
        ]
    found = sum(int((pair.iou >= 0.5).sum()) for pair in pairs)
    assert 0 < scores["recall_50"] < 0.7
    assert scores["recall_50"] == pytest.approx(found / sum(p.n_true for p in pairs), abs=1e-6)
    assert (home / "notebook.html").is_file()
    assert not (home / "fold0_seed1/model/README.md").exists()
    assert outputs.differences(where, {"label images", "compared"}, whole=False) == []
    assert jobs(where, *own) == {}
    watershed = json.loads((home.parent / "watershed/metrics.json").read_text())["metrics"]
    for record in watershed:
        if record["run"] == "all" and "otsu watershed" in record["baselines"]:
            assert record["value"] == record["baselines"]["otsu watershed"]
    changed = next((where / "eroded").glob("*.tif"))
    tifffile.imwrite(changed, 0 * tifffile.imread(changed))
    assert jobs(where, *own)["import_labels"] == 1
    for log in (where / "results/logs").rglob("*.log"):
        assert "tensorflow" not in log.read_text().lower()
