"""Fold by fold and group by group, on the page of results."""

from dataclasses import replace

import results_page
from ensemble_files import IOU, RMSE, document, scores

from coverslip.reporting.results import StudyInputs


def study(tmp_path, name="mine", task="segmentation"):
    return StudyInputs(name, {"task": task}, {}, tmp_path, tmp_path, tmp_path)


def record(run, value, name="iou", subset="test", class_name=None):
    return {
        "name": name,
        "subset": subset,
        "class": class_name,
        "run": run,
        "value": value,
        "unit": "fraction",
    }


def metrics(*records, instances=None):
    return {"metrics": list(records), "classes": ["background", "foreground"]} | (
        {"instances": instances} if instances else {}
    )


def test_one_training_has_nothing_to_tell(tmp_path):
    told = {"mine": metrics(record("all", 0.8), record("fold0_seed1", 0.8))}
    assert results_page.detail([study(tmp_path)], told) == []


def test_each_fold_has_a_column_in_the_order_of_numbers(tmp_path):
    runs = [record(f"fold{fold}_seed1", fold / 100) for fold in (10, 2, 0, 1)]
    others = [record("all", 0.9), record("fold0_seed2", 0.7), record("fold1_seed1", 0.6, "dice")]
    text = results_page.detail([study(tmp_path)], {"mine": metrics(*runs, *others)})[-1]
    assert text.splitlines() == [
        "| Study | Metric | Fold 0 | Fold 1 | Fold 2 | Fold 3 |",
        "| --- | --- | --- | --- | --- | --- |",
        "| `mine` | IoU | 0.000 | 0.010 | 0.020 | 0.100 |",
    ]


def test_studies_of_fewer_folds_have_dashes(tmp_path):
    few = [record(f"fold{fold}_seed1", 0.5, class_name="foreground") for fold in range(2)]
    few += [record(f"fold{fold}_seed1", 0.1, class_name="background") for fold in range(2)]
    many = [record(f"fold{fold}_seed1", 0.25) for fold in range(3)]
    studies = [study(tmp_path, "few"), study(tmp_path, "many")]
    told = {"few": metrics(*few), "many": metrics(*many)}
    lines = results_page.detail(studies, told)[-1].splitlines()
    assert lines[2] == "| `few` | IoU | 0.500 | 0.500 | – |"
    assert lines[3] == "| `many` | IoU | 0.250 | 0.250 | 0.250 |"


def part(subset, of, **scores):
    filled = dict.fromkeys(results_page.SCORES, 0.0) | scores
    return of | {
        "subset": subset,
        "images": 3,
        "n_true": 1200,
        "scores": {
            name: {
                "value": value,
                "ci_low": None,
                "ci_high": None,
                "baselines": {"otsu watershed": 0.25},
            }
            for name, value in filled.items()
        },
    }


def test_modalities_of_test_images_have_their_numbers_of_groups(tmp_path):
    many = {"modality": "fluorescence", "groups": 9}
    instances = {
        "modality": [
            part("test", {"modality": "histology", "groups": 3}, mean_ap=0.5, merge_rate=0.125),
            part("test", many, mean_ap=0.7),
            part("validation", many),
        ],
        "group": [part("test", {"group": "histology-01"}, missed_rate=0.0625)],
    }
    instances["modality"][1]["scores"]["mean_ap"] |= {"ci_low": 0.61, "ci_high": 0.78}
    told = {"mine": metrics(record("all", 0.8), instances=instances)}
    title, about, text = results_page.detail([study(tmp_path)], told)
    head, _, *lines = [line.strip("| ").split(" | ") for line in text.splitlines()]
    few, enough = lines
    assert few[:5] == ["`mine`", "histology", "3 images, 3 groups", "1\u202f200", "0.500"]
    assert few[5] == "–" and enough[2] == "3 images, 9 groups" and enough[5] == "0.61 to 0.78"
    assert few[head.index("Fraction of predicted objects that merge several")] == "0.125"


def test_the_mean_of_seeds_stands_beside_single_networks(tmp_path):
    told = {"mine": metrics()}
    assert results_page.detail([study(tmp_path)], told) == []
    scored = replace(study(tmp_path), ensemble=scores(tmp_path, document(IOU, RMSE)))
    heading, _, text = results_page.detail([scored], told)
    assert heading.strip() == "## Ensembles of several seeds"
    assert text.splitlines()[2:] == [
        "| `mine` | IoU | 134 images, 21 groups | 0.84 | 0.80 to 0.88 | 0.86 "
        "| 0.82 to 0.90 | +0.02 | (+0.01 to +0.03) |"
    ]
