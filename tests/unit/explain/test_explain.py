"""Maps of held-out images from a trained folder, and their scores."""

import json

import h5py
import numpy as np
import pytest
from test_class_training import LABELS, finished, predicted, study  # noqa: F401 (fixtures)

from coverslip.config.sections import Attribution
from coverslip.evaluation.class_evaluate import scored_rows
from coverslip.explain.explain import attribute, examples

SECTION = Attribution(
    images=2, occlusion=[{"window": 6, "stride": 3}], steps=8, smooth_samples=2, batch=16
)
METHODS = ["occlusion 6/3", "integrated gradients", "grad-cam", "random"]


@pytest.fixture(scope="module")
def groups(study):  # noqa: F811
    """`groups.csv` of the study: the group is the image, the stratum its class."""
    lines = (study / "split.csv").read_text().splitlines()[1:]
    rows = [line.split(",") for line in lines]
    text = "\n".join(f"{id},g{int(id) % 7},brightfield,{label}" for id, _, label, *_ in rows)
    (study / "groups.csv").write_text(f"id,group,modality,stratum\n{text}\n")
    return study / "groups.csv"


@pytest.fixture(scope="module")
def told(study, finished, groups, tmp_path_factory):  # noqa: F811
    folder = tmp_path_factory.mktemp("told")
    shard = predicted(study, finished, folder / "0.h5", 0, 1)
    maps, scores = folder / "maps.h5", folder / "scores.json"
    arguments = [finished / "model", [shard], study / "images.h5", groups, study / "split.csv"]
    attribute(*arguments, 0, SECTION, 100, maps, scores)
    first = maps.read_bytes(), scores.read_bytes()
    attribute(*arguments, 0, SECTION, 100, maps, scores)
    assert (maps.read_bytes(), scores.read_bytes()) == first, "equal input gives equal bytes"
    return maps, json.loads(scores.read_text()), shard


def test_maps_of_each_method_and_image(told):
    maps, scores, _ = told
    assert scores["subset"] == "test"
    assert scores["methods"] == METHODS
    assert len(scores["images"]) == 6
    with h5py.File(maps) as file:
        assert json.loads(file.attrs["methods"]) == METHODS[:-1]
        for facts in scores["images"]:
            folder = file[facts["id"]]
            assert folder["image"].dtype == np.uint8
            assert folder.attrs["true"] == facts["true"]
            for method in METHODS[:-1]:
                map = folder[method.replace("/", " by ")][...]
                assert map.shape == (16, 16)
                assert np.isfinite(map).all()


def test_scores_stand_beside_a_random_map(told):
    _, scores, _ = told
    assert [(s["name"], s["method"]) for s in scores["scores"]] == [
        (name, method) for name in ("deletion", "insertion") for method in METHODS
    ]
    for score in scores["scores"]:
        each = [facts[score["name"]][score["method"]] for facts in scores["images"]]
        assert score["value"] == pytest.approx(np.mean(each), abs=1e-6)
        assert score["low"] <= score["value"] <= score["high"]
        assert score["support"] == 6
        assert "Small is good" in score["definition"] or "Large is good" in score["definition"]


def test_examples_are_half_mistakes(study, groups, told):  # noqa: F811
    _, _, shard = told
    rows = scored_rows(study / "split.csv", groups, LABELS)
    subset, found = examples(rows, [shard], Attribution(images=40))
    assert subset == "test"
    known = set(rows["id"][rows["subset"] == "test"])
    assert {example.id for example in found} <= known
    for true in range(3):
        of = [example for example in found if example.true == true]
        wrong = [example.predicted != true for example in of]
        assert wrong == sorted(wrong), "the right ones first"
        assert sum(wrong) <= 20
    assert examples(rows, [shard], Attribution(images=1))[1] != []
    without = rows.assign(subset=rows["subset"].replace("test", "train"))
    assert examples(without, [shard], SECTION)[0] == "validation"
