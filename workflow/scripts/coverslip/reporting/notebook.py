"""Notebooks: executed by papermill, and written as a page that loads and runs nothing."""

from __future__ import annotations

import logging
import os
from html import unescape
from pathlib import Path
from typing import Any

import mistune
import nbformat
import papermill
from markupsafe import Markup
from papermill.exceptions import PapermillExecutionError

from coverslip.errors import CoverslipError
from coverslip.files import WORKFLOW, atomic_write
from coverslip.reporting.pages import render

NOTEBOOKS = WORKFLOW / "notebooks"

PACKAGE = Path(__file__).resolve().parents[2]

LOG = logging.getLogger("coverslip")


def execute(template: Path, parameters: dict[str, Any], notebook: Path, page: Path) -> None:
    """Execute a notebook with parameters and write it, with its outputs, as ipynb and HTML.

    The notebook runs in the folder of `notebook`, so that it can be run again there by hand; paths
    among the parameters should be relative to that folder. Progress is logged.

    Args:
        template: the notebook with a cell tagged `parameters`.
        parameters: values for that cell, JSON types.
        notebook: the executed notebook to write; no absolute path is written into it.
        page: the HTML page to write; its code is folded.

    Raises:
        CoverslipError: a cell fails; the message is the cell's own error.
    """
    notebook, page = Path(notebook), Path(page)
    folder = notebook.parent.resolve()
    # Results elsewhere get no path of this machine: by hand they need an installed package.
    near = folder.is_relative_to(PACKAGE.parents[1])
    package = {"package": Path(os.path.relpath(PACKAGE, folder)).as_posix() if near else ""}
    paths = [str(PACKAGE), *filter(None, [os.environ.get("PYTHONPATH")])]
    os.environ["PYTHONPATH"] = os.pathsep.join(paths)  # for the kernel
    with atomic_write(notebook) as part:
        executed = part.with_suffix(".part.ipynb")
        try:
            papermill.execute_notebook(
                str(template),
                str(executed),
                parameters=package | parameters if parameters else {},
                cwd=str(folder),
                kernel_name="python3",
                progress_bar=False,
                log_output=True,
                # Jupyter warns of its own TCP ports on loopback at each start.
                extra_arguments=["--log-level=ERROR"],
            )
        except PapermillExecutionError as error:
            raise CoverslipError(
                f"{template}: cell {error.exec_count} failed: {error.ename}: {error.evalue}"
            ) from error
        finally:
            if executed.exists():
                executed.replace(part)
        document = nbformat.read(part, as_version=4)
        # Papermill notes times and the paths of this machine.
        for noted in (document, *document.cells):
            noted.metadata.pop("papermill", None)
        nbformat.write(document, part)
    LOG.debug("%s: executed", notebook)
    title = str(parameters.get("title") or parameters.get("study") or notebook.stem)
    cells = _join_silent([_cell(cell) for cell in document.cells])
    html = render("notebook.html.j2", {"title": title, "cells": cells})
    with atomic_write(page) as part:
        part.write_text(html, encoding="utf-8")


def _markdown(text: str) -> Markup:
    """Return Markdown as HTML, in which markup of the text is text, and no link runs code."""
    return Markup(mistune.create_markdown(escape=True)(unescape(text)))


def _cell(cell: Any) -> dict[str, Any]:
    """Return the code of a cell, and its outputs as HTML or text."""
    if cell.cell_type == "markdown":
        return {"code": "", "outputs": [{"html": _markdown(cell.source), "text": ""}]}
    outputs = [_output(output) for output in cell.outputs]
    return {"code": cell.source, "outputs": outputs}


def _join_silent(cells: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return cells in which code that shows nothing is part of the next cell with code."""
    joined: list[dict[str, Any]] = []
    silent: list[str] = []
    for cell in cells:
        if cell["code"] and not cell["outputs"] and cell is not cells[-1]:
            silent.append(cell["code"])
            continue
        if cell["code"]:
            cell = cell | {"code": "\n\n".join([*silent, cell["code"]])}
            silent = []
        joined.append(cell)
    return joined


def _output(output: Any) -> dict[str, Any]:
    data = output.get("data", {})
    if "text/html" in data:
        return {"html": Markup(data["text/html"]), "text": ""}
    if "text/markdown" in data:
        return {"html": _markdown(data["text/markdown"]), "text": ""}
    return {"html": "", "text": output.get("text") or data.get("text/plain", "")}
