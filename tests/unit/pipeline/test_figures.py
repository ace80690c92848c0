"""The figures of each kind of study have modules, captions and inputs that exist."""

from pathlib import Path

import pytest

from coverslip.pipeline import figures
from coverslip.pipeline.figures import figures_of

WORKFLOW = Path(__file__).resolve().parents[3] / "workflow"
MASKS = {
    "task": "segmentation",
    "kmeans": None,
    "model": None,
    "network": {"head": "semantic"},
    "search": None,
    "attribution": {"images": 0},
}


@pytest.mark.parametrize("name", figures.ALL)
def test_every_figure_has_a_module_and_a_caption(name):
    assert (WORKFLOW / f"scripts/coverslip/reporting/figures/{name}.py").is_file()
    assert (WORKFLOW / f"report/{name}.rst").is_file()


def test_figures_follow_from_the_study():
    assert "network" in figures_of(MASKS) and "contours" not in figures_of(MASKS)
    assert "contours" in figures_of(MASKS | {"network": {"head": "instance"}})
    kmeans = figures_of(MASKS | {"kmeans": {}})
    assert "clusters" in kmeans and "network" not in kmeans
    labels = figures_of(MASKS | {"model": {"kind": "labels", "head": "instance"}})
    assert "contours" in labels and not {"network", "learning_curves"} & set(labels)
    assert "confluency" in figures_of(MASKS | {"task": "confluency"})
    classes = MASKS | {"task": "classification", "search": {}}
    assert {"class_confusion", "search_curves"} <= set(figures_of(classes))
    assert "attribution_maps" not in figures_of(classes)
    assert "attribution_maps" in figures_of(classes | {"attribution": {"images": 3}})
