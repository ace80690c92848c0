"""What a search chose reaches the sections, patches and weights of the training."""

import json
from pathlib import Path

from coverslip.search.chosen import chosen, patch_folders, weights_file
from coverslip.search.space import variant

PARAMS = {
    "preprocessing": {"patch": 64, "scaling": "unit"},
    "network": {"depth": 3},
    "training": {"learning_rate": 0.1, "augmentation": {"noise": 0.0}},
    "licence": "CC0-1.0",
}


def test_values_reach_the_sections_that_a_job_has(tmp_path):
    best = tmp_path / "best.json"
    values = {"network.depth": 2, "training.augmentation.noise": 0.1, "preprocessing.patch": 32}
    best.write_text(json.dumps({"trial": 4, "values": values}))
    sections = chosen(PARAMS, [str(best)])
    assert sections == {
        "preprocessing": {"patch": 32, "scaling": "unit"},
        "network": {"depth": 2},
        "training": {"learning_rate": 0.1, "augmentation": {"noise": 0.1}},
    }
    assert PARAMS["network"] == {"depth": 3}
    own = {"preprocessing": PARAMS["preprocessing"]}
    assert chosen(own, [str(best)]) == {"preprocessing": {"patch": 32, "scaling": "unit"}}


def test_without_a_search_sections_are_as_they_were():
    assert chosen(PARAMS, []) == {k: v for k, v in PARAMS.items() if k != "licence"}


def test_patches_are_those_of_the_preprocessing():
    sections = [{"patch": side, "scaling": "unit"} for side in (32, 64)]
    homes = [f"search/patches/{variant(section)}/{n}" for section in sections for n in (0, 1)]
    files = [f"{home}/{name}" for home in homes for name in ("images.npy", "labels.npy")]
    assert patch_folders(files, sections[1]) == sorted(map(Path, homes[2:]))
    plain = ["patches/1/images.npy", "patches/0/images.npy", "patches/0/labels.npy"]
    assert patch_folders(plain, sections[1]) == [Path("patches/0"), Path("patches/1")]


def test_weights_are_those_of_the_network():
    files = ["w/mobilenetv2_unet_imagenet.h5", "w/resnet18_imagenet.safetensors"]
    network = {"architecture": "resnet18", "weights": "imagenet"}
    assert weights_file(files, network) == Path(files[1])
    assert weights_file(files, network | {"weights": "none"}) is None
