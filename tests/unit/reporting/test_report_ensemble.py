"""What the report says of an ensemble beside its single networks."""

import json
from dataclasses import replace

import made_up
import pytest
from ensemble_files import IOU, RMSE, cell, document, record, scores

from coverslip.errors import CoverslipError
from coverslip.reporting import report, results
from coverslip.reporting.tables import ensemble_scores


def test_a_study_without_one_has_nothing_to_say():
    assert ensemble_scores(None, ["iou"]) is None


def test_single_networks_ensemble_and_gain_stand_side_by_side(tmp_path):
    other = record("dice", cell(0.9), cell(0.91), cell(0.01))
    seen = record("iou", cell(0.99), cell(0.99), cell(0.0), subset="validation")
    path = scores(tmp_path, document(seen, other, IOU, folds=(0, 1)))
    told = ensemble_scores(path, ["iou", "mean_ap"])
    (line,) = told["lines"]
    assert line["label"] == "IoU"
    assert line["single"] == ("0.84", "0.80 to 0.88")
    assert line["ensemble"] == ("0.86", "0.82 to 0.90")
    assert line["difference"] == ("+0.02", "(+0.01 to +0.03)")
    assert line["support"] == "134 images, 21 groups"
    assert "2 trainings, and 2 networks" in told["lead"] and "2 folds" in told["lead"]
    assert told["verdict"] == "IoU of the ensemble is better: +0.02, 95 % CI +0.01 to +0.03."


def test_of_errors_the_smaller_is_the_better_one(tmp_path):
    told = ensemble_scores(scores(tmp_path, document(RMSE)), ["confluency_rmse"])
    assert told["lines"][0]["difference"] == ("−0.5\u00a0pp", "(−1.5 to +0.5)")
    assert "RMSE of the ensemble is better: −0.5\u00a0pp" in told["verdict"]
    assert "95 % CI −1.5 to +0.5; the CI includes 0" in told["verdict"]


def test_without_an_interval_none_is_made_up(tmp_path):
    alone = record("iou", cell(0.84), cell(0.8), cell(-0.04))
    told = ensemble_scores(scores(tmp_path, document(alone)), ["iou"])
    assert told["lines"][0]["difference"] == ("−0.040", "")
    assert "worse: −0.040 (21 groups, too few for a CI)" in told["verdict"]


def test_of_many_classes_only_the_whole_is_told(tmp_path):
    each = [
        record("f1", cell(0.8), cell(0.9), cell(0.1), class_name=name) for name in ("a", "b", "c")
    ]
    whole = record("accuracy", cell(0.8), cell(0.9), cell(0.1))
    told = ensemble_scores(scores(tmp_path, document(*each, whole)), ["f1", "accuracy"])
    assert [line["label"] for line in told["lines"]] == ["Accuracy"]


def test_another_format_is_named(tmp_path):
    path = scores(tmp_path, document(IOU) | {"format": 7})
    with pytest.raises(CoverslipError, match=r"scores\.json: not scores of format 2"):
        ensemble_scores(path, ["iou"])


def test_the_page_has_the_table_in_its_study_only(tmp_path):
    config, figures = made_up.results(tmp_path)
    config["studies"]["nuclei-grouped"]["evaluation"]["ensemble"] = True
    studies = results.collect(config, list(config["studies"]), figures, tmp_path)
    wanted = tmp_path / "studies/nuclei-grouped/ensemble/scores.json"
    assert [study.ensemble for study in studies if study.ensemble] == [wanted]
    wanted.parent.mkdir()
    wanted.write_text(json.dumps(document(IOU)), encoding="utf-8")
    report.build(studies, {}, tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert text.count("Ensemble of several networks") == 1 and "+0.02" in text
    report.build([replace(s, ensemble=None) for s in studies], {}, tmp_path / "report.html")
    assert "Ensemble of several" not in (tmp_path / "report.html").read_text(encoding="utf-8")
