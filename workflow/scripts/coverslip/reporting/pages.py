"""Pages: HTML files that need nothing else, from the templates in `workflow/report`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from coverslip import __version__

TEMPLATES = Path(__file__).resolve().parents[3] / "report"


def render(template: str, values: Mapping[str, Any], templates: Path = TEMPLATES) -> str:
    """Fill a template; `version` and `css` (the style all pages share) are added to its values.

    Text is escaped; a value that the template names and does not get is an error.
    """
    environment = Environment(
        loader=FileSystemLoader(templates),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    css = Markup((templates / "page.css").read_text(encoding="utf-8"))
    return environment.get_template(template).render({"version": __version__, "css": css, **values})
