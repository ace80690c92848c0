"""Notebooks: executed by papermill, shown as HTML."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import papermill
from nbconvert import HTMLExporter
from papermill.exceptions import PapermillExecutionError

from coverslip.errors import CoverslipError
from coverslip.files import WORKFLOW, atomic_write

NOTEBOOKS = WORKFLOW / "notebooks"

LOG = logging.getLogger("coverslip")


def execute(template: Path, parameters: dict[str, Any], notebook: Path, page: Path) -> None:
    """Execute a notebook with parameters and write it, with its outputs, as ipynb and HTML.

    The notebook runs in the folder of `notebook`, so that it re-runs there by hand; paths among
    the parameters should be relative to that folder. Progress, cell by cell, goes to the log.

    Args:
        template: the notebook with a cell tagged `parameters`.
        parameters: values for that cell, JSON types.
        notebook: the executed notebook to write.
        page: the HTML page to write, without the code.

    Raises:
        CoverslipError: a cell fails; the message has the cell's own error.
    """
    notebook, page = Path(notebook), Path(page)
    folder = notebook.parent.resolve()
    with atomic_write(notebook) as part:
        try:
            papermill.execute_notebook(
                str(template),
                str(part.with_suffix(".part.ipynb")),
                parameters=parameters,
                cwd=str(folder),
                kernel_name="python3",
                progress_bar=False,
                log_output=True,
            )
        except PapermillExecutionError as error:
            raise CoverslipError(
                f"{template}: cell {error.exec_count} failed: {error.ename}: {error.evalue}"
            ) from error
        finally:
            executed = part.with_suffix(".part.ipynb")
            if executed.exists():
                executed.replace(part)
    LOG.info("%s: executed", notebook)
    exporter = HTMLExporter(exclude_input=True, exclude_input_prompt=True, embed_images=True)
    exporter.exclude_output_prompt = True
    text, _ = exporter.from_filename(str(notebook))
    with atomic_write(page) as part:
        part.write_text(text, encoding="utf-8")
