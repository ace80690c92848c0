"""Figures of a made-up classification: small, the same each time, nothing cut off."""

import json
import re
from dataclasses import replace

import class_files
import h5py
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from coverslip.errors import CoverslipError
from coverslip.reporting import figures
from coverslip.reporting.figures import attribution_maps, confident_errors, reliability

VECTOR = ("learning_curves", "class_confusion", "class_report", "reliability")
RASTER = ("class_examples", "confident_errors", "attribution_maps")
METHODS = ["occlusion 10/5", "integrated gradients", "grad-cam"]


def explained(folder, ids, labels):
    """Maps and scores as `class_attribution.attribute` writes them."""
    rng = np.random.default_rng(0)
    images = []
    with h5py.File(folder / "maps.h5", "w") as file:
        for number, id in enumerate(ids):
            group = file.create_group(id)
            group["image"] = rng.integers(0, 255, (16, 16, 1), dtype=np.uint8)
            for method in METHODS:
                group[method.replace("/", " by ")] = rng.normal(size=(16, 16)).astype(np.float32)
            facts = {"true": labels[number % 3], "predicted": labels[0], "probability": 0.8}
            images.append({"id": id, "group": "g", **facts})
    scores = [
        {"name": name, "method": method, "value": 0.3}
        for name in ("deletion", "insertion")
        for method in [*METHODS, "random"]
    ]
    document = {"subset": "test", "methods": [*METHODS, "random"]}
    (folder / "scores.json").write_text(json.dumps(document | {"images": images, "scores": scores}))
    return folder


def inputs_of(folder, title="Cell lines", reproduction=False, changes=None, **options):
    files = class_files.make(folder, **options)
    document, _ = class_files.score(files, folder, reproduction=reproduction, **(changes or {}))
    ids = document["examples"]["last"] * 3
    return figures.load(
        study="lines",
        title=title,
        reproduction=reproduction,
        metrics=folder / "metrics.json",
        table=folder / "images.csv",
        images=files.images,
        predictions=files.predictions,
        models=files.models,
        histories=[model / "history.csv" for model in files.models],
        **class_files.SETTINGS,
        attribution=explained(folder, sorted(set(ids)), class_files.CLASSES),
    )


@pytest.fixture(scope="module")
def usual(tmp_path_factory):
    return inputs_of(tmp_path_factory.mktemp("usual"))


@pytest.fixture(scope="module")
def extreme(tmp_path_factory):
    """One epoch, several folds and seeds, long names of classes, a long title, both with `$`."""
    names = {"a172": r"a very long $x^$ of a class that nobody has shortened"}
    folder = tmp_path_factory.mktemp("extreme")
    options = {"images": 18, "folds": 3, "seeds": (1, 2), "epochs": 1}
    changes = {"class_names": names}
    return inputs_of(folder, "A very long title $x^$ " * 9, True, changes, **options)


@pytest.mark.parametrize("name", (*VECTOR, *RASTER))
def test_small_and_the_same_each_time(usual, tmp_path, name):
    path = tmp_path / f"{name}.{'svg' if name in VECTOR else 'png'}"
    figures.draw(name, usual, path)
    first = path.read_bytes()
    assert 2_000 < len(first) < 300_000
    assert not re.search(rb"<dc:date>|/tmp|/home", first)
    figures.draw(name, usual, path)
    assert path.read_bytes() == first


@pytest.mark.reliability(
    "D12", "`$` in titles and class names", "text in all figures; not read as mathematics"
)
@pytest.mark.parametrize("name", (*VECTOR, *RASTER))
def test_extreme_studies_are_drawn(extreme, tmp_path, name):
    path = tmp_path / f"{name}.png"
    figures.draw(name, extreme, path)
    with Image.open(path) as image:
        pixels = np.asarray(image.convert("RGB")).astype(int)
    # Nothing is cut off: the margin of every figure is white.
    edges = (pixels[:2], pixels[-2:], pixels[:, :2], pixels[:, -2:])
    assert all((edge > 245).all() for edge in edges)
    red = (abs(pixels - (0xB0, 0, 0x20)) < 24).all(axis=2)
    assert red.sum() > 100, "the warning"


def test_no_mistakes_and_no_maps(usual, tmp_path):
    document = usual.metrics | {"examples": {"last": [], "confident_errors": []}}
    nothing = figures.FigureInputs(**{**vars(usual), "metrics": document, "attribution": None})
    for name in ("confident_errors", "class_examples"):
        figures.draw(name, nothing, tmp_path / f"{name}.png")
    with pytest.raises(CoverslipError, match="lines: no maps were made"):
        figures.draw("attribution_maps", nothing, tmp_path / "attribution_maps.png")
    missing = figures.FigureInputs(**{**vars(usual), "metrics": document | {"confusion": {}}})
    with pytest.raises(CoverslipError, match="no confusion matrix of test images"):
        figures.draw("class_confusion", missing, tmp_path / "x.svg")


def test_an_error_is_shown_of_each_group(usual):
    table = pd.DataFrame(
        {
            "id": ["a", "b", "c", "d"],
            "group": ["g1", "g1", "g2", "g3"],
            "subset": "test",
            "fold": 0,
            "seed": 1,
            "correct": [0, 0, 0, 1],
            "probability": [0.6, 0.9, 0.7, 0.99],
        }
    )
    assert confident_errors.confident_errors(replace(usual, table=table)) == ["b", "c"]


def test_bins_of_few_images_are_joined():
    bins = np.array([[0, 0, 0], [3, 1, 1.0], [6, 4, 3.5], [8, 8, 7.0], [2, 2, 1.9]])
    assert reliability.merged(bins).tolist() == [[9, 5, 4.5], [10, 10, 8.9]]
    assert reliability.merged(np.zeros((3, 3))).shape == (0, 3)


def test_a_map_must_be_better_than_a_random_one_in_both():
    def scores(deletion, insertion):
        values = {"deletion": (deletion, 0.16), "insertion": (insertion, 0.62)}
        return {
            "scores": [
                {"name": name, "method": method, "value": value}
                for name, pair in values.items()
                for method, value in zip(("x", "random"), pair, strict=True)
            ]
        }

    assert attribution_maps.beats_random(scores(0.1, 0.7), "x")
    assert not attribution_maps.beats_random(scores(0.22, 0.7), "x")
    assert not attribution_maps.beats_random(scores(0.1, 0.59), "x")


@pytest.mark.parametrize(("name", "said"), [("reliability", {"Left"}), ("class_confusion", set())])
def test_captions_say_left_and_right_as_drawn(usual, check_left_and_right, name, said):
    assert check_left_and_right(name, usual) >= said
