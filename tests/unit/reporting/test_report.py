"""The report: what it says, what it refuses, and that it stands by itself."""

import base64
import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import cv2
import made_up
import numpy as np
import pytest
from docutils.core import publish_parts
from docutils.writers.html5_polyglot import Writer
from jinja2 import Environment

from coverslip.errors import CoverslipError
from coverslip.reporting import captions, pages, report, results, tables, text

EMPTY = ("area", "br", "col", "hr", "img", "input", "link", "meta")


class Page(HTMLParser):
    """Tags with their attributes, text, and whether each tag that opens also closes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in EMPTY:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, f"</{tag}> closes another tag"

    def handle_data(self, data):
        if not self.open or self.open[-1] != "style":
            self.words.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"[ \n]+", " ", " ".join(self.words))

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture(scope="module")
def studies(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    config, figures = made_up.results(folder)
    return results.collect(config, list(config["studies"]), figures, folder)


@pytest.fixture(scope="module")
def output(studies):
    path = studies[0].metrics.parents[2] / "report.html"
    report.build(studies, {"command": "snakemake --cores all"}, path)
    return path


@pytest.fixture(scope="module")
def page(output):
    parsed = Page(output.read_text(encoding="utf-8"))
    assert parsed.open == []
    return parsed


def test_the_page_needs_nothing_from_outside(output, page):
    assert output.stat().st_size < 2_000_000
    assert not page.of("script") and not page.of("iframe")
    sources = [image["src"] for image in page.of("img")]
    assert len(sources) == 4 * len(made_up.FIGURES)
    assert all(source.startswith("data:image/") for source in sources)
    assert [link["href"] for link in page.of("link")] == ["data:,"]
    assert "@import" not in output.read_text() and "url(" not in output.read_text()
    (policy,) = [m["content"] for m in page.of("meta") if "http-equiv" in m]
    assert "default-src 'none'" in policy


def test_every_link_leads_somewhere(output, page):
    ids = {attributes.get("id") for _, attributes in page.tags}
    links = [link["href"] for link in page.of("a")]
    assert all(link[1:] in ids for link in links if link.startswith("#"))
    files = [link for link in links if not link.startswith("#")]
    assert "studies/nuclei-grouped/notebook.html" in files
    assert all((output.parent / link).is_file() for link in files)


def test_ids_are_unique_and_headings_descend_in_steps(page):
    ids = [a["id"] for _, a in page.tags if "id" in a]
    assert len(ids) == len(set(ids))
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(b - a <= 1 for a, b in zip(levels, levels[1:], strict=False))


def test_images_have_alt_texts_that_tell_study_and_figure(page):
    alts = [image["alt"] for image in page.of("img")]
    assert len(set(alts)) == len(alts)
    assert "Learning curves of the study Honest: U-Net at native size" in " ".join(alts)


def test_the_first_table_pairs_published_repeated_and_honest(page):
    text = page.text
    line = (
        "Pixel accuracy 0.9675 on validation 0.9728 on validation 0.9712 on test 0.9566 to 0.9827"
    )
    assert line + " 0.9402 Otsu's threshold" in text
    blank = "Accuracy against blank labels 0.8660 on test 0.8655 on test – 0.8525 to 0.9193"
    assert blank in text


def test_flaws_stand_in_red_in_their_study_only(page, studies):
    flawed = [a for _, a in page.tags if a.get("class") == "known_issues"]
    assert len(flawed) == 2
    assert page.text.count("What to keep in mind:") == 1  # of an honest study
    assert all(flaw in page.text for study in studies for flaw in study.study["known_issues"])


def test_each_number_has_its_definition_and_captions_their_values(page):
    for definition in made_up.DEFINITIONS.values():
        assert definition in page.text
    assert "Over all of them, IoU on the test images is 0.8612 (95 % interval" in page.text
    assert "9\u202f081\u202f757 pixels of test images" in page.text
    assert "Best: 0a7d30b2" in page.text and "Worst: b1eb0123b1eb…" in page.text.replace(" …", "…")


def test_leaks_are_told_in_red(page):
    bad = [a for tag, a in page.tags if tag == "dd" and a.get("class") == "bad"]
    assert len(bad) == 3
    assert "44 groups and 23 pairs of duplicates stand in two subsets" in page.text
    assert "none: no group and no pair of duplicates" in page.text


def test_the_engineer_finds_machine_time_versions_and_code(page):
    assert "CPU, Intel Xeon Platinum, 2 cores" in page.text
    assert "12.2 minutes" in page.text
    assert "5f1b20c9a7e4d310" in page.text and "keras 3.15.0" in page.text
    assert "training.augmentation.flip" in page.text


def test_building_twice_gives_the_same_bytes(studies, output, tmp_path):
    again = output.with_name("again.html")
    report.build(studies, {"command": "snakemake --cores all"}, again)
    assert again.read_bytes() == output.read_bytes()
    again.unlink()


def test_what_is_absent_is_a_dash(studies, tmp_path):
    study = studies[-1]
    metrics = json.loads(study.metrics.read_text())
    for record in metrics["metrics"]:
        record |= {"low": None, "high": None, "baselines": {"otsu": None}, "support": None}
    metrics["examples"] = {}
    metrics["confusion"] = {}
    path = tmp_path / "metrics.json"
    path.write_text(json.dumps(metrics))
    report.build([replace(study, metrics=path, runs=())], {}, tmp_path / "report.html")
    text = Page((tmp_path / "report.html").read_text()).text
    assert "IoU – – 0.8612 on test – –" in text
    assert "No record of a run was kept." in text
    assert "None" not in text.replace("clahe_clip", "") and "nan" not in text.lower().split()


def test_text_of_the_config_cannot_become_markup(studies, tmp_path):
    study = replace(studies[-1], study={**studies[-1].study, "title": "<script>alert(1)</script>"})
    report.build([study], {"title": "a < b & c"}, tmp_path / "report.html")
    html = (tmp_path / "report.html").read_text()
    assert "<script>" not in html and "a &lt; b &amp; c" in html


def test_a_missing_or_broken_input_is_named(studies, tmp_path):
    broken = tmp_path / "split.json"
    with pytest.raises(CoverslipError, match="split.json: missing"):
        report.build([replace(studies[0], split=broken)], {}, tmp_path / "report.html")
    broken.write_text("{")
    with pytest.raises(CoverslipError, match="split.json: not JSON"):
        report.build([replace(studies[0], split=broken)], {}, tmp_path / "report.html")
    broken.write_text('{"format": 2, "metrics": []}')
    with pytest.raises(CoverslipError, match="not metrics of format 1"):
        report.build([replace(studies[0], metrics=broken)], {}, tmp_path / "report.html")
    with pytest.raises(CoverslipError, match="no study"):
        report.build([], {}, tmp_path / "report.html")
    assert not list(tmp_path.glob("report.html*"))


def test_a_page_that_is_too_large_is_refused(studies, tmp_path, monkeypatch):
    monkeypatch.setattr(report, "PAGE_BYTES", 50_000)
    with pytest.raises(CoverslipError, match="fewer studies|too many"):
        report.build(studies, {}, tmp_path / "report.html")


def test_a_large_image_is_made_smaller_and_a_small_one_left_alone(tmp_path):
    noise = np.random.default_rng(1).integers(0, 255, (500, 700, 3), np.uint8)
    path = tmp_path / "noise.png"
    cv2.imwrite(str(path), noise)
    assert path.stat().st_size > 300_000
    shown = pages.embed_image(path, 100_000)
    assert shown.size <= 100_000 and shown.source.startswith("data:image/jpeg;base64,")
    data = np.frombuffer(base64.b64decode(shown.source.split(",")[1]), np.uint8)
    small = cv2.imdecode(data, cv2.IMREAD_COLOR)
    assert small.shape[1] / small.shape[0] == pytest.approx(1.4, abs=0.02)
    whole = pages.embed_image(path, 10_000_000)
    assert base64.b64decode(whole.source.split(",")[1]) == path.read_bytes()
    assert (whole.width, whole.height) == (700, 500)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.pdf", b"%PDF", "draw it as"),
        ("a.png", b"not a png", "cannot be decoded"),
        ("a.svg", b"<html></html>", "holds no SVG"),
        ("a.svg", b'<svg viewBox="0 0 2 1">' + b" " * 2000 + b"</svg>", "as png"),
    ],
)
def test_what_is_no_image_is_named(tmp_path, name, content, message):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(CoverslipError, match=message):
        pages.embed_image(path, 1000)
    with pytest.raises(CoverslipError, match="missing"):
        pages.embed_image(tmp_path / "absent.png", 1000)


@pytest.mark.parametrize("name", [*made_up.FIGURES, "notebook"])
def test_captions_serve_snakemake_too_which_knows_no_numbers(name):
    class Job:
        wildcards = {"study": "nuclei"}
        params: dict = {}

    text = (report.TEMPLATES / f"{name}.rst").read_text(encoding="utf-8")
    environment = Environment(trim_blocks=True, lstrip_blocks=True)
    filled = environment.from_string(text).render(snakemake=Job(), categories={}, files={})
    html = publish_parts(filled, writer=Writer(), settings_overrides={"halt_level": 2})["body"]
    assert html.startswith("<p><strong>") and "{" not in html


def test_the_front_page_of_snakemakes_report_names_questions_and_data():
    class Workflow:
        config = made_up.config()

    text = (report.TEMPLATES / "workflow.rst").read_text(encoding="utf-8")
    environment = Environment(trim_blocks=True, lstrip_blocks=True)
    filled = environment.from_string(text).render(snakemake=Workflow, categories={}, files={})
    html = publish_parts(filled, writer=Writer(), settings_overrides={"halt_level": 2})
    body = html["html_body"]
    assert body.count("<dt>") == 5 and "Which pixels belong to a nucleus?" in body
    assert "CC0-1.0" in body and "All background already scores" in body


def test_a_figure_without_a_caption_is_called_by_its_name(tmp_path):
    numbers = captions.Numbers({"metrics": []})
    assert captions.caption("own_figure", "s", numbers, tmp_path)[0] == "Own figure"


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [
        (0.01, 0.05, "0.0300 better than that of Otsu's threshold, and the 95 % interval"),
        (0.01, 0.05, "+0.0100 to +0.0500, lies on that side as a whole."),
        (-0.01, 0.07, "but with other images it might be otherwise: the 95 % interval"),
        (-0.01, 0.07, "−0.0100 to +0.0700, holds 0."),
        (None, None, "with images of one group alone, there is no interval to tell by."),
    ],
)
def test_a_verdict_is_told_by_the_paired_difference(low, high, said):
    record = made_up.record("iou", "test", 0.70)
    record["gains"] = {"otsu": {"value": 0.03, "low": low, "high": high}}
    row = results.Row("a", "A", None, None, "iou", None, "test", None, None, record)
    assert said in text.reading(row, "a", "grouped")


def test_the_best_trivial_answer_is_the_lowest_of_errors():
    known = {"all background": 40.0, "otsu": 9.0}
    assert text.best_baseline("confluency_rmse", known) == "otsu"
    assert text.best_baseline("iou", known) == "all background"
    assert text.best_baseline("confluency_bias", known) is None
    record = {"value": 3.0, "low": 2.0, "high": 4.0, "baselines": known, "subset": "test"}
    gains = {"otsu": {"value": -6.0, "low": -7.5, "high": -5.0}}
    record |= {"gains": gains, "unit": "percentage points"}
    row = results.Row("a", "A", None, None, "confluency_rmse", None, "test", None, None, record)
    told = text.reading(row, "a", "grouped")
    assert "is 6 percentage points better than that of Otsu's threshold, and" in told
    assert "worse" in text.compared("iou", {"value": -0.1, "low": None, "high": None}, None)
    same = {"value": 0.0, "low": 0.0, "high": 0.0}
    assert text.compared("iou", same, "share", "Otsu") == "the same as that of Otsu."


def test_a_study_of_confluency_is_told_by_its_error_first(studies):
    metrics = {study.name: results.read_metrics(study.metrics) for study in studies}
    records = metrics["nuclei-grouped"]["metrics"]
    records.append(made_up.record("iou", "test", 0.8) | {"name": "confluency_rmse"})
    for task, first in (("confluency", "confluency_rmse"), ("segmentation", "pixel_accuracy")):
        told = [replace(study, study=dict(study.study) | {"task": task}) for study in studies]
        assert results.rows(told, metrics)[0].metric == first


def test_bands_of_confluency_are_named():
    words = "confluency, mean error, images of 25 to 50 %"
    assert results.label("confluency_mae_25_50") == words


def test_the_main_scores_stand_before_all_others(studies):
    metrics = results.read_metrics(studies[0].metrics)
    first, others, *_ = tables.score_tables(metrics, ["iou", "unheard of"])
    assert [line["label"] for line in first["lines"]] == ["IoU"]
    assert first["summary"] == "Scores on test images"
    assert others["summary"] == "All other scores on test images"
    assert "IoU" not in [line["label"] for line in others["lines"]]


def test_an_honest_study_stands_beside_one_as_published_whichever_names_the_other(studies):
    found = [(a and a.name, b and b.name) for a, b in results.pairs(studies)]
    assert found == [
        ("nuclei-mobilenet-reproduced", "nuclei-grouped"),
        ("nuclei-semantic-reproduced", "nuclei-grouped"),
        (None, "nuclei-random"),
    ]
    first, honest = studies[0], studies[-1]
    first = replace(first, study={**first.study, "beside": None})
    honest = replace(honest, study={**honest.study, "beside": first.name})
    assert results.pairs([first, honest]) == [(first, honest)]
    assert results.pairs([studies[0]]) == [(studies[0], None)]


def test_a_class_by_class_metric_is_told_of_the_foreground():
    metrics = made_up.metrics("nuclei-grouped", False)
    assert results.find(metrics, "precision", "test")["class"] == "nucleus"
    assert results.find(metrics, "iou", "test")["run"] == "all"
    assert results.find(metrics, "unheard_of", "test") is None


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.96751, "share", "0.9675"),
        (1.0, "share", "1.0000"),
        (None, "share", "–"),
        (float("nan"), "share", "–"),
        (29461, "count", "29\u202f461"),
        (4.31712, "objects per image", "4.317"),
        (-0.25, "objects per image", "−0.25"),
        (1234.5, "pixels", "1\u202f234"),
        (0, "count", "0"),
    ],
)
def test_numbers_for_reading(value, unit, text):
    assert results.number(value, unit) == text


def test_several_folds_are_told_one_by_one():
    split = made_up.split_summary("grouped")
    split |= {"folds": 2, "counts": [c | {"fold": f} for f in (0, 1) for c in split["counts"]]}
    split["leaks"] = split["leaks"] * 2
    labels = [fact.label for fact in tables.split_facts(split)]
    assert labels[2] == "Fold 0, training" and labels[-1] == "Leaks, fold 1"


def test_every_figure_has_its_place_on_the_page():
    captions = {path.stem for path in (made_up.ROOT / "workflow/report").glob("*.rst")}
    assert captions - {"notebook", "workflow"} == set(report.ORDER)
