"""Studies whose model is K-means walk the same road, without patches and without a network."""

import re

import kmeans_study
import pytest
import yaml
from running import copy_project, jobs, snakemake


@pytest.fixture
def clone(tmp_path):
    where = copy_project(tmp_path / "project")
    (where / "study.yaml").write_text(yaml.safe_dump(kmeans_study.config()))
    return where


def arguments(*runs):
    return ["--configfile", "study.yaml", "--config", f"run={list(runs)}"]


def test_kmeans_needs_neither_patches_nor_training(clone):
    counts = jobs(clone, *arguments("raw-color", "texture"))
    assert counts["train_kmeans"] == counts["predict"] == counts["evaluate"] == 2
    assert counts["model_card"] == counts["notebook"] == 2 and counts["report"] == 1
    assert not {"train", "extract_patches", "download_pretrained_weights"} & set(counts)


def test_beside_a_network(clone):
    counts = jobs(clone, *arguments("texture", "network"))
    assert counts["train_kmeans"] == counts["train"] == counts["extract_patches"] == 1
    assert counts["predict"] == 2
    told = snakemake(clone, "--dry-run", *arguments("texture", "network"))
    stats = told.split("Job stats:")[1].split("\n\n")[0]
    figures = dict(re.findall(r"^plot_(\w+)\s+(\d+)", stats, flags=re.MULTILINE))
    assert figures["confluency"] == figures["learning_curves"] == "2"
    assert figures["clusters"] == figures["network"] == "1"


def test_only_networks_are_exported(clone):
    counts = jobs(clone, "onnx", *arguments("texture", "network"))
    assert counts["export_onnx"] == counts["train"] == 1 and "train_kmeans" not in counts


def test_own_images_by_a_study_of_kmeans(clone):
    (clone / "mine").mkdir()
    (clone / "mine/a.png").write_bytes(b"")
    own = ["measure", "--configfile", "study.yaml", "--config", "images=mine", "model=texture"]
    counts = jobs(clone, *own)
    assert counts["train_kmeans"] == counts["measure_images"] == 1 and "train" not in counts
    told = snakemake(clone, "--dry-run", *own)
    asked = told.split("rule measure_images:")[1].split("rule ")[0]
    assert "gpu=0" in asked and "gpu=1" not in told
