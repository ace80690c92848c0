"""Images and objects by a model of classes: tables, contact sheets, crops, the page."""

import json

import cv2
import numpy as np
import pandas as pd
import pytest

from coverslip.config.sections import Measure
from coverslip.errors import CoverslipError
from coverslip.measure import classes_page, input_folder
from coverslip.measure.classes import (
    SHEET,
    THUMBNAIL,
    class_columns,
    classify_folder,
    classify_objects,
    contact_sheet,
    object_crops,
    thumbnail,
    write_classes,
)
from coverslip.measure.regionprops import object_table
from coverslip.models import model
from coverslip.models.heads import calibrated_probabilities

INFO = {
    "format": 2,
    "kind": "brightness",
    "head": "classification",
    "classes": ["dark", "bright/light"],
    "preprocessing": {
        "channels": "grey",
        "normalization": "dtype_range",
        "resize": [8, 8],
    },
    "fitted": {},
    "threshold": None,
    "temperature": 2.0,
    "num_classes": 2,
}


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder of images, and a model by their mean brightness."""

    def logits(tiles):
        middle = tiles[:, 2:6, 2:6].mean(axis=(1, 2, 3), dtype=np.float32)
        return np.stack([0 * middle, (middle - 128) / 16], axis=1)

    monkeypatch.setitem(model.KINDS, "brightness", lambda _: logits)
    (tmp_path / "model").mkdir()
    (tmp_path / "model/model.json").write_text(json.dumps(INFO))
    (tmp_path / "in/sub").mkdir(parents=True)
    for name, value, shape in (("a", 20, (8, 8)), ("b", 240, (60, 30)), ("sub/c", 140, (8, 8))):
        assert cv2.imwrite(str(tmp_path / f"in/{name}.png"), np.full(shape, value, np.uint8))
    (tmp_path / "in/broken.png").write_bytes(b"text")
    return tmp_path


def classified(place):
    loaded = model.load(place / "model")
    planes = classify_folder(place / "in", place / "notes.json", loaded, Measure())
    sheets = place / "classes"
    return write_classes(planes, INFO["classes"], place / "predicted_classes.csv", sheets), sheets


def test_each_image_has_a_class_with_calibrated_probabilities(place):
    classified(place)
    table = pd.read_csv(place / "predicted_classes.csv").set_index("image")
    assert list(table.reset_index()) == class_columns(INFO["classes"])
    assert list(table.index) == ["a.png", "b.png", "broken.png", "sub/c.png"]
    assert list(table["class"].fillna("")) == ["dark", "bright/light", "", "bright/light"]
    expected = calibrated_probabilities(np.array([[0, (140 - 128) / 16]]), 2.0)[0]
    row = table.loc["sub/c.png"]
    assert row["class_probability"] == pytest.approx(expected[1], abs=1e-4)
    assert row[["probability_dark", "probability_bright/light"]].sum() == pytest.approx(1)
    assert table.loc["broken.png", "error"].startswith("cannot be decoded")
    assert "60x30" in table.loc["b.png", "note"] and pd.isna(table.loc["a.png", "note"])


def test_one_odd_image_does_not_stop_the_others(place, monkeypatch):
    loaded = model.load(place / "model")
    whole = loaded.predict

    def predict(images, **more):
        images = list(images)
        if any(image.shape[0] == 60 for image in images):
            raise RuntimeError("no such size")
        return whole(images, **more)

    monkeypatch.setattr(loaded, "predict", predict)
    planes = classify_folder(place / "in", place / "notes.json", loaded, Measure())
    rows = {plane.row["image"]: plane.row for plane in planes}
    assert "no such size" in rows["b.png"]["error"] and rows["a.png"]["class"] == "dark"


def test_contact_sheets_have_unsure_images_first(place):
    shown, sheets = classified(place)
    assert [each.name for each in shown["bright/light"]] == ["sub/c.png", "b.png"]
    assert {path.name for path in sheets.iterdir()} == {"dark.png", "bright_light.png"}
    sheet = cv2.imread(str(sheets / "bright_light.png"))
    assert sheet.shape[1] > 2 * THUMBNAIL and sheet.shape[0] < 2 * THUMBNAIL
    many = contact_sheet([np.zeros((THUMBNAIL, THUMBNAIL, 3), np.uint8)] * (SHEET[1] + 1))
    assert many.shape[0] > 2 * THUMBNAIL
    assert thumbnail(np.zeros((3, 500, 1), np.uint16)).shape == (THUMBNAIL, THUMBNAIL, 3)


def test_objects_are_cut_out_with_their_surroundings():
    image = np.arange(40 * 50, dtype=np.uint16).reshape(40, 50, 1)
    label = np.zeros((40, 50), np.int32)
    label[0:4, 0:4], label[20:24, 20:24], label[10:13, 28:48] = 1, 2, 3
    objects = object_table(label, image, None)
    corner, inner, large = object_crops(image, objects, (9, 9))
    assert corner.shape == inner.shape == (9, 9, 1) and large.shape == (25, 25, 1)
    assert (inner == image[18:27, 18:27]).all()
    assert (corner[2:, 2:] == image[:7, :7]).all() and (corner[0, 2:] == image[2, :7, :]).all()
    part = list(object_crops(image[5:], objects.iloc[[1]], (9, 9), origin=(5, 0)))
    assert (part[0] == inner).all()
    assert next(object_crops(image[:1, :1], objects, (9, 9))).shape == (9, 9, 1)


def test_each_object_has_a_class(place):
    image = np.full((60, 60, 1), 40, np.uint8)
    label = np.zeros((60, 60), np.int32)
    for number, (at, value) in enumerate(((10, 250), (30, 20), (50, 200)), start=1):
        label[at - 6 : at + 6, at - 6 : at + 6] = number
        image[label == number] = value
    objects = object_table(label, image, None)
    found = classify_objects(model.load(place / "model"), image, objects)
    assert list(found["class"]) == ["bright/light", "dark", "bright/light"]
    assert found["class_probability"].between(0.5, 1).all()
    none = classify_objects(model.load(place / "model"), image, objects.iloc[:0])
    assert none.empty and "class" in none


def test_the_page_shows_each_class(place):
    shown, _ = classified(place)
    facts = {"name": "in", "folder": "in", "model": str(place / "model")}
    facts |= {"left_out": {"endings": {}, "links": []}, "run": {"command": "coverslip measure in"}}
    page = place / "classes.html"
    classes_page.build(place / "predicted_classes.csv", shown, facts, INFO, page)
    html = page.read_text(encoding="utf-8")
    assert ">dark<" in html
    card = (
        "# T\n\n## Classes\n\n| label | class |\n| --- | --- |\n| dark | Night sky |\n\n## Data\n"
    )
    (place / "model/README.md").write_text(card)
    classes_page.build(place / "predicted_classes.csv", shown, facts, INFO, page)
    html = page.read_text(encoding="utf-8")
    assert ">Night sky<" in html and ">dark<" not in html
    assert html.count("<img") == 3 and "broken.png" in html and "bright/light" in html
    assert "coverslip measure in" in html
    assert "http://" not in html and "https://" not in html


def config(place, **more):
    return {
        "images": str(place / "in"),
        "model": None,
        "classifier": None,
        "studies": {"one": {"task": "segmentation", "seeds": [1]}},
        "measure": {"name": None},
        **more,
    }


def test_a_classifier_has_to_be_a_model_of_classes(place):
    folder = str(place / "model")
    (place / "model/model.keras").touch()
    assert input_folder.classifies(config(place, model=folder))
    assert len(input_folder.model_inputs(config(place, classifier=folder), (), "classifier")) == 1
    with pytest.raises(CoverslipError, match="predicts no classes"):
        input_folder.model_inputs(config(place, classifier="one"), (), "classifier")
    with pytest.raises(CoverslipError, match="classifier: nowhere"):
        input_folder.model_inputs(config(place, classifier="nowhere"), (), "classifier")
    names = {input_folder.name_of(config(place, classifier=each)) for each in (None, folder)}
    assert len(names) == 2
