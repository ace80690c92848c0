"""Pages of the site that are elsewhere in the repository, and links that work in both places.

MkDocs runs these functions (`mkdocs.yml`). Links in Markdown files are those of the repository, as
GitHub shows them. A link to a file that is no page leads to the repository, or is plain text where
the address of the repository is not known (`REPOSITORY_URL`).
"""

from __future__ import annotations

import argparse
import os
import posixpath
import re
import sys
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[1]
PAGES = {
    "index.md": "README.md",
    "reference/config.md": "config/README.md",
    "about/changelog.md": "CHANGELOG.md",
    "about/contributing.md": "CONTRIBUTING.md",
    "about/citations.md": "CITATIONS.md",
    "about/resources.md": "resources/README.md",
}
"""Pages of the site by the file of the repository that they are."""

HELP = "<!-- help -->"
"""Where the help of the command is put."""

LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)\s#]*)(#[^)\s]*)?\)")
BADGE = re.compile(r"^\[!\[.*\n", re.MULTILINE)
FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


def on_files(files: Files, config: Any) -> Files:
    """Add the pages that are elsewhere in the repository."""
    for page, source in PAGES.items():
        text = (ROOT / source).read_text(encoding="utf-8")
        files.append(File.generated(config, page, content=text))
    return files


def command_line() -> str:
    """Return the help of the command `coverslip` and of each verb."""
    sys.path.insert(0, str(ROOT / "workflow/scripts"))
    os.environ["COLUMNS"] = "88"
    from coverslip.cli import parser

    top = parser()
    verbs = next(a for a in top._actions if isinstance(a, argparse._SubParsersAction)).choices
    parts = [("coverslip", top.format_help())]
    parts += [(f"coverslip {name}", verb.format_help()) for name, verb in verbs.items()]
    sections = (f"## `{name}`\n\n```text\n{text}```\n" for name, text in parts)
    return "\n".join(sections)


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """Turn links between files of the repository into links between pages."""
    here = page.file.src_uri
    source = PAGES.get(here, f"docs/{here}")

    def rewrite(match: re.Match[str]) -> str:
        image, text, target, anchor = match[1], match[2], match[3], match[4] or ""
        if not target or ":" in target:
            return match[0]
        path = posixpath.normpath(posixpath.join(posixpath.dirname(source), target))
        uri = next((page for page, file in PAGES.items() if file == path), None)
        if uri is None and path.startswith("docs/"):
            uri = path.removeprefix("docs/")
        if uri is not None:
            link = posixpath.relpath(uri, posixpath.dirname(here) or ".")
            return f"{image}[{text}]({link}{anchor})"
        if not (ROOT / path).exists():
            return match[0]  # MkDocs reports it
        if config.repo_url:
            return f"[{text}]({config.repo_url.rstrip('/')}/blob/main/{path}{anchor})"
        return text if text.startswith("`") else f"`{text}`"

    if HELP in markdown:
        markdown = markdown.replace(HELP, command_line())
    # Badges are images of another host, which the site does not load.
    markdown = BADGE.sub("", markdown)
    markdown = markdown.replace('src="docs/', 'src="')
    parts, end = [], 0
    for fence in FENCE.finditer(markdown):
        parts += [LINK.sub(rewrite, markdown[end : fence.start()]), fence[0]]
        end = fence.end()
    return "".join([*parts, LINK.sub(rewrite, markdown[end:])])
