"""What rules ask for follows from the config."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from coverslip.config import validate
from coverslip.errors import CoverslipError
from coverslip.pipeline.targets import Targets, not_compared, scale_with_attempt, wildcard_regex

SCHEMA = Path(__file__).resolve().parents[3] / "workflow/schemas/config.schema.json"


def job(**wildcards):
    return SimpleNamespace(**wildcards, items=wildcards.items)


@pytest.fixture
def config(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    synthetic = {"kind": "synthetic", "images": 8, "size": 64}
    lost = {"kind": "path", "path": "lost.zip"}
    kaggle = {"kind": "kaggle", "dataset": "owner/name"}
    classes = {"kind": "path", "path": "folder"}
    network = {"architecture": "unet", "filters": 2, "depth": 1}
    search = {
        "n_trials": 4,
        "min_epochs": 1,
        "max_epochs": 2,
        "reduction_factor": 2,
        "space": {"network.filters": {"choices": [2, 4, 8, 16]}},
    }
    given = {
        "datasets": {
            "made": {"title": "M", "source": synthetic, "format": "dsb2018"},
            "lost": {"title": "L", "source": lost, "format": "paired"},
            "away": {"title": "K", "source": kaggle, "format": "paired"},
            "again": {"title": "K", "source": kaggle, "format": "dsb2018"},
            "classes": {"title": "C", "source": classes, "format": "class_folders"},
        },
        "studies": {
            "folds": {
                "title": "F",
                "dataset": "made",
                "network": network,
                "seeds": [1, 2],
                "split": {"folds": 2},
                "evaluation": {"shards": 2},
                "tensorboard": True,
            },
            "clusters": {"title": "K", "dataset": "lost", "kmeans": {}},
            "types": {
                "title": "T",
                "dataset": "classes",
                "task": "classification",
                "preprocessing": {"resize": [32, 32]},
            },
            "tuned": {
                "title": "S",
                "dataset": "made",
                "network": network | {"weights": "none"},
                "training": {"epochs": 2},
                "search": search,
            },
        },
    }
    return validate.resolve(given, SCHEMA)


@pytest.fixture
def targets(config, monkeypatch):
    monkeypatch.setenv("KAGGLE_API_TOKEN", "x")
    Path("lost.zip").touch()
    return Targets(config, dry_run=True)


def test_a_file_for_each_fold_seed_and_shard(targets):
    found = targets.predictions(job(study="folds"))
    assert len(found) == len(set(found)) == 2 * 2 * 2
    assert found[1] == "results/studies/folds/fold0_seed1/predictions/1.h5"
    assert targets.first_predictions(job(study="folds")) == found[:2]
    together = job(study="folds", together="fold1_ensemble")
    members = targets.member_paths("{study}/{fold}/{seed}")(together)
    assert members == ["folds/1/1", "folds/1/2"]
    assert (
        targets.fold_member_paths("{study}/{fold}/{seed}")(job(study="folds", fold="1")) == members
    )
    everything = targets.member_paths("{fold}/{seed}")(job(study="folds", together="ensemble"))
    assert everything == ["0/1", "0/2", "1/1", "1/2"]


def test_where_archives_are(targets):
    assert targets.archive(job(dataset="made")) == "results/raw/made.zip"
    assert targets.archive(job(dataset="again")) == "resources/raw/away.zip", "one archive, once"
    assert targets.archive(job(dataset="classes")) == [], "a folder has an inventory"
    assert targets.archive(job(dataset="lost")) == "lost.zip"
    Path("lost.zip").unlink()
    assert targets.archive(job(dataset="lost")) == "resources/raw/lost.missing"


def test_studies_without_data_are_left_out_and_named(config):
    found = Targets(config)
    assert found.studies == ["folds", "types", "tuned"]
    (line,) = found.notices()
    assert line.startswith("left out: clusters: lost.zip is missing: ")
    assert not any("clusters" in file for file in found.result_files(job()))
    found.studies = []
    with pytest.raises(CoverslipError, match="no study can run"):
        found.result_files(job())


def test_results_without_snakemakes_notes_are_named(targets):
    Path("results/studies/folds").mkdir(parents=True)
    Path("results/studies/folds/metrics.json").touch()
    assert "cannot be checked" in targets.notices()[0]
    Path(".snakemake/metadata").mkdir(parents=True)
    assert targets.notices() == []


def test_a_dataset_that_is_made_needs_its_archive_no_more(targets):
    Path("results/datasets/lost").mkdir(parents=True)
    Path("results/datasets/lost/images.h5").touch()
    assert targets.archive(job(dataset="lost")) == "lost.zip"


def test_trials_of_a_search(targets):
    first = job(study="tuned", fold="0", rung="0", slot="3")
    last = job(study="tuned", fold="0", rung="1", slot="0")
    assert len(targets.rung_trials(first)) == 4 and len(targets.rung_trials(last)) == 2
    assert targets.first_values(first) and targets.first_values(last) is None
    assert targets.former_ranking(first) == []
    ranking = "results/studies/tuned/search/fold0/rung0/ranking.csv"
    assert targets.former_ranking(last) == ranking
    assert targets.last_ranking(job(study="tuned", fold="0")).endswith("rung1/ranking.csv")
    assert len(targets.all_trials(job(study="tuned"))) == 6
    assert targets.best_values(job(study="folds", fold="0")) == []
    with pytest.raises(CoverslipError, match="no rung 2"):
        targets.rung_epochs(job(study="tuned", rung="2"))


def test_kmeans_has_no_weights_and_no_gpu(targets):
    run = job(study="clusters", fold="0", seed="1")
    assert targets.weights(run) == [] and targets.gpus(run) == 0
    assert targets.gpus(job(study="folds")) == 1


def test_a_figure_has_only_the_inputs_that_it_reads(targets):
    assert list(targets.figure_inputs("confusion")(job(study="folds"))) == ["metrics"]
    files = targets.figure_inputs("network")(job(study="folds"))
    assert files == {
        "models": ["results/studies/folds/fold0_seed1/model/model.keras"],
        "best": [],
    }
    assert list(targets.figure_sections("network")(job(study="folds"))) == ["preprocessing"]


def test_all_asks_for_each_study(targets):
    files = targets.result_files(job())
    for name in ("folds", "clusters", "types", "tuned"):
        assert f"results/studies/{name}/metrics.json" in files
    assert "results/studies/types/predicted_classes.csv" in files
    assert "results/studies/tuned/search/trials.csv" in files
    assert not any("clusters" in file for file in targets.onnx_files(job()))
    assert targets.ensembles(job()) == ["results/studies/folds/ensemble/model/model.json"]
    targets.studies = ["types"]
    with pytest.raises(CoverslipError, match="several trainings"):
        targets.ensembles(job())


def test_words_are_no_parameters_of_ingest(targets):
    section = targets.ingest_section(job(dataset="made"))
    assert "title" not in section and "source" not in section
    assert "group_by" not in section and "near_duplicate_distance" not in section
    assert "group_by" in targets.group_section(job(dataset="made"))


def test_small_functions():
    assert scale_with_attempt(1000)(None, attempt=3) == 3000
    assert wildcard_regex(["a", "b"]) == "a|b" and wildcard_regex([]) == "(?!)"
    assert not_compared(lambda wildcards: wildcards)("x", output=None) == "x"
