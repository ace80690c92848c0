"""The section `kmeans` of a study: left out, completed, refused; models without weights."""

from pathlib import Path

import kmeans_study
import pytest

from coverslip.config import validate
from coverslip.config.sections import Config, KMeans
from coverslip.errors import CoverslipError
from coverslip.measure.input_folder import model_inputs

SCHEMA = Path(__file__).resolve().parents[3] / "workflow/schemas/config.schema.json"


def resolved(**changes):
    config = kmeans_study.config()
    config["studies"]["texture"] |= changes
    return validate.resolve(config, SCHEMA)["studies"]


def test_defaults_are_filled_in_where_it_stands_and_nowhere_else():
    studies = resolved(kmeans={})
    assert studies["texture"]["kmeans"] == KMeans().model_dump(mode="json")
    assert studies["raw-color"]["kmeans"]["features"] == "raw_color"
    assert studies["raw-color"]["kmeans"]["scales"] == KMeans().scales
    assert studies["network"]["kmeans"] is None
    config = kmeans_study.config()
    expected = Config(**config).model_dump(mode="json")["studies"]
    assert validate.resolve(config, SCHEMA)["studies"] == expected


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kmeans": {"cluster": [3]}}, "cluster: unknown key; did you mean `clusters`"),
        ({"kmeans": {"clusters": []}}, "studies.texture.kmeans.clusters"),
        ({"kmeans": {"clusters": [1]}}, r"studies.texture.kmeans.clusters.0: 1 is less than"),
        ({"kmeans": {"clusters": [65]}}, r"studies.texture.kmeans.clusters.0: 65 is greater"),
        ({"kmeans": {"scales": [0]}}, "studies.texture.kmeans.scales.0"),
        ({"kmeans": {"features": "other"}}, "'other' is not known; known: raw_color, texture"),
        ({"preprocessing": {"resize": [64, 64]}}, "kmeans: it needs native size"),
    ],
)
def test_mistakes_are_named(changes, message):
    with pytest.raises(CoverslipError, match=message):
        resolved(**changes)


def test_only_a_network_to_be_trained_has_weights():
    folder = "results/studies/texture/fold0_seed1/model"
    config = {"studies": {"texture": {"seeds": [1], "task": "confluency"}}, "model": "texture"}
    assert model_inputs(config, ["texture"]) == [f"{folder}/model.json"]
    assert model_inputs(config) == [f"{folder}/model.keras", f"{folder}/model.json"]
