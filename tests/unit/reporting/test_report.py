"""The report: what it says, what it refuses, and that it stands by itself."""

import base64
import hashlib
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

from coverslip.config.tasks import kind_of_result
from coverslip.errors import CoverslipError
from coverslip.reporting import captions, pages, report, results, tables

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
        if not self.open or self.open[-1] not in ("style", "script"):
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
    assert len(page.of("script")) == 1 and "src" not in page.of("script")[0]
    assert not page.of("iframe")
    sources = [image["src"] for image in page.of("img")]
    assert len(sources) == 4 * len(made_up.FIGURES)
    assert all(source.startswith("data:image/") for source in sources)
    assert [link["href"] for link in page.of("link")] == ["data:,"]
    assert "@import" not in output.read_text() and "url(" not in output.read_text()
    (policy,) = [m["content"] for m in page.of("meta") if "http-equiv" in m]
    script = re.search("<script>(.*?)</script>", output.read_text(), re.S)[1]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert "default-src 'none'" in policy and f"script-src 'sha256-{digest}'" in policy


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


def test_images_have_alt_texts_with_study_and_figure(page):
    alts = [image["alt"] for image in page.of("img")]
    assert len(set(alts)) == len(alts)
    assert "Learning curves, U-Net at native size" in " ".join(alts)


def test_each_study_has_a_card(page):
    cards = page.text[page.text.index("min of training") : page.text.index("Published, reproduced")]
    assert "0.86 IoU best baseline 0.69 (Otsu's threshold)" in cards
    assert cards.count("21 groups") == 4
    assert "2 Mar 2026, 09:26 UTC · coverslip" in page.text


def test_numbers_of_cards_lead_to_figure_and_definition(page):
    ids = {tag.get("id") for _, tag in page.tags}
    numbers = page.of("a")
    cards = [tag["href"][1:] for tag in numbers if tag.get("class") == "plain"]
    assert any(each.startswith("figure-") for each in cards) and set(cards) <= ids


def test_measured_test_images_are_linked(studies, tmp_path):
    facts = {"measured": tmp_path / "measure/a b/measure.html"}
    report.build(studies, facts, tmp_path / "report.html")
    page = Page((tmp_path / "report.html").read_text(encoding="utf-8"))
    assert [a["href"] for a in page.of("a")].count("measure/a%20b/measure.html") == 3


def test_the_table_has_what_was_published(page):
    text = page.text
    assert "Pixel accuracy, validation images 0.9675 0.9728 0.96 to 0.98 0.94 Otsu" in text
    assert "Accuracy against blank labels 0.866 0.866 0.85 to 0.92 – –" in text


def test_reproductions_are_folded_with_their_issues(page, studies):
    folded = [a["id"] for tag, a in page.tags if tag == "details" and "id" in a]
    assert sorted(folded) == sorted(f"study-{s.name}" for s in studies if s.is_reproduction)
    assert len([a for _, a in page.tags if a.get("class") == "issues"]) == len(folded) == 2
    assert all(issue in page.text for study in studies for issue in study.issues)


def test_numbers_have_definitions_and_captions_values(page):
    for name in ("pixel_accuracy", "iou", "accuracy_blank_labels"):
        assert made_up.DEFINITIONS[name] in page.text
    assert "IoU on test images: 0.86 (95 % CI" in page.text
    assert "9\u202f081\u202f757 pixels of test images" in page.text


def test_leakage_is_red(page):
    bad = [a for tag, a in page.tags if tag == "dd" and a.get("class") == "bad"]
    assert len(bad) == 3
    assert "44 groups and 23 pairs of duplicates are in two subsets" in page.text
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
        record |= {"ci_low": None, "ci_high": None, "baselines": {"otsu": None}, "support": None}
    metrics["examples"] = {}
    metrics["confusion"] = {}
    path = tmp_path / "metrics.json"
    path.write_text(json.dumps(metrics))
    report.build([replace(study, metrics=path, runs=())], {}, tmp_path / "report.html")
    text = Page((tmp_path / "report.html").read_text()).text
    assert "IoU 0.861 – – – 21 groups" in text
    assert "No run was recorded." in text
    assert "None" not in text.replace("clahe_clip", "") and "nan" not in text.lower().split()


def test_text_of_the_config_cannot_become_markup(studies, tmp_path):
    study = replace(studies[-1], study={**studies[-1].study, "title": "<script>alert(1)</script>"})
    report.build([study], {"title": "a < b & c"}, tmp_path / "report.html")
    html = (tmp_path / "report.html").read_text()
    assert "<script>alert" not in html and "a &lt; b &amp; c" in html


def test_a_missing_or_broken_input_is_named(studies, tmp_path):
    broken = tmp_path / "split.json"
    with pytest.raises(CoverslipError, match="split.json: missing"):
        report.build([replace(studies[0], split=broken)], {}, tmp_path / "report.html")
    broken.write_text("{")
    with pytest.raises(CoverslipError, match="split.json: not JSON"):
        report.build([replace(studies[0], split=broken)], {}, tmp_path / "report.html")
    broken.write_text('{"format": 7, "metrics": []}')
    with pytest.raises(CoverslipError, match="not metrics of format 2"):
        report.build([replace(studies[0], metrics=broken)], {}, tmp_path / "report.html")
    with pytest.raises(CoverslipError, match="no study"):
        report.build([], {}, tmp_path / "report.html")
    assert not list(tmp_path.glob("report.html*"))


