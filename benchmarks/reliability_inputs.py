"""Tables of docs/reliability.md, from the tests that show them: faults of a run, downloads, inputs.

A test that shows a row is marked with `pytest.mark.reliability(kind, given, then)`: `run`,
`download`, or the number of the defect that it was written for; the fault or input; the result.
Marks are read without importing the tests.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import NamedTuple

TESTS = Path(__file__).resolve().parents[1] / "tests"
PAGE = TESTS.parent / "docs/reliability.md"
MARK = "mark.reliability"
TABLES = {
    "run": ("disturbance", "result", "test"),
    "download": ("disturbance", "result", "test"),
    "inputs": ("no.", "input", "result", "test"),
}
"""Heads of the tables by the name of their place in the page."""


class Row(NamedTuple):
    """A row of a table."""

    kind: str
    """`run`, `download`, or D and the number of a defect."""
    given: str
    then: str
    test: str
    """Path of the file in the repository, `::`, and the test."""


def rows(folder: Path = TESTS) -> list[Row]:
    """Return the rows of all tests below a folder, by kind, and number of the defect."""
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
    if row.kind in TABLES:
        return 0, row.kind
    number = re.fullmatch(r"D(\d+) ?(\w?)", row.kind)
    assert number, f"{row.test}: the kind of a row is run, download, or D and a number"
    return int(number[1]), number[2]


def table(name: str) -> str:
    """Return one of the tables as Markdown."""
    head = TABLES[name]
    lines = [head, ("---",) * len(head)]
    for row in rows():
        if (row.kind if row.kind in TABLES else "inputs") == name:
            file, _, test = row.test.partition("::")
            texts = [text.replace("|", "\\|") for text in row[:3]]
            lines.append((*texts[4 - len(head) :], f"[{test}](../{file})"))
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def written(page: str) -> str:
    """Return the page with its tables as the tests have them now."""
    for name in TABLES:
        begin, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->\n"
        before, _, rest = page.partition(begin)
        page = before + begin + table(name) + end + rest.partition(end)[2]
    return page


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
