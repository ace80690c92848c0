"""Label images of other programs become predictions; what is wrong with them is said in a line."""

import json
import logging
from pathlib import Path

import label_formats
import numpy as np
import pandas as pd
import pytest
import study_files
import tifffile

from coverslip.config.sections import BaselineModel, LabelFolder
from coverslip.data.image_store import ImageStore, ImageStoreWriter
from coverslip.errors import CoverslipError
from coverslip.evaluation.evaluate import evaluate
from coverslip.evaluation.import_labels import import_labels
from coverslip.evaluation.per_image import MASKS
from coverslip.evaluation.predictions import Predictions
from coverslip.metrics.baselines import otsu_watershed
from coverslip.metrics.matching import match


@pytest.fixture
def study(tmp_path):
    """A store of six images with its tables; the first has no object."""
    rng = np.random.default_rng(3)
    ids = [f"i{number}" for number in range(6)]
    with ImageStoreWriter(tmp_path / "images.h5") as store:
        for number, id in enumerate(ids):
            label = study_files.discs(rng, (64, 80), 4 * number)
            store.image(id, study_files.paint(rng, label, 1, False))
            store.label(id, label)
    facts = pd.DataFrame({"id": ids, "group": ids, "modality": "", "stratum": ""})
    facts.to_csv(tmp_path / "groups.csv", index=False)
    facts["fold"], facts["subset"] = 0, ["test", "test", "test", "test", "train", "validation"]
    facts.drop(columns="modality").to_csv(tmp_path / "split.csv", index=False)
    manifest = pd.DataFrame({"id": ids, "member": [f"x/{id}/images/{id}.png" for id in ids]})
    for column in ("group", "class", "dtype", "sha256"):
        manifest[column] = ""
    for column in ("height", "width", "channels", "n_objects", "overlap_pixels", "empty_masks"):
        manifest[column] = 0
    manifest.assign(foreground=0.0).to_csv(tmp_path / "manifest.csv", index=False)
    (tmp_path / "mine").mkdir()
    return tmp_path


def truth(study, id):
    with ImageStore(study / "images.h5") as store:
        return store.label(id)


def save(study, change=lambda label: label, ids=("i0", "i1", "i2", "i3")):
    for id in ids:
        changed = change(truth(study, id)).astype(np.uint16)
        tifffile.imwrite(study / f"mine/{id}.tif", changed)


def run(study, model=None, fold=0, **settings):
    model = model or LabelFolder(kind="labels", path=str(study / "mine"), **settings)
    facts = import_labels(
        model,
        Path(model.path) if isinstance(model, LabelFolder) else None,
        study / "images.h5",
        study / "manifest.csv",
        study / "split.csv",
        fold,
        16,
        study / "fold0_seed1/predictions/0.h5",
        study / "fold0_seed1/model/model.json",
        {"study": "mine"},
    )
    return facts, json.loads((study / "fold0_seed1/model/model.json").read_text())


@pytest.fixture(autouse=True)
def model_folder(study):
    for part in ("model", "predictions"):
        (study / "fold0_seed1" / part).mkdir(parents=True)


def predicted(study, id):
    with Predictions([study / "fold0_seed1/predictions/0.h5"]) as predictions:
        return predictions.instances(id, truth(study, id).shape)


@pytest.mark.parametrize("name", label_formats.WRITERS)
def test_each_format_is_scored_as_what_it_was_written_from(study, name):
    for id in ("i1", "i2", "i3"):
        label_formats.WRITERS[name](study / "mine", id, truth(study, id))
    save(study, ids=["i0"])
    facts, info = run(study)
    assert facts == {"images": 4, "files without image": 0}
    assert (info["kind"], info["head"]) == ("labels", "instance")
    for id in ("i0", "i1", "i2", "i3"):
        matching = match(truth(study, id), predicted(study, id))
        assert matching.n_predicted == matching.n_true == len(matching.iou)
        assert np.allclose(matching.iou, 1.0)