def test_a_page_that_is_too_large_is_refused(studies, tmp_path, monkeypatch):
    monkeypatch.setattr(report, "PAGE_BYTES", 50_000)
    with pytest.raises(CoverslipError, match="fewer studies|too many"):
        report.build(studies, {}, tmp_path / "report.html")


def test_only_large_images_are_made_smaller(tmp_path):
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
        ("a.svg", b"<html></html>", "not an SVG"),
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


def test_snakemakes_report_names_questions_and_data():
    class Workflow:
        config = made_up.config()

    text = (report.TEMPLATES / "workflow.rst").read_text(encoding="utf-8")
    environment = Environment(trim_blocks=True, lstrip_blocks=True)
    filled = environment.from_string(text).render(snakemake=Workflow, categories={}, files={})
    html = publish_parts(filled, writer=Writer(), settings_overrides={"halt_level": 2})
    body = html["html_body"]
    assert "Which pixels belong to a nucleus?" in body and ".;" not in body
    assert "CC0-1.0" in body and "All background already scores" in body


def test_a_figure_without_a_caption_is_called_by_its_name(tmp_path):
    numbers = captions.Numbers({"metrics": []})
    assert captions.caption("own_figure", "s", numbers, tmp_path)[0] == "Own figure"


def test_results_are_in_the_column_of_their_split(studies):
    metrics = {s.name: made_up.metrics(s.name, s.is_reproduction) for s in studies}
    lines = results.comparisons(studies, metrics)
    (iou,) = [line for line in lines if line.first.published == 0.8531]
    assert {kind: line.study.name for kind, line in iou.by_kind.items()} == {
        "random": "nuclei-random",
        "grouped": "nuclei-grouped",
    }
    assert iou.published == "0.8531 (other protocol)" and iou.cell("reproduced") == "–"
    for line in lines:
        for kind, of_kind in line.by_kind.items():
            assert of_kind.study.kind_key == kind
    reproduced = [line for line in lines if "reproduced" in line.by_kind]
    assert reproduced and all("other protocol" not in line.published for line in reproduced)
    assert {line.first.study.name for line in reproduced} >= {"nuclei-mobilenet-reproduced"}


@pytest.mark.parametrize(
    ("split", "group_by", "kind"),
    [
        ({"method": "random"}, "acquisition", "random"),
        ({"method": "train_test_split"}, "acquisition", "random"),
        ({"method": "grouped", "unit": "patch"}, "acquisition", "random"),
        ({"method": "grouped"}, "image", "random"),
        ({"method": "grouped"}, "acquisition", "grouped"),
        ({"method": "official"}, "metadata", "grouped"),
    ],
)
def test_the_kind_of_a_result_is_read_from_the_split(split, group_by, kind):
    assert kind_of_result({"reproduces": None, "split": split}, group_by) == kind
    assert kind_of_result({"reproduces": "Study 2", "split": split}, group_by) == "reproduced"


def few_groups(values, unit="fraction", **more):
    record = made_up.record("iou", "test", 0.86) | {"groups": len(values), "unit": unit}
    return record | {"group_values": values, "group_unit": "plate"} | more


def test_below_five_groups_values_are_printed():
    record = few_groups([0.8293, 0.8692, 0.8949])
    assert results.limits(record) is None
    assert results.interval_text(record) == "3 plates: 0.83, 0.87, 0.89"
    assert results.uncertainty(record) == " (3 plates: 0.83, 0.87, 0.89)"
    assert "to" not in results.difference_text(record)
    assert results.interval_text(record | {"group_values": None}) == "3 plates, too few for a CI"
    four = results.interval_text(few_groups([0.8, 0.81, 0.82, 0.9]))
    assert four == "4 plates: 0.80, 0.81, 0.82, 0.90"
    assert results.interval_text(made_up.record("iou", "test", 0.86)) == "0.85 to 0.92"


def test_an_interval_without_width_is_none():
    assert results.limits({"ci_low": 1.0, "ci_high": 1.0, "groups": 30}) is None


@pytest.mark.parametrize(
    ("low", "high", "text"),
    [
        (0.728, 0.814, "0.78"),
        (0.7712, 0.7791, "0.775"),
        (0.1, 0.9, "0.78"),
        (None, None, "0.775"),
    ],
)
def test_a_value_has_the_digits_that_its_interval_supports(low, high, text):
    value = 0.7752
    assert (
        results.value_text({"value": value, "ci_low": low, "ci_high": high, "unit": "fraction"})
        == text
    )


def test_units_are_printed():
    record = {
        "value": 2.04,
        "ci_low": 1.6,
        "ci_high": 5.1,
        "unit": "percentage points",
        "groups": 9,
    }
    assert results.value_text(record) == "2.0\u00a0pp"
    assert results.interval_text(record) == "1.6 to 5.1"


