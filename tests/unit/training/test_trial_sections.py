"""What a search chose reaches the sections, patches and weights of the training."""

import json
import runpy
from pathlib import Path

import pytest

from coverslip.config.search_space import variant_name
from coverslip.training.trial_sections import patch_folders, training_sections, weights_file

SCRIPTS = Path(__file__).resolve().parents[3] / "workflow/scripts"

PARAMS = {
    "preprocessing": {"patch": 64, "input_scaling": "unit"},
    "network": {"depth": 3},
    "training": {"learning_rate": 0.1, "augmentation": {"noise": 0.0}},
    "licence": "CC0-1.0",
}


def test_values_reach_the_sections_that_a_job_has(tmp_path):
    best = tmp_path / "best.json"
    values = {"network.depth": 2, "training.augmentation.noise": 0.1, "preprocessing.patch": 32}
    best.write_text(json.dumps({"trial": 4, "values": values}))
    sections = training_sections(PARAMS, [str(best)])
    assert sections == {
        "preprocessing": {"patch": 32, "input_scaling": "unit"},
        "network": {"depth": 2},
        "training": {"learning_rate": 0.1, "augmentation": {"noise": 0.1}},
    }
    assert PARAMS["network"] == {"depth": 3}
    own = {"preprocessing": PARAMS["preprocessing"]}
    assert training_sections(own, [str(best)]) == {
        "preprocessing": {"patch": 32, "input_scaling": "unit"}
    }


def test_without_a_search_sections_are_as_they_were():
    assert training_sections(PARAMS, []) == {k: v for k, v in PARAMS.items() if k != "licence"}


@pytest.mark.parametrize("name", ["evaluate", "evaluate_ensemble"])
def test_scores_use_the_preprocessing_that_the_search_chose(
    name, snakemake_object, tmp_path, monkeypatch
):
    best = tmp_path / "best.json"
    best.write_text(json.dumps({"trial": 0, "values": {"preprocessing.patch": 32}}))
    given = {}
    monkeypatch.setattr("coverslip.evaluation.tasks.stage", lambda task, stage: given.update)
    files = {"predictions": [], "singles": [], "ensembles": [], "infos": [], "best": [best]}
    files |= dict.fromkeys(("images", "groups", "split"), tmp_path / "input.txt")
    for key, value in files.items():
        setattr(snakemake_object.input, key, value)
    Path(snakemake_object.output[0]).write_text("")
    for key in ("metrics", "table"):
        setattr(snakemake_object.output, key, tmp_path / key)
    params = {"task": "segmentation", "names": {}, "evaluation": {}, "reproduces": "x"}
    snakemake_object.wildcards.study = "one"
    for key, value in (params | {"preprocessing": {"patch": 64}}).items():
        setattr(snakemake_object.params, key, value)
        snakemake_object.params.named[key] = value
    runpy.run_path(str(SCRIPTS / f"{name}.py"), init_globals={"snakemake": snakemake_object})
    assert given["preprocessing"].patch == 32


def test_patches_are_those_of_the_preprocessing():
    sections = [{"patch": side, "input_scaling": "unit"} for side in (32, 64)]
    homes = [f"search/patches/{variant_name(section)}/{n}" for section in sections for n in (0, 1)]
    files = [f"{home}/{name}" for home in homes for name in ("images.npy", "labels.npy")]
    assert patch_folders(files, sections[1]) == sorted(map(Path, homes[2:]))
    plain = ["patches/1/images.npy", "patches/0/images.npy", "patches/0/labels.npy"]
    assert patch_folders(plain, sections[1]) == [Path("patches/0"), Path("patches/1")]


def test_weights_are_those_of_the_network():
    files = ["w/mobilenetv2_unet_imagenet_128.h5", "w/resnet18_imagenet.safetensors"]
    network = {"architecture": "resnet18", "weights": "imagenet"}
    assert weights_file(files, network, {"resize": None}) == Path(files[1])
    assert weights_file(files, network | {"weights": "none"}, {}) is None
    mobile = network | {"architecture": "mobilenetv2_unet"}
    assert weights_file(files, mobile, {"resize": [128, 128]}) == Path(files[0])
