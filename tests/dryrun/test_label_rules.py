"""Studies whose label images come from elsewhere train nothing, and need no network."""

import label_study
import pytest
import yaml
from running import copy_project, jobs, snakemake


@pytest.fixture
def clone(tmp_path):
    where = copy_project(tmp_path / "project")
    (where / "study.yaml").write_text(yaml.safe_dump(label_study.config()))
    (where / "eroded").mkdir()
    return where


def test_label_images_are_imported_and_scored(clone):
    counts = jobs(clone, "--configfile", "study.yaml")
    assert counts["import_labels"] == counts["evaluate"] == counts["notebook"] == 2
    assert counts["report"] == 1
    absent = {"train", "train_kmeans", "predict", "extract_patches", "model_card"}
    assert not absent & set(counts)


def test_without_their_folder_they_are_left_out(clone):
    (clone / "eroded").rmdir()
    assert jobs(clone, "--configfile", "study.yaml")["import_labels"] == 1
    printed = snakemake(clone, "--dry-run", "--configfile", "study.yaml")
    assert "left out: eroded: eroded is missing" in printed


def test_they_have_nothing_to_export_and_cannot_measure(clone):
    assert jobs(clone, "onnx", "--configfile", "study.yaml") == {"onnx": 1}
    printed = snakemake(clone, "--dry-run", "ensemble", "--configfile", "study.yaml", check=False)
    assert "no study that runs has several trainings" in printed
    (clone / "mine").mkdir()
    (clone / "mine/a.png").touch()
    own = ["measure", "--configfile", "study.yaml", "--config", "images=mine", "model=watershed"]
    printed = snakemake(clone, "--dry-run", *own, check=False)
    assert "model: watershed: is a study of `kind: baseline`" in printed
