"""Checks of a release, and its notes; needs only the standard library.

    python .ci/release.py check v0.2.0     # version, changelog and citation agree with the tag
    python .ci/release.py notes v0.2.0     # the section of the changelog, for the release's page

`check` is run before tagging, and by `.github/workflows/release.yml` after it. It prints a line for
each thing that is wrong, and then exits with 1.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from datetime import date
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VERSION = r"\d+\.\d+\.\d+(?:(?:a|b|rc)\d+)?"


def problems(tag: str, root: Path = ROOT) -> Iterator[str]:
    """Yield a line for each thing that does not agree with a tag."""
    if not re.fullmatch(f"v{VERSION}", tag):
        yield f"{tag}: a tag is `v` and a version, as v0.2.0"
        return
    version = tag[1:]
    package = root / "workflow/scripts/coverslip/__init__.py"
    if (stated := first(r'^__version__ = "(.*)"', package)) != version:
        yield f"{package.relative_to(root)}: has version {stated}, the tag {version}"
    citation = root / "CITATION.cff"
    if (stated := first(r"^version: \"?([^\"\s]+)", citation)) != version:
        yield f"CITATION.cff: has version {stated}, the tag {version}"
    released = first(r"^date-released: \"?([^\"\s]+)", citation)
    changelog = root / "CHANGELOG.md"
    dated = first(rf"^## \[{re.escape(version)}\] - (\S+)", changelog)
    if dated is None:
        yield f"CHANGELOG.md: has no section `## [{version}] - YYYY-MM-DD`"
        return
    if not is_date(dated):
        yield f"CHANGELOG.md: {dated} is no date (YYYY-MM-DD)"
    if released != dated:
        yield f"CITATION.cff: date-released is {released}, that of the changelog {dated}"
    newest = first(rf"^## \[({VERSION})\]", changelog)
    if newest != version:
        yield f"CHANGELOG.md: the newest section is of {newest}, not of {version}"
    if not notes(tag, root):
        yield f"CHANGELOG.md: the section of {version} is empty"


def notes(tag: str, root: Path = ROOT) -> str:
    """Return the section of the changelog about a tag, without its heading."""
    text = (root / "CHANGELOG.md").read_text(encoding="utf-8")
    section = re.search(
        rf"^## \[{re.escape(tag.removeprefix('v'))}\].*?\n(.*?)(?=^## \[|^\[|\Z)",
        text,
        flags=re.MULTILINE | re.DOTALL,
    )
    return section[1].strip() if section else ""


def first(pattern: str, file: Path) -> str | None:
    """Return the first group of the first match in a file, if there is one."""
    match = re.search(pattern, file.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return match[1] if match else None


def is_date(text: str) -> bool:
    """Whether a text is a date."""
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


def main(arguments: list[str]) -> int:
    """Check a tag, or print its notes; return 1 where something is wrong."""
    match arguments:
        case ["check", tag]:
            found = list(problems(tag))
            print("\n".join(found) if found else f"{tag}: version, changelog and citation agree")
            return int(bool(found))
        case ["notes", tag]:
            print(text := notes(tag))
            return int(not text)
    print(__doc__, file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
