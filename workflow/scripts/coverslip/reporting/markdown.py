"""Tables in Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from coverslip.reporting.results import DASH


def table(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A table in Markdown, without a line end at its end; empty cells get a dash."""
    rows = [head, ["---"] * len(head), *lines]
    cells = [[(cell or DASH).replace("|", r"\|") for cell in row] for row in rows]
    return "\n".join("| " + " | ".join(row) + " |" for row in cells)
