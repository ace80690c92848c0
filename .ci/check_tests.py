"""Check the layout of the tests: a mirror of the package, short names, no imports between tests.

A file of unit tests is `tests/unit/<room>/test_<module>.py`; where one file would be too long, or
tests share costly files, it is `test_<module>_<aspect>.py`.
"""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

PACKAGE = ROOT / "workflow/scripts/coverslip"

LONGEST_NAME = 60
"""Characters of the name of a test."""

OF_NO_MODULE = {"test_fuzz.py", "test_full_disk.py"}
"""Tests of several rooms at once."""


def mistakes(tests: Path = ROOT / "tests") -> Iterator[str]:
    """Yield a line for each mistake."""
    for file in sorted(tests.rglob("*.py")):
        where = file.relative_to(tests.parent)
        tree = ast.parse(file.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            line = f"{where}:{getattr(node, 'lineno', 0)}"
            if isinstance(node, ast.FunctionDef) and len(node.name) > LONGEST_NAME:
                yield f"{line}: {node.name} has {len(node.name)} characters, at most {LONGEST_NAME}"
            for name in _imported(node):
                if name.startswith("test_"):
                    yield f"{line}: imports {name}: move what they share to a module of factories"
        room = file.parent.relative_to(tests / "unit") if tests / "unit" in file.parents else None
        unit = room is not None and file.name.startswith("test_")
        if unit and file.name not in OF_NO_MODULE and not _mirrors(PACKAGE / room, file.stem):
            yield f"{where}: no module of {PACKAGE.name}/{room} has this name"


def _imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.ImportFrom):
        return [node.module or ""]
    return [alias.name for alias in node.names] if isinstance(node, ast.Import) else []


def _mirrors(room: Path, test: str) -> bool:
    words = test.split("_")[1:]
    names = ("_".join(words[:count]) for count in range(1, len(words) + 1))
    return any((room / f"{name}.py").is_file() or (room / name).is_dir() for name in names)


if __name__ == "__main__":
    found = list(mistakes())
    print("\n".join(found), end="\n" if found else "", file=sys.stderr)
    sys.exit(bool(found))
