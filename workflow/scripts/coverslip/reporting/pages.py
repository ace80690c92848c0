"""HTML pages that need no other file, rendered from the templates in `workflow/report`."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from coverslip import __version__
from coverslip.errors import CoverslipError
from coverslip.files import WORKFLOW

MIME = {".svg": "image/svg+xml", ".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg"}

QUALITIES = (92, 85)

SHRINK = 0.8

SMALLEST = 200


@dataclass(frozen=True)
class Image:
    """An image inside a page."""

    source: str
    """Data URI."""
    size: int
    """Bytes before base64."""
    width: float
    """Width over height is what matters: pixels, or units of the SVG's view box."""
    height: float


def embed_image(path: Path, limit: int) -> Image:
    """Read a figure (svg, png, jpg) as a data URI of at most `limit` bytes before base64.

    A larger png or jpg is compressed as JPEG, then made smaller until it fits. An SVG cannot be:
    it raises CoverslipError, as do a missing file and one that is not an image.
    """
    path = Path(path)
    mime = MIME.get(path.suffix.lower())
    if mime is None:
        raise CoverslipError(
            f"{path}: a figure is one of {', '.join(MIME)}; draw it as one of them"
        )
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise CoverslipError(f"{path}: missing; run the workflow again to draw it") from None
    if mime == "image/svg+xml":
        width, height = _svg_size(data, path)
        if len(data) > limit:
            raise CoverslipError(
                f"{path}: {len(data) // 1000} kB are too many for the report (at most "
                f"{limit // 1000}); draw this figure as png"
            )
    else:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        if pixels is None:
            raise CoverslipError(f"{path}: cannot be decoded; delete it and run again")
        height, width = pixels.shape[:2]
        if len(data) > limit:
            data, mime = _shrink(pixels, limit), "image/jpeg"
    encoded = base64.b64encode(data).decode("ascii")
    return Image(f"data:{mime};base64,{encoded}", len(data), width, height)


def _shrink(pixels: np.ndarray, limit: int) -> bytes:
    while True:
        for quality in QUALITIES:
            _, encoded = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])
            if len(encoded) <= limit or max(pixels.shape[:2]) <= SMALLEST:
                return encoded.tobytes()
        pixels = cv2.resize(pixels, None, fx=SHRINK, fy=SHRINK, interpolation=cv2.INTER_AREA)


def _svg_size(data: bytes, path: Path) -> tuple[float, float]:
    head = data[:4000].decode("utf-8", errors="replace")
    tag = re.search(r"<svg\b[^>]*>", head)
    if tag is None:
        raise CoverslipError(f"{path}: not an SVG; delete it and run again")
    box = re.search(r'viewBox="[\d.eE+-]+[ ,]+[\d.eE+-]+[ ,]+([\d.]+)[ ,]+([\d.]+)"', tag[0])
    if box is None:
        return 1.0, 1.0
    return float(box[1]), float(box[2])


TEMPLATES = WORKFLOW / "report"


def render(template: str, values: Mapping[str, Any], templates: Path = TEMPLATES) -> str:
    """Fill a template; `version`, `css`, `script` and `policy`, which all pages share, are added.

    Text is escaped; a value that the template names and does not get is an error.
    """
    environment = Environment(
        loader=FileSystemLoader(templates),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    css, script = (
        Markup((templates / name).read_text(encoding="utf-8")) for name in ("page.css", "page.js")
    )
    shared = {"version": __version__, "css": css, "script": script, "policy": policy(script)}
    return environment.get_template(template).render({**shared, **values})


def policy(script: str) -> str:
    """Return the content security policy of a page that loads nothing and runs this script."""
    digest = base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode("ascii")
    return (
        "default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
        f"script-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    )
