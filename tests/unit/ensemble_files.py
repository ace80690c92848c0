"""Scores of ensembles as the report reads them."""

import json


def cell(value, low=None, high=None):
    return {"value": value, "ci_low": low, "ci_high": high}


def record(name, single, together, difference, subset="test", class_name=None, unit="fraction"):
    return {
        "name": name,
        "subset": subset,
        "class": class_name,
        "single": single | {"by_seed": {"1": single["value"], "2": single["value"]}},
        "ensemble": together,
        "difference": difference,
        "support": 134,
        "support_unit": "images",
        "groups": 21,
        "unit": unit,
        "definition": f"Definition of {name}.",
    }


def document(*records, folds=(0,)):
    return {
        "format": 2,
        "study": "nuclei-grouped",
        "task": "segmentation",
        "folds": list(folds),
        "seeds": [1, 2],
        "settled": "as it was settled",
        "cost": "2 trainings, and 2 networks for each prediction",
        "metrics": list(records),
    }


def scores(tmp_path, told):
    path = tmp_path / "scores.json"
    path.write_text(json.dumps(told), encoding="utf-8")
    return path


IOU = record("iou", cell(0.84, 0.8, 0.88), cell(0.86, 0.82, 0.9), cell(0.02, 0.01, 0.03))


RMSE = record(
    "confluency_rmse",
    cell(4.0, 3.0, 5.0),
    cell(3.5, 2.5, 4.5),
    cell(-0.5, -1.5, 0.5),
    unit="percentage points",
)
