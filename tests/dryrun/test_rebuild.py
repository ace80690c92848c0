"""Work is done again only where its inputs changed: jobs counted by rule."""

import os
import shutil
import time
from pathlib import Path

import cv2
import pytest
import yaml
from running import copy_project, jobs, snakemake

UP_TO_SPLIT = ("ingest", "group_images", "check", "split")
AFTER_TRAINING = {"predict", "evaluate", "plot", "notebook", "model_card", "report"}
FIGURES = 9


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert text.count(old) >= 1, f"{old!r} is not in {path}"
    path.write_text(text.replace(old, new, 1))


def configure(project: Path, path: str, value) -> None:
    file = project / "config/config.yaml"
    config = yaml.safe_load(file.read_text())
    *parents, last = path.split(".")
    node = config
    for key in parents:
        node = node.setdefault(key, {})
    node[last] = value
    file.write_text(yaml.safe_dump(config, sort_keys=False))


def test_a_second_run_does_nothing(project):
    assert jobs(project) == {}


def test_touching_every_file_does_nothing(project):
    later = time.time() + 100
    for path in sorted(project.rglob("*")):
        if path.is_file() and ".snakemake" not in path.parts:
            os.utime(path, (later, later))
    assert jobs(project) == {}


def test_a_fresh_clone_with_results_copied_over_does_nothing(project, tmp_path):
    clone = copy_project(tmp_path / "clone", project)
    for part in ("results", ".snakemake", "own"):
        shutil.copytree(project / part, clone / part, copy_function=shutil.copyfile)
    assert jobs(clone) == {}


@pytest.mark.parametrize(
    "module", ["training/trainer", "data/ingest", "data/simulate/nuclei", "models/networks/unet"]
)
def test_comments_and_docstrings_do_nothing(project, module):
    path = project / f"workflow/scripts/coverslip/{module}.py"
    text = path.read_text()
    start = text.index('"""') + 3
    path.write_text(text[:start] + "Another docstring. " + text[start:] + "\n# a comment\n")
    assert jobs(project) == {}


def test_a_function_of_training_trains_again_all_who_use_it(project):
    training = project / "workflow/scripts/coverslip/training/trainer.py"
    edit(training, "\ndef train(", "\nADDED = 1\n\n\ndef train(")
    assert jobs(project) == {}, "a constant that nobody uses is no change"
    edit(training, "\ndef train(", "\n@(lambda function: function)\ndef train(")
    counts = jobs(project)
    assert counts.pop("train") == 2
    assert set(counts) == AFTER_TRAINING and counts["plot"] == 2 * FIGURES


def test_an_architecture_retrains_only_its_studies(project):
    module = project / "workflow/scripts/coverslip/models/networks/unet_confluency.py"
    edit(module, "\ndef build(", "\n@(lambda function: function)\ndef build(")
    counts = jobs(project)
    assert counts["train"] == 1 and counts["plot"] == FIGURES
    assert set(counts) == {"train"} | AFTER_TRAINING


def test_a_figure_draws_only_that_figure(project):
    module = project / "workflow/scripts/coverslip/reporting/figures/learning_curves.py"
    edit(module, "\ndef draw(", "\n@(lambda function: function)\ndef draw(")
    assert jobs(project) == {"plot": 2, "notebook": 2, "report": 1}


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        ("report/learning_curves.rst", {"report": 1}),
        ("report/page.css", {"notebook": 2, "report": 1}),
    ],
)
def test_a_caption_writes_only_the_pages(project, file, expected):
    path = project / "workflow" / file
    path.write_text(path.read_text() + "\n")
    assert jobs(project) == expected


@pytest.mark.reliability(
    "D33",
    "a warning of the data check is changed, or a constant that decides on it",
    "the check, notebooks and the report are made again; nothing is trained",
)
def test_what_the_check_warns_of_trains_nothing(project):
    module = project / "workflow/scripts/coverslip/data/quality_check.py"
    edit(module, "LARGEST_OBJECT = 0.5", "LARGEST_OBJECT = 0.6")
    edit(module, '"without any object"', '"without objects"')
    assert jobs(project) == {"check": 2, "notebook": 2, "report": 1}


def test_a_notebook_runs_again_with_the_report(project):
    edit(project / "workflow/notebooks/segmentation.ipynb", "## Limitations", "## Limits")
    assert jobs(project) == {"notebook": 2, "report": 1}


def test_a_learning_rate_concerns_one_study(project):
    configure(project, "studies.one.training.learning_rate", 0.002)
    counts = jobs(project)
    assert counts == {
        "train": 1,
        "predict": 1,
        "evaluate": 1,
        "plot": FIGURES,
        "notebook": 1,
        "model_card": 1,
        "report": 1,
    }


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("studies.one.title", "Another title"),
        ("studies.one.question", "Why?"),
        ("studies.one.known_issues", ["none"]),
        ("datasets.made.citation", "Somebody, some day"),
        ("datasets.made.title", "Another title"),
    ],
)
def test_words_train_nothing(project, path, value):
    configure(project, path, value)
    counts = jobs(project)
    assert counts["report"] == 1
    assert set(counts) <= {"plot", "notebook", "model_card", "report"}


def test_threads_and_resources_do_nothing(project):
    assert jobs(project, "--set-threads", "train=1", "--set-resources", "train:mem_mb=9") == {}