def test_scores_of_label_images(study):
    save(study, lambda label: np.where(label % 2 == 1, label, 0))
    (study / "mine/tool.json").write_text('{"tool": "macro", "version": "2"}')
    _, info = run(study)
    assert info["tool"] == {"tool": "macro", "version": "2"}
    home = study / "fold0_seed1"
    files = study_files.StudyFiles(
        study / "images.h5",
        study / "groups.csv",
        study / "split.csv",
        [home / "predictions/0.h5"],
        [home / "model"],
    )
    evaluate(MASKS, files.inputs(), "mine", False, study / "metrics.json", study / "images.csv")
    document = json.loads((study / "metrics.json").read_text())
    values = {r["name"]: r["value"] for r in document["metrics"] if r["run"] == "all"}
    assert {r["subset"] for r in document["metrics"]} == {"test"}
    objects = [int(truth(study, id).max()) for id in ("i0", "i1", "i2", "i3")]
    odd = sum((count + 1) // 2 for count in objects)
    assert values["precision_50"] == 1.0
    assert values["recall_50"] == pytest.approx(odd / sum(objects), abs=1e-6)
    assert values["missed_rate"] == pytest.approx(1 - odd / sum(objects), abs=1e-6)
    assert set(pd.read_csv(study / "images.csv")["id"]) == {"i0", "i1", "i2", "i3"}


def test_a_baseline_is_a_model_as_well(study):
    _, info = run(study, BaselineModel(kind="baseline", method="otsu_watershed"))
    assert info["model"]["method"] == "otsu_watershed"
    with ImageStore(study / "images.h5") as store:
        expected = otsu_watershed(store.image("i3"), 16)
    np.testing.assert_array_equal(predicted(study, "i3"), expected)


def test_the_foreground_alone(study):
    save(study, lambda label: 255 * (label > 0))
    run(study, head="semantic")
    with Predictions([study / "fold0_seed1/predictions/0.h5"]) as predictions:
        assert not predictions.has_instances
        np.testing.assert_array_equal(predictions.mask("i3", (64, 80)), truth(study, "i3") > 0)


def test_binary_masks_are_separated_only_where_that_is_asked_for(study):
    save(study, lambda label: 255 * (label > 0))
    with pytest.raises(CoverslipError, match="binary masks instead of label images.*i1.tif"):
        run(study)
    assert not (study / "fold0_seed1/predictions/0.h5").exists()
    run(study, mask_threshold=0)
    assert predicted(study, "i3").max() == truth(study, "i3").max()
    save(study, lambda label: 100 * (label > 0))
    run(study, mask_threshold=100)
    assert predicted(study, "i3").max() == 0


def test_an_object_in_two_parts_is_one_object(study):
    save(study)
    parts = np.zeros((64, 80), np.uint16)
    parts[3:9, 3:9] = parts[30:40, 30:40] = 1
    tifffile.imwrite(study / "mine/i1.tif", parts)
    run(study)
    assert predicted(study, "i1").max() == 1


@pytest.mark.parametrize(("rows", "columns"), [(0, 1), (-1, 1), (1, 0)])
def test_a_shift_by_one_pixel_is_warned_of(study, caplog, rows, columns):
    save(study, lambda label: np.roll(label, (rows, columns), (0, 1)))
    with caplog.at_level(logging.WARNING, "coverslip"):
        run(study)
    assert f"({-rows:+d} rows, {-columns:+d} columns: IoU 1.000" in caplog.text


@pytest.mark.parametrize("change", ["none", "grown", "two", "noise"])
def test_other_differences_are_no_shift(study, caplog, change):
    from scipy import ndimage

    rng = np.random.default_rng(0)
    changes = {
        "none": lambda label: label,
        "grown": lambda label: ndimage.grey_dilation(label, 3),
        "two": lambda label: np.where(label % 2 == 1, label, 0),
        "noise": lambda label: label * (rng.random(label.shape) < 0.8),
    }
    save(study, changes[change])
    with caplog.at_level(logging.WARNING, "coverslip"):
        run(study)
    assert not caplog.text


def test_missing_and_extra_files(study, caplog):
    save(study, ids=["i0", "i1", "i4"])
    with pytest.raises(CoverslipError, match="for 2 of 4 test images .i2, i3.*i2.tif"):
        run(study)
    save(study)
    (study / "mine/other.tif").write_bytes((study / "mine/i1.tif").read_bytes())
    with caplog.at_level(logging.WARNING, "coverslip"):
        facts, _ = run(study)
    assert facts["files without image"] == 1 and "(other.tif)" in caplog.text


def test_another_size_and_damaged_files(study):
    save(study, lambda label: label[:, :-1])
    with pytest.raises(CoverslipError, match="i0.tif: mask of 64x79 pixels.*64x80"):
        run(study)
    save(study)
    (study / "mine/tool.json").write_text("[1]")
    with pytest.raises(CoverslipError, match="tool.json: not a JSON object"):
        run(study)


def test_a_split_without_test_images(study):
    save(study)
    table = pd.read_csv(study / "split.csv")
    table["subset"] = "train"
    table.to_csv(study / "split.csv", index=False)
    with pytest.raises(CoverslipError, match="fold 0 has no test images"):
        run(study)


def coco(study, ids):
    """One COCO file of these images, as most programs write it."""
    return label_formats.coco({f"some/{id}": truth(study, id) for id in ids})


def test_one_coco_file_has_all_images(study):
    (study / "mine/predictions.json").write_text(json.dumps(coco(study, ["i0", "i1", "i2", "i3"])))
    run(study)
    with Predictions([study / "fold0_seed1/predictions/0.h5"]) as predictions:
        for id in ("i0", "i1", "i2", "i3"):
            found = predictions.instances(id, (64, 80))
            assert match(truth(study, id), found).accuracy.min() == 1


def test_images_missing_or_odd_in_a_coco_file_are_named(study):
    path = study / "mine/predictions.json"
    path.write_text(json.dumps(coco(study, ["i0", "i1", "i2"])))
    with pytest.raises(CoverslipError, match="no label file for 1 of 4 test images .*i3"):
        run(study)
    facts = coco(study, ["i0", "i1", "i2", "i3"])
    facts["images"][2]["height"] = 63
    path.write_text(json.dumps(facts))
    with pytest.raises(CoverslipError, match=r"predictions\.json: annotations of 63x80 pixels"):
        run(study)
    facts["images"][1]["file_name"] = facts["images"][0]["file_name"]
    path.write_text(json.dumps(facts))
    with pytest.raises(CoverslipError, match=r"predictions\.json: several images have one"):
        run(study)
