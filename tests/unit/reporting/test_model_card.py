"""The model card tells what the numbers are, and what is not known."""

import json
from pathlib import Path

import class_files
import pytest
import study_files
import yaml
from study_files import inputs_of

from coverslip.reporting import model_card

DATASET = {"title": "Discs", "licence": "CC0-1.0", "citation": "Drawn, 2024."}
STUDY = {
    "title": "A study",
    "question": "Where?",
    "task": "segmentation",
    "reproduces": None,
    "known_issues": ["Too few."],
}


@pytest.fixture(scope="module")
def card(tmp_path_factory) -> str:
    strata = {"fluorescence": 2, "brightfield": 2}
    return write(tmp_path_factory.mktemp("card"), DATASET, STUDY, strata)


@pytest.fixture(scope="module")
def odd_card(tmp_path_factory) -> str:
    dataset = dict.fromkeys(DATASET, ODD)
    study = STUDY | {"title": ODD, "question": ODD, "known_issues": [ODD]}
    return write(tmp_path_factory.mktemp("odd_card"), dataset, study, {ODD: 4})


def write(folder: Path, dataset: dict, study: dict, strata: dict) -> str:
    """Write a card of a study of masks; return it."""
    files = study_files.make(folder, instances=True)
    inputs_of(files, folder)
    info = folder / "model.json"
    facts = json.loads((files.models[0] / "model.json").read_text())
    facts |= {"fold": 0, "seed": 1, "device": {"name": "CPU", "dtype_policy": "float32"}}
    facts |= {"kept_epoch": 3, "epochs_run": 6, "parameters": 1234567, "architecture": "unet"}
    facts |= {"patch": [48, 48], "preprocessing": {"resize": None}}
    info.write_text(json.dumps(facts))
    split = folder / "split.json"
    row = {"fold": 0, "images": 4, "groups": 2}
    counts = [
        row | {"subset": "train", "strata": strata},
        row | {"subset": "test", "strata": {"fluorescence": 3, "histology": 1}},
    ]
    leak = {"groups": 1, "pairs": 2}
    split.write_text(
        json.dumps(
            {"method": "random", "seed": 3, "counts": counts, "leaking": True, "leaks": [leak]}
        )
    )
    output = folder / "README.md"
    model_card.write(info, folder / "metrics.json", split, dataset, study, output)
    return output.read_text()


def test_the_card_has_data_scores_and_baselines(card):
    assert card.startswith('---\nlicense: "cc0-1.0"\n')
    for text in ("Discs", "Drawn, 2024.", "1,234,567", "| train | 4 | 2 |", "IoU", "Otsu"):
        assert text in card
    rows = [line for line in card.splitlines() if line.startswith("| ")]
    heads = [line for line in card.splitlines() if line.startswith("| ---")]
    assert len(heads) == 3
    for head in heads:
        at = rows.index(head)
        assert rows[at + 1].count("|") == rows[at - 1].count("|") == head.count("|")


def test_the_card_warns(card):
    assert "1 group and 2 pairs of duplicates are in two subsets" in card
    assert "- Too few." in card
    assert "- Never tested on brightfield." in card
    assert "- Never trained on histology." in card
    assert "Evaluated on 4 groups only: too few for a 95 % CI." in card


def test_groups_are_those_of_the_scored_subset(card):
    (iou,) = [line for line in card.splitlines() if line.startswith("| IoU |")]
    assert iou.count("4 groups") == 2 and "images, 4 groups |" in iou


