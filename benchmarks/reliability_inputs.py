"""The table of hostile and damaged inputs in docs/reliability.md, from the tests that show it.

A test that shows a row is marked with `pytest.mark.reliability(defect, given, then)`: the number of
the defect that it was written for, the input, and the result. Marks are read without importing the
tests.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import NamedTuple

TESTS = Path(__file__).resolve().parents[1] / "tests"
PAGE = TESTS.parent / "docs/reliability.md"
START, END = "<!-- inputs -->\n", "<!-- end of inputs -->\n"
MARK = "mark.reliability"
HEAD = ("no.", "input", "result", "test")


class Row(NamedTuple):
    """A row of the table."""

    defect: str
    given: str
    then: str
    test: str
    """Path of the file in the repository, `::`, and the test."""


def rows(folder: Path = TESTS) -> list[Row]:
    """Return the rows of all tests below a folder, by number of the defect."""
    found = []
    for path in sorted(folder.rglob("test_*.py")):
        text = path.read_text(encoding="utf-8")
        for node in ast.parse(text).body if MARK in text else ():
            for mark in node.decorator_list if isinstance(node, ast.FunctionDef) else ():
                if isinstance(mark, ast.Call) and ast.unparse(mark.func).endswith(MARK):
                    words = [ast.literal_eval(word) for word in mark.args]
                    name = path.relative_to(folder.parent).as_posix()
                    found.append(Row(*words, f"{name}::{node.name}"))
    return sorted(found, key=_order)


def _order(row: Row) -> tuple[int, str]:
    number = re.match(r"D(\d+) ?(\w?)", row.defect)
    assert number, f"{row.test}: the number of a defect is D and a number, not {row.defect}"
    return int(number[1]), number[2]


def table() -> str:
    """Return the table as Markdown."""
    lines = [HEAD, ("---",) * len(HEAD)]
    for row in rows():
        file, _, name = row.test.partition("::")
        texts = (text.replace("|", "\\|") for text in row[:3])
        lines.append((*texts, f"[{name}](../{file})"))
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def written(page: str) -> str:
    """Return the page with its table of inputs as the tests have it now."""
    start, end = page.index(START) + len(START), page.index(END)
    return page[:start] + table() + page[end:]


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
