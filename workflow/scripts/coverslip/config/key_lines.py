"""Lines of config files: where each key is written, and which key is written twice."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import yaml

from coverslip.errors import CoverslipError

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read_key_lines(paths: Iterable[Path]) -> dict[str, str]:
    """Return `file, line n` of each key by its path in the config, as in `studies.mine.seeds`.

    Args:
        paths: YAML or JSON files; a key counts where the last of them has it.

    Raises:
        CoverslipError: a file has a key twice, of which YAML would drop the first; or it is no
            file of text.
    """
    lines: dict[str, str] = {}
    twice: list[str] = []
    for path in paths:
        shown = os.path.relpath(path)
        try:
            # Tabs may indent JSON, and never YAML.
            root = yaml.compose(Path(path).read_text(encoding="utf-8").expandtabs(), LOADER)
        except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
            raise CoverslipError(f"{shown}: not YAML ({error})") from error
        own: dict[str, str] = {}
        for key, line in _keys(root, (), set()):
            if key in own:
                twice.append(
                    f"{shown}, line {line}: {key}: is also in line {own[key]}, which YAML would "
                    "ignore: remove or rename one of them"
                )
            own.setdefault(key, str(line))
        lines |= {key: f"{shown}, line {line}" for key, line in own.items()}
    if twice:
        raise CoverslipError("the config has keys twice:\n" + "\n".join(f"  {m}" for m in twice))
    return lines


def place_of(key: str, lines: dict[str, str]) -> str:
    """Return where a key, or else the section around it, is written; empty where no file has it."""
    while key and key not in lines:
        key = key.rpartition(".")[0]
    return lines.get(key, "")


def _keys(
    node: yaml.Node | None, parents: tuple[str, ...], seen: set[int]
) -> Iterator[tuple[str, int]]:
    """Yield the path of each key below a node, and its line from 1; aliases are followed once."""
    if node is None or id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, yaml.SequenceNode):
        for number, item in enumerate(node.value):
            yield from _keys(item, (*parents, str(number)), seen)
    elif isinstance(node, yaml.MappingNode):
        names = set()
        for key, value in node.value:
            path = (*parents, str(key.value))
            if key.tag != "tag:yaml.org,2002:merge":
                yield ".".join(path), key.start_mark.line + 1
            if path not in names:  # of a key that is there twice, one message is enough
                yield from _keys(value, path, seen)
            names.add(path)
