"""What `measure` plans: it takes a model folder as it is, and keeps results of folders apart."""

import json
import re
from pathlib import Path

import pytest
import yaml
from running import copy_project, jobs, snakemake, tiny

MODEL = "results/studies/my-nuclei/fold0_seed1/model"


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """A clone with images, and the model of a study that `config/config.yaml` does not know."""
    where = copy_project(tmp_path_factory.mktemp("clone") / "project")
    for folder in ("exp1/images", "exp2/images", "with {braces}"):
        (where / folder).mkdir(parents=True)
        (where / folder / "a.png").write_bytes(b"")
    (where / MODEL).mkdir(parents=True)
    for name in ("model.keras", "README.md", "model.onnx"):
        (where / MODEL / name).write_text("x")
    (where / MODEL / "model.json").write_text(json.dumps({"kind": "network", "head": "semantic"}))
    (where / "config/tiny.yaml").write_text(yaml.safe_dump(tiny(Path("own"))))
    return where


def own(images: str, model: str) -> list[str]:
    return ["measure", "--config", f"images={images}", f"model={model}"]


@pytest.mark.parametrize("way", [MODEL, f"./{MODEL}/", f"{MODEL}/model.json", "absolute"])
def test_a_model_folder_needs_no_study_in_the_config(place, way):
    counts = jobs(place, *own("exp1/images", str(place / MODEL) if way == "absolute" else way))
    assert set(counts) == {"measure_images", "measure_tables", "measure_page", "measure"}


def test_a_path_to_a_model_plans_no_training(place):
    config = yaml.safe_load((place / "config/tiny.yaml").read_text())
    config["studies"] = dict.fromkeys(("my-nuclei", "further"), config["studies"]["one"])
    (place / "config/own.yaml").write_text(yaml.safe_dump(config))
    known = ["--configfile", "config/own.yaml"]
    counts = jobs(place, *own("exp1/images", MODEL), *known)
    assert set(counts) == {"measure_images", "measure_tables", "measure_page", "measure"}
    counts = jobs(place, *own("exp1/images", "further"), *known)
    assert counts["train"] == 1 and not {"predict", "evaluate", "model_card"} & set(counts)


@pytest.mark.reliability(
    "D16",
    "a folder with `{}` in its name",
    "planned as any other",
)
def test_folders_of_one_name_have_results_of_their_own(place):
    pages = []
    for images in ("exp1/images", "exp2/images", "with {braces}"):
        told = snakemake(place, "--dry-run", *own(images, MODEL))
        pages += re.findall(r"output: (results/measure/.*/measure\.html)", told)
    assert len(set(pages)) == 3 and pages[0].startswith("results/measure/images-")


def test_measuring_needs_no_config_file(place, tmp_path):
    where = ["--directory", str(tmp_path)]
    (tmp_path / "measure.yaml").write_text("measure: {min_area_px: 4}\n")
    call = own(str(place / "exp1/images"), str(place / MODEL))
    assert jobs(place, *call, *where)["measure_images"] == 1
    call += ["--configfile", str(tmp_path / "measure.yaml")]
    assert jobs(place, *call, *where)["measure_images"] == 1


def test_a_model_of_classes_classifies_images_or_objects(place):
    (place / "classes").mkdir()
    (place / "classes/model.keras").write_text("x")
    (place / "classes/model.json").write_text(
        json.dumps({"kind": "network", "head": "classification"})
    )
    assert set(jobs(place, *own("exp1/images", "classes"))) == {"measure_classes", "measure"}
    counts = jobs(place, *own("exp1/images", MODEL), "classifier=classes")
    assert set(counts) == {"measure_images", "measure_tables", "measure_page", "measure"}
    told = snakemake(
        place, "--dry-run", *own("exp1/images", MODEL), f"classifier={MODEL}", check=False
    )
    assert "predicts no classes of images" in told and "Traceback" not in told


def test_test_images_of_a_study_are_measured_with_its_run(place):
    config = yaml.safe_load((place / "config/tiny.yaml").read_text())
    config |= {"images": "one", "model": MODEL}
    (place / "config/test_images.yaml").write_text(yaml.safe_dump(config))
    known = ["--configfile", "config/test_images.yaml"]
    alone = jobs(place, "measure", *known)
    assert alone["export_test_images"] == alone["measure_page"] == 1 and "train" not in alone
    chosen = ["--config", "run=[one]"]
    assert jobs(place, *chosen, *known)["measure_page"] == 1
    (place / "own").mkdir()
    assert "measure_page" not in jobs(place, *known, "--config", "run=[two]")
    # As deployed, without the models that come with coverslip.
    (place / "config/test_images.yaml").write_text(yaml.safe_dump(config | {"model": None}))
    told = snakemake(place, "--dry-run", "--quiet", "all", *chosen, *known)
    assert "left out: test images of one" in told