def test_the_card_is_about_classes(tmp_path):
    files = class_files.make(tmp_path)
    class_files.score(files, tmp_path)
    facts = json.loads((files.models[0] / "model.json").read_text())
    facts |= {"fold": 0, "seed": 1, "device": {"name": "CPU", "dtype_policy": "float32"}}
    facts |= {
        "epochs_run": 6,
        "parameters": 1234567,
        "architecture": "cnn",
        "head": "classification",
    }
    facts |= {"patch": [16, 16], "preprocessing": {"resize": [16, 16]}}
    (tmp_path / "model.json").write_text(json.dumps(facts))
    row = {"fold": 0, "images": 4, "groups": 2, "strata": {"a172": 2, "bv2": 2}}
    counts = [row | {"subset": "train"}, row | {"subset": "test", "strata": {"mcf7": 4}}]
    split = {"method": "grouped", "seed": 3, "counts": counts, "leaking": False, "leaks": []}
    (tmp_path / "split.json").write_text(json.dumps(split))
    arguments = (
        tmp_path / "model.json",
        tmp_path / "metrics.json",
        tmp_path / "split.json",
        {"title": "Lines", "licence": "CC0-1.0", "citation": ""},
        {
            "title": "A study",
            "question": "",
            "task": "classification",
            "reproduces": None,
            "known_issues": [],
        },
        tmp_path / "README.md",
    )
    model_card.write(*arguments)
    card = (tmp_path / "README.md").read_text()
    assert "tags: [microscopy, image-classification, coverslip]" in card
    assert "Of which class is an image?" in card
    assert "probabilities of a172, bv2, mcf7" in card
    assert "measure" not in card
    assert "- Never trained on mcf7." in card
    for words in ("| accuracy |", "| macro F1 |", "expected calibration error", "brightness alone"):
        assert words in card
    assert model_card.read_class_names(tmp_path) == {}
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    names = ["glia", "a|b <c>", "breast"]
    (tmp_path / "metrics.json").write_text(json.dumps(metrics | {"classes": names}))
    model_card.write(*arguments)
    assert model_card.read_class_names(tmp_path) == dict(zip(metrics["labels"], names, strict=True))


ODD = "a|b\n<img src=x onerror=alert(1)>: ["
PLAIN = r"a\|b &lt;img src=x onerror=alert(1)&gt;: ["


@pytest.mark.reliability(
    "D23",
    "titles, licences, citations and classes with line breaks, `|`, `: [` or HTML",
    "text in the model card; its front matter and tables stay whole",
)
def test_texts_are_no_markup(odd_card):
    front, *_ = odd_card.removeprefix("---\n").partition("\n---\n")
    assert yaml.safe_load(front)["license"] == ODD.lower()
    assert set(yaml.safe_load(front)) == {"license", "library_name", "tags"}
    assert "<img" not in odd_card.partition("\n---\n")[2]
    assert f"# {PLAIN}\n" in odd_card and f"- {PLAIN}\n" in odd_card
    assert f"{PLAIN}. Licence: {PLAIN}. {PLAIN}\n" in odd_card
    assert f"| train | 4 | 2 | 4 {PLAIN} |" in odd_card


def test_an_empty_cell_of_a_card_is_read_as_such(tmp_path):
    lines = ["# M", "", "## Evaluation", "", "On test images of one dish.", ""]
    lines += ["| metric | value | 95 % CI | groups |", "| --- | ---: | --- | ---: |"]
    lines += ["| F1 | 0.84 | | 19 |", "| a \\| b | 0.5 | 0.4 to 0.6 | 5 |", ""]
    (tmp_path / "README.md").write_text("\n".join(lines))
    found = model_card.read_evaluation(tmp_path)
    assert found["title"] == "M" and found["subset"] == "test"
    assert found["head"] == ["metric", "value", "95 % CI", "groups"]
    assert found["rows"][0] == ["F1", "0.84", "", "19"]
    assert found["rows"][1][1:] == ["0.5", "0.4 to 0.6", "5"]


def test_the_cards_of_shipped_models_begin_with_metrics():
    folders = sorted((Path(__file__).resolve().parents[3] / "resources/models").iterdir())
    cards = [folder / "README.md" for folder in folders]
    scored = [card.parent for card in cards if model_card.EVALUATED in card.read_text("utf-8")]
    assert len(scored) >= 2
    for folder in scored:
        found = model_card.read_evaluation(folder)
        assert found["subset"] and found["head"][:2] == ["metric", "value"], folder
        assert all(len(row) == len(found["head"]) for row in found["rows"]), folder
