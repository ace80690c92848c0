"""A folder measured by K-means, without labels and without training."""

import cv2
import numpy as np
import pandas as pd
import pytest

from coverslip.config.sections import Measure
from coverslip.errors import CoverslipError
from coverslip.measure.images import Outputs, measure
from coverslip.models.folder import shipped_model


@pytest.fixture
def folder(tmp_path):
    """An image of four dim and two bright discs, which cover the same area, and an empty one."""
    images = tmp_path / "images"
    images.mkdir()
    image = np.full((120, 200), 20, np.uint8)
    for at in range(4):
        cv2.circle(image, (20 + 40 * at, 30), 9, 110, -1)
    for at in range(2):
        cv2.circle(image, (30 + 90 * at, 85), 13, 230, -1)
    noise = np.random.default_rng(1).integers(-6, 7, image.shape)
    cv2.imwrite(str(images / "a.png"), (image + noise).astype(np.uint8))
    cv2.imwrite(str(images / "empty.png"), np.full((60, 60), 9, np.uint8))
    return images


def run(folder, model="kmeans", **settings):
    names = ("images.csv", "objects.csv", "labels", "overlays", "exports")
    outputs = Outputs(*(folder.parent / name for name in names))
    measure(
        folder=folder,
        notes=folder.parent / "notes.json",
        shard=0,
        shards=1,
        model=shipped_model(model),
        settings=Measure(export=[], **settings),
        code="c",
        state=folder.parent / "state",
        outputs=outputs,
        threads=1,
        report=lambda line: None,
    )
    table = pd.read_csv(outputs.images, dtype={"foreground_clusters": "str"})
    return table.set_index("image"), outputs


def test_each_image_has_clusters_of_its_own(folder):
    table, outputs = run(folder)
    found = table.loc["a.png"]
    assert (found["n_clusters"], found["foreground_clusters"]) == (3, "1 2")
    assert found["n_objects"] == 6
    assert table.loc["empty.png", "n_clusters"] == 1 and table.loc["empty.png", "n_objects"] == 0
    shown = cv2.imread(str(outputs.overlays / "a.png.clusters.png"))
    scale = shown.shape[0] // 120
    colors = {tuple(shown[scale * y, scale * x]) for y, x in ((5, 5), (30, 20), (85, 30))}
    assert len(colors) == 3


def test_clusters_are_chosen_by_the_user(folder):
    bright, _ = run(folder, clusters=3, foreground_clusters=[-1])
    assert bright.loc["a.png", "n_objects"] == 2
    dim, _ = run(folder, clusters=3, foreground_clusters=[1])
    assert dim.loc["a.png", "n_objects"] == 4
    with pytest.raises(CoverslipError, match="model `kmeans` alone"):
        run(folder, "confluency", clusters=3)
