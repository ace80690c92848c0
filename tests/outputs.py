"""docs/output.md held against what a run wrote: files, columns of tables, keys of JSON, metrics.

The page is read as a user reads it: tables of files; below headings with a file's name, optionally
`of` a kind of study, tables of columns, keys or metrics. `<name>` stands for any text without a
slash, `**` for any folders; a key stands for all below it that is not told of by itself.
"""

import csv
import functools
import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from running import ROOT

PAGE = ROOT / "docs/output.md"
IGNORED = {".snakemake_timestamp"}
HEADING = re.compile(r"^### `(?P<file>[^`]+)`(?: of (?P<kind>.+))?$")
CODE = re.compile(r"`([^`]+)`")


class Entry(NamedTuple):
    """A file, column, key or metric of the page."""

    what: str
    """`file`, `column`, `key` or `metric`."""
    file: str
    """Pattern of the file."""
    name: str
    """Pattern of the column, key or metric; of a file the same as `file`."""
    kinds: frozenset[str]
    """Kinds of studies that have it; empty for all."""


@functools.cache
def entries(page: Path = PAGE) -> tuple[Entry, ...]:
    """All entries of the page."""
    found: list[Entry] = []
    file, kinds, head = "", frozenset[str](), [""]
    for line in page.read_text(encoding="utf-8").splitlines():
        if line.startswith("#"):
            heading = HEADING.match(line)
            file = heading["file"] if heading else ""
            kinds = _kinds(heading["kind"] or "") if heading else frozenset()
        if not line.startswith("| "):
            head = [""]
            continue
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if head == [""]:
            head = cells
        elif not line.startswith("| ---"):
            own = _kinds(cells[head.index("of")]) if "of" in head else kinds
            for name in CODE.findall(cells[0]):
                known = {"file": name, "metric": METRICS}.get(head[0], file)
                found.append(Entry(head[0], known, name, own))
    return tuple(found)


METRICS = "results/studies/<study>/metrics.json"


def _kinds(text: str) -> frozenset[str]:
    return frozenset(kind.strip() for kind in text.split(",") if kind.strip())


def fits(pattern: str, text: str) -> bool:
    """Whether a name is one that the pattern stands for."""
    return _compiled(pattern).fullmatch(text) is not None


@functools.cache
def _compiled(pattern: str) -> re.Pattern[str]:
    wild = {"**/": "(?:[^/]+/)*", "*": ".+"}
    parts = re.split(r"(<[^>]+>|\*\*/|\*)", pattern)
    return re.compile(
        "".join(wild.get(p, "[^/]+" if p[:1] == "<" else re.escape(p)) for p in parts)
    )


def differences(where: Path, kinds: Iterable[str], whole: bool = True) -> list[str]:
    """What a run wrote that the page does not tell of, and what of these kinds it did not write.

    Args:
        where: the folder in which the workflow ran.
        kinds: kinds of its studies, as the page calls them.
        whole: whether it went on to the report, so that what all studies have must be there.
    """
    files = [
        path.relative_to(where).as_posix()
        for path in sorted((where / "results").rglob("*"))
        if path.is_file() and path.name not in IGNORED
    ]
    page, wanted = entries(), set(kinds)
    told = [entry for entry in page if entry.what == "file"]
    seen = {entry for entry in told for file in files if fits(entry.file, file)}
    wrong = [
        f"{file} is not in docs/output.md"
        for file in files
        if not any(fits(entry.file, file) for entry in told)
    ]
    for file in files:
        about = [entry for entry in page if entry.what != "file" and fits(entry.file, file)]
        for what, names in _names(where / file, about):
            for name in names:
                known = _known(name, [entry for entry in about if entry.what == what])
                seen |= known
                if not known:
                    wrong.append(f"{what} {name} of {file} is not in docs/output.md")
    return wrong + [
        f"{entry.what} {entry.name} of {entry.file} stands in docs/output.md, but was not written"
        for entry in page
        if entry not in seen and (entry.kinds & wanted if entry.kinds else whole)
    ]


def _names(path: Path, about: list[Entry]) -> Iterator[tuple[str, list[str]]]:
    whats = {entry.what for entry in about}
    if "column" in whats:
        with open(path, encoding="utf-8", newline="") as file:
            delimiter = "\t" if path.suffix == ".tsv" else ","
            yield "column", next(csv.reader(file, delimiter=delimiter))
    if "key" in whats:
        value = json.loads(path.read_text(encoding="utf-8"))
        leaves = [entry.name for entry in about if entry.what == "key"]
        yield "key", sorted(set(_keys(value, "", leaves)))
        if "metric" in whats:
            yield "metric", sorted({record["name"] for record in value["metrics"]})


def _keys(value: object, above: str, told: list[str]) -> Iterator[str]:
    """Dotted keys, as deep as the page goes: what a told key holds is not looked into further."""
    if isinstance(value, list):
        for item in value:
            if isinstance(item, dict):
                yield from _keys(item, above, told)
        return
    for key, item in value.items() if isinstance(value, dict) else ():
        several = isinstance(item, list) and item and isinstance(item[0], dict)
        for name in [f"{above}{key}", *([f"{above}{key}[]"] if several else [])]:
            if any(fits(pattern, name) for pattern in told):
                yield name
                break
        else:
            name = f"{above}{key}[]." if several else f"{above}{key}."
            if any(_begins(pattern, name) for pattern in told):
                yield from _keys(item, name, told)
            elif not several or item:
                yield name.rstrip(".")


def _begins(pattern: str, name: str) -> bool:
    """Whether the pattern is of a key below this one."""
    depth = name.count(".")
    return fits(".".join(pattern.split(".")[:depth]), name.rstrip("."))


def _known(name: str, told: list[Entry]) -> set[Entry]:
    exact = {entry for entry in told if entry.name == name}
    return exact or {entry for entry in told if fits(entry.name, name)}