def test_a_replaced_image_concerns_its_dataset_and_studies(project):
    path = sorted((project / "own").rglob("images/*.png"))[0]
    image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    cv2.imwrite(str(path), 255 - image)
    counts = jobs(project)
    assert {counts[rule] for rule in (*UP_TO_SPLIT, "train")} == {1}
    assert counts["plot"] == FIGURES and "simulate" not in counts


def test_a_folder_that_was_deleted_afterwards_is_not_missed(project):
    shutil.rmtree(project / "own")
    assert jobs(project) == {}
    shutil.rmtree(project / "results/datasets/own")
    assert jobs(project) == {"report": 1}, "now its study is left out"


@pytest.mark.parametrize(
    "change", [("group_by", "acquisition"), ("near_duplicate_distance", 3)], ids=lambda c: c[0]
)
def test_what_defines_groups_decodes_no_image_again(project, change):
    configure(project, f"datasets.made.{change[0]}", change[1])
    counts = jobs(project)
    assert counts["group_images"] == 1
    assert "ingest" not in counts and "extract_patches" not in counts


def test_an_older_archive_in_its_place_is_noticed(project):
    """A downloaded archive that somebody replaced by one with an older date."""
    file = project / "config/config.yaml"
    config = yaml.safe_load(file.read_text())
    archive = project / "given.zip"
    shutil.copyfile(project / "results/raw/made.zip", archive)
    config["datasets"]["made"]["source"] = {"kind": "path", "path": "given.zip"}
    config["studies"] = {"one": config["studies"]["one"]}
    file.write_text(yaml.safe_dump(config, sort_keys=False))
    ingested = "results/datasets/made/images.h5"
    snakemake(project, ingested)
    assert jobs(project, ingested) == {}
    archive.write_bytes(archive.read_bytes() + b" ")
    os.utime(archive, (1, 1))
    assert jobs(project, ingested) == {"ingest": 1}


def test_a_kept_archive_that_changed_concerns_its_dataset(project):
    archive = project / "results/raw/made.zip"
    archive.write_bytes(archive.read_bytes() + b" ")
    later = time.time() + 100
    os.utime(archive, (later, later))
    counts = jobs(project)
    assert counts["ingest"] == 1 and "simulate" not in counts


RUN = "studies/one/fold0_seed1"
DELETED = {
    "report.html": {"report"},
    "studies/one/notebook.html": {"notebook", "report"},
    "studies/one/figures/learning_curves.svg": {"plot", "notebook", "report"},
    f"{RUN}/model/README.md": {"model_card", "report"},
    "studies/one/metrics.json": AFTER_TRAINING - {"predict"},
    "studies/one/images.csv": AFTER_TRAINING - {"predict"},
    f"{RUN}/model/model.keras": AFTER_TRAINING | {"train"},
    f"{RUN}/model": AFTER_TRAINING | {"train"},
    "studies/one": AFTER_TRAINING | {"split", "extract_patches", "train"},
    "datasets/own/check/report.json": {"check", "notebook", "report"},
    "datasets/own": AFTER_TRAINING | {*UP_TO_SPLIT, "extract_patches", "train"},
}


def delete(project: Path, *results: str) -> None:
    for result in results:
        path = project / "results" / result
        shutil.rmtree(path) if path.is_dir() else path.unlink()


@pytest.mark.parametrize("result", DELETED)
def test_a_deleted_result_is_made_again(project, result):
    delete(project, result)
    counts = jobs(project)
    assert set(counts) == DELETED[result]
    assert max(count for rule, count in counts.items() if rule != "plot") == 1


def test_intermediate_files_are_made_again_when_needed(project):
    delete(project, f"{RUN}/predictions", "studies/one/patches", "datasets/made/images.h5")
    assert jobs(project) == {}
    metrics = "results/studies/one/metrics.json"
    delete(project, "studies/one/metrics.json")
    assert set(jobs(project, metrics)) >= {"ingest", "predict", "evaluate"}


def test_a_new_study_runs_without_snakemakes_own_notes(project):
    shutil.rmtree(project / ".snakemake")
    assert "results cannot be checked" in snakemake(project, "--dry-run")
    config = yaml.safe_load((project / "config/config.yaml").read_text())
    configure(project, "studies.three", config["studies"]["one"])
    counts = jobs(project)
    assert counts["train"] == counts["report"] == 1 and counts["plot"] == FIGURES
    # Two studies find objects in one dataset now, so they are compared.
    assert set(counts) == AFTER_TRAINING | {"split", "extract_patches", "train", "referee"}


def test_no_reason_is_longer_than_a_line(project):
    configure(project, "datasets.made.citation", "Somebody " * 1000)
    told = snakemake(project, "--dry-run")
    reasons = [line for line in told.splitlines() if line.startswith("    reason: ")]
    assert any("Params have changed" in line for line in reasons)
    assert max(map(len, reasons)) < 300


def test_only_the_run_that_makes_the_report_says_where_it_lies(project):
    assert "report" not in snakemake(project, "--force", "results/studies/one/split.csv")


def test_the_finished_run_says_where_the_report_lies(finished, project):
    text = snakemake(project, "--force", "results/report.html")
    path = f"{project.resolve()}/results/report.html"
    lines = text.splitlines()
    assert lines[-1].startswith("next "), "the very last line"
    assert sum(line.startswith("report ") and line.endswith(path) for line in lines) == 1
    assert any(line.startswith("one  ") for line in lines), "a table of the studies"
    assert (finished / "results/report.html").is_file()
