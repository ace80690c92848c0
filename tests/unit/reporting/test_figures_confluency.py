"""Figures of confluency and of clusters: drawn on the road from images to report."""

from dataclasses import replace

import numpy as np
import pytest
import study_files
from PIL import Image
from study_files import inputs_of

from coverslip.config.sections import KMeans, Preprocessing
from coverslip.data.image_store import ImageStore
from coverslip.errors import CoverslipError
from coverslip.models.kmeans import OUTSIDE
from coverslip.models.model import load
from coverslip.reporting import figures
from coverslip.reporting.figures import clusters
from coverslip.training import kmeans as kmeans_module

NAMES = ("confluency", "clusters", "learning_curves")


@pytest.fixture(scope="module", params=["texture", "raw_color"])
def kmeans(request, tmp_path_factory):
    """A study whose models are K-means; its predictions are the truth, shifted."""
    folder = tmp_path_factory.mktemp(request.param)
    files = study_files.make(folder, seeds=(1, 2))
    p = Preprocessing(channels="grey", input_scaling="none", normalization="dtype_range")
    recipe = KMeans(features=request.param, clusters=[3])
    for seed, model in zip((1, 2), files.models, strict=True):
        arguments = (files.images, files.split, 0, seed, p, recipe, model, {})
        kmeans_module.train(*arguments, report=lambda line: None)
    return inputs_of(files, folder)


@pytest.mark.parametrize("name", NAMES)
def test_figures_are_small_and_the_same_each_time(kmeans, tmp_path, name):
    path = tmp_path / f"{name}.{'png' if name == 'clusters' else 'svg'}"
    figures.draw(name, kmeans, path)
    first = path.read_bytes()
    figures.draw(name, kmeans, path)
    assert path.read_bytes() == first and len(first) < 300_000


def test_large_errors_have_room(kmeans, tmp_path):
    records = [
        record | {"value": -23.9, "ci_low": -24.8, "ci_high": -22.9}
        if record["name"].startswith("confluency")
        else record
        for record in kmeans.metrics["metrics"]
    ]
    large = replace(kmeans, metrics=kmeans.metrics | {"metrics": records})
    figures.draw("confluency", large, tmp_path / "confluency.svg")


@pytest.fixture(scope="module")
def extreme(tmp_path_factory):
    """One group, few images of differing sizes, folds and seeds, a long title."""
    folder = tmp_path_factory.mktemp("extreme")
    shapes = ((20, 90), (64, 24))
    files = study_files.make(
        folder, images=3, folds=3, seeds=(1, 2), groups=1, epochs=1, shapes=shapes
    )
    return inputs_of(files, folder, "A very long title " * 12, True)


def test_extreme_studies_are_drawn(extreme, tmp_path):
    path = tmp_path / "confluency.png"
    figures.draw("confluency", extreme, path)
    with Image.open(path) as image:
        pixels = np.asarray(image.convert("RGB")).astype(int)
    edges = (pixels[:2], pixels[-2:], pixels[:, :2], pixels[:, -2:])
    assert all((edge > 245).all() for edge in edges)
    assert ((abs(pixels - (0xB0, 0, 0x20)) < 24).all(axis=2)).sum() > 100  # the warning


def test_clusters_are_told_as_the_model_finds_them(kmeans):
    model = load(kmeans.models[0])
    with ImageStore(kmeans.images) as store:
        id = store.ids()[1]
        found = clusters.segmented(model, store, id)
        (answer,) = model.predict([store.image(id)])
    np.testing.assert_array_equal(
        np.isin(found.labels, model.info["clusters"]["cells"]), model.mask(answer) > 0
    )
    inside = found.labels != OUTSIDE
    for number in range(3):
        here = found.labels == number
        assert found.shares[number] == pytest.approx(here.sum() / inside.sum())
        if here.any():
            mean = found.image[here].mean() / 255
            np.testing.assert_allclose(found.swatches[number], mean, rtol=1e-6)


@pytest.mark.parametrize("number", [2, 3, 8, 9, 64])
def test_every_cluster_has_a_colour_of_its_own(number):
    colours = clusters.false_colours(number)
    assert colours.shape == (number, 3) and len(np.unique(colours, axis=0)) == number
    found = np.array([[0, number - 1, OUTSIDE]], np.uint8)
    drawn = clusters.painted(found, colours)
    np.testing.assert_array_equal(drawn[0, 2], [255, 255, 255])
    np.testing.assert_array_equal(drawn[0, 1], np.rint(255 * colours[-1]))


def test_what_cannot_be_drawn_is_told(extreme, kmeans, tmp_path):
    with pytest.raises(CoverslipError, match="model.json"):
        figures.draw("clusters", extreme, tmp_path / "x.png")
    dark = kmeans.table.assign(confluency_true=np.nan)
    nothing = figures.FigureInputs(**(vars(kmeans) | {"table": dark}))
    with pytest.raises(CoverslipError, match="no test image has a field of view"):
        figures.draw("confluency", nothing, tmp_path / "x.svg")


@pytest.mark.parametrize("name", ["confluency", "clusters"])
def test_captions_say_left_and_right_as_drawn(kmeans, check_left_and_right, name):
    assert "Left" in check_left_and_right(name, kmeans)
