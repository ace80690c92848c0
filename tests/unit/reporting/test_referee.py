"""The page that compares tools, and its table."""

import re

import compared
import pandas as pd
import pytest

from coverslip.reporting.referee import COLUMNS, build, read_tool
from coverslip.reporting.results import collect


def write(folder, **changes):
    config = compared.results(folder, **changes)
    studies = collect(config, list(config["studies"]), root=folder)
    build(studies, {"report": "report.html"}, folder / "referee.html", folder / "referee.csv")
    return studies, (folder / "referee.html").read_text(), pd.read_csv(folder / "referee.csv")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return write(tmp_path_factory.mktemp("run"))


def verdict_of(text):
    return re.search(r'class="verdict">([^<]*)<', text)[1]


def test_the_best_tool_is_named_with_differences(made):
    _, text, table = made
    assert verdict_of(text).startswith("Tool good is best on these images")
    whole = table[(table["metric"] == "f1_50_pooled") & (table["by"] == "all")]
    assert list(table.columns) == list(COLUMNS) and list(whole["study"])[0] == "good"
    others = whole[whole["study"] != "good"]
    assert (others["difference_ci_high"] < 0).all()
    for name in others["title"]:
        assert f"{name} (+0." in verdict_of(text)
    assert 'href="report.html"' in text


def test_times_licences_and_training_data(made):
    studies, text, table = made
    good, weak, otsu = map(read_tool, studies)
    assert good.seconds_per_megapixel == 25 and good.peak_memory_mb == 1500
    assert weak.seconds_per_megapixel is None and weak.facts == {}
    megapixels = compared.IMAGES * compared.SHAPE[0] * compared.SHAPE[1] / 1e6
    assert otsu.seconds_per_megapixel == pytest.approx(2 / megapixels)
    seconds = table[table["metric"] == "seconds_per_megapixel"].set_index("study")["value"]
    assert seconds["good"] == 25 and "weak" not in seconds
    assert (
        "CPU, Xeon, 2 cores" in text
        and "Program 2.1" in text
        and "CC-BY-4.0" in text
        and "1.5 GB" in text
    )
    leaks = re.search(r"may be among their training images: ([^<]*)\.<", text)[1]
    assert leaks == "Tool good; Tool weak"


def test_with_few_groups_there_is_no_verdict(tmp_path):
    _, text, table = write(tmp_path, groups=3)
    assert "on 3 plates only: too few" in verdict_of(text)
    assert table["difference_ci_low"].isna().all()


def test_equal_tools_have_no_difference(made, tmp_path, monkeypatch):
    monkeypatch.setitem(compared.CHANGES, "weak", compared.CHANGES["good"])
    _, text, _ = write(tmp_path)
    assert "but no difference was found to Tool weak (0.000" in verdict_of(text)
    assert "It is better than Tool otsu (+0." in verdict_of(text)


def test_other_test_images_are_not_compared(tmp_path):
    _, text, table = write(tmp_path, only={"otsu": [0, 1, 2]})
    assert "have the same" not in verdict_of(text)
    assert "no other study has the same test images: Tool otsu." in text
    assert set(table["study"]) == {"good", "weak"}


def test_nothing_to_compare_says_so(tmp_path):
    _, text, table = write(tmp_path, only={"otsu": [0, 1], "weak": [2, 3]})
    assert "No two studies have the same test images" in text and table.empty