def test_the_best_baseline_is_the_lowest_of_errors():
    baselines = {"all background": 40.0, "otsu": 9.0}
    record = {"value": 3.0, "ci_low": 2.0, "ci_high": 4.0, "baselines": baselines, "groups": 9}
    record |= {"difference_to_baseline": {"otsu": {"value": -6.0, "ci_low": -7.5, "ci_high": -5.0}}}
    record |= {"unit": "percentage points", "name": "confluency_rmse"}
    assert results.best_baseline(record) == "otsu" and results.judge(record) == "better"
    assert results.difference_text(record) == "−6.0\u00a0pp (−7.5 to −5.0)"
    assert results.best_baseline(record | {"name": "iou"}) == "all background"
    assert results.best_baseline(record | {"name": "confluency_bias"}) is None


@pytest.mark.parametrize(
    ("low", "high", "groups", "verdict"),
    [(0.01, 0.2, 9, "better"), (-0.01, 0.2, 9, "unclear"), (-0.2, -0.1, 9, "worse")]
    + [(0.01, 0.2, 4, "few"), (None, None, 9, "unclear")],
)
def test_a_verdict_needs_an_interval_without_zero(low, high, groups, verdict):
    record = made_up.record("iou", "test", 0.86) | {"groups": groups}
    record["difference_to_baseline"]["otsu"] |= {"ci_low": low, "ci_high": high}
    assert results.judge(record) == verdict
    lower_is_better = record | {"name": "log_loss", "baselines": {"otsu": 0.7}}
    opposite = {"better": "worse", "worse": "better"}
    assert results.judge(lower_is_better) == opposite.get(verdict, verdict)
    assert results.judge(record | {"baselines": {}}) is None


def test_the_first_sentence_names_models_without_a_ci(studies):
    metrics = made_up.metrics("nuclei-grouped", False)
    few = {"metrics": [made_up.record("iou", "test", 0.9) | {"groups": 3}]}
    good, open_ = results.key_result(studies[-1], metrics), results.key_result(studies[2], few)
    text = report._verdict([good, open_])
    assert str(studies[2].study["title"]) in text and "too few groups" in text
    assert str(studies[-1].study["title"]) not in text
    assert "too few" not in report._verdict([good]) and report._verdict([]) == ""


def test_temperature_scaling_that_made_it_worse_is_named():
    records = [
        made_up.record("iou", "test", value) | {"name": name}
        for name, value in (("ece", 0.1547), ("ece_uncalibrated", 0.1147))
    ]
    text = captions.caption(
        "reliability", "s", captions.Numbers({"metrics": records}), report.TEMPLATES
    )[1]
    assert "0.11</strong>" in text and "without and" in text and "made it worse" in text


def test_a_study_of_confluency_has_its_error_first(studies):
    metrics = results.read_metrics(studies[-1].metrics)
    metrics["metrics"].append(made_up.record("iou", "test", 0.8) | {"name": "confluency_rmse"})
    for task, first in (("confluency", "confluency_rmse"), ("segmentation", "iou")):
        study = replace(studies[-1], study=dict(studies[-1].study) | {"task": task})
        assert results.key_result(study, metrics).metric == first


def test_bands_of_confluency_are_named():
    words = "confluency MAE, images of 25 to 50 %"
    assert results.label("confluency_mae_25_50") == words


def test_metrics_that_are_shown_are_not_repeated(studies):
    metrics = results.read_metrics(studies[0].metrics)
    others, *_ = tables.score_tables(metrics, ["iou", "unheard of"])
    assert others["summary"] == "All other metrics on test images"
    assert "IoU" not in [line["label"] for line in others["lines"]]


def test_a_class_by_class_metric_is_told_of_the_foreground():
    metrics = made_up.metrics("nuclei-grouped", False)
    assert results.find(metrics, "precision", "test")["class"] == "nucleus"
    assert results.find(metrics, "iou", "test")["run"] == "all"
    assert results.find(metrics, "unheard_of", "test") is None


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.96751, "fraction", "0.968"),
        (-0.0001, "fraction", "0.000"),
        (None, "fraction", "–"),
        (float("nan"), "fraction", "–"),
        (29461, "count", "29\u202f461"),
        (4.31712, "objects per image", "4.3"),
        (-0.25, "objects per image", "−0.2"),
        (1234.5, "pixels", "1\u202f234.5"),
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
    assert labels[2] == "Fold 0, training" and labels[-1] == "Leakage, fold 1"


def test_classes_have_their_names_and_not_their_labels():
    report_of_data = {"images": 4, "classes": {"1": 3, "0": 1}}
    facts = tables.data_facts(report_of_data, {"0": "epithelium", "1": "cancer"})
    assert "cancer: 3, epithelium: 1" in [fact.text for fact in facts]


def test_each_figure_that_is_named_has_a_caption():
    written = {path.stem for path in (made_up.ROOT / "workflow/report").glob("*.rst")}
    assert {*report.SHOWN, *(n for names in report.FIGURES.values() for n in names)} <= written
