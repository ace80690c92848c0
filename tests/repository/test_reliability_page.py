"""docs/reliability.md says what the tests show, and the tests cover every defect."""

import re

import reliability_inputs

WITHOUT = {31: "there is no defect of this number"}


def test_the_page_is_generated_from_the_tests():
    page = reliability_inputs.PAGE.read_text(encoding="utf-8")
    assert reliability_inputs.written(page) == page, "run `python benchmarks/reliability_inputs.py`"


def test_every_defect_has_a_test():
    rows = reliability_inputs.rows()
    numbers = {int(re.findall(r"\d+", row.kind)[0]) for row in rows if row.kind[0] == "D"}
    assert numbers | set(WITHOUT) == set(range(1, 34))
    assert len({row.given for row in rows}) == len(rows), "two rows of one input"


def test_rows_are_read_from_marks(tmp_path):
    text = """
import pytest

@pytest.mark.reliability("D2 b", "a | b", "one " "line")
@pytest.mark.reliability("D12", "c", "d")
@pytest.mark.reliability("run", "e", "f")
def test_x(): ...
"""
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests/test_one.py").write_text(text)
    assert reliability_inputs.rows(tmp_path / "tests") == [
        ("run", "e", "f", "tests/test_one.py::test_x"),
        ("D2 b", "a | b", "one line", "tests/test_one.py::test_x"),
        ("D12", "c", "d", "tests/test_one.py::test_x"),
    ]
