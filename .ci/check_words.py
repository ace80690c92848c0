"""Check that texts use the words of the field; needs only git and the standard library.

    python .ci/check_words.py

It prints a line for each forbidden word: the file, the line and the better word, and then exits
with 1. Files that record old names or past results are not checked.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
WORDS = {
    r"pictures?": "image",
    r"told apart": "separated, instance segmentation",
    r"trivial answers?": "baseline",
    r"honest(?:ly)?": "grouped, held-out groups, leakage-free",
    r"anew": "again",
    r"by lot": "random",
    r"the mend": "the fix, the hint",
    r"learned by heart": "overfits",
    r"lines of cells": "cell lines",
    r"types of nuclei": "nucleus types",
    r"the Bowl": "DSB 2018 (BBBC038)",
}
PROSE = {
    r"told": "a noun, or: reported",
    r"tells": "is, contains, reports",
    r"stands for": "replaces, represents",
    r"once more": "again",
}
"""Not checked in tests, whose variables have such names."""
SKIPPED = re.compile(
    r"CHANGELOG\.md|LICENSE|docs/results[^/]*\.md|(?:.*/)?requirements[^/]*\.txt"
    r"|\.ci/check_words\.py|(?:.*/)?(?:test_)?old_format\.py"
)
NO_PROSE = re.compile(r"(?:tests|benchmarks)/.*|docs/reliability\.md|workflow/schemas/.*")


def matches(name: str, text: str) -> Iterator[str]:
    """Yield a line for each forbidden word of a text."""
    words = WORDS if NO_PROSE.fullmatch(name) else WORDS | PROSE
    # A phrase may continue on the next line, also in a comment.
    phrases = "|".join(rf"(\b{word}\b)" for word in words).replace(" ", r"[\s#]+")
    for match in re.finditer(phrases, text, re.I):
        line = text.count("\n", 0, match.start()) + 1
        better = list(words.values())[(match.lastindex or 1) - 1]
        yield f"{name}:{line}: {' '.join(match[0].split())!r}: write {better}"


def main() -> int:
    """Check all text files that git tracks; return the exit status."""
    command = ["git", "grep", "-I", "--name-only", "-z", "-e", ""]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    names = [name for name in listed.split("\0") if name and not SKIPPED.fullmatch(name)]
    lines = [hit for name in names for hit in matches(name, (ROOT / name).read_text("utf-8"))]
    print(*lines, sep="\n", end="\n" if lines else "")
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main())
