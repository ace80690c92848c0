"""The page of own images that a model of classes classified."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from coverslip.files import atomic_write
from coverslip.imaging.overlay import encoded
from coverslip.measure.classes import UNSURE, Shown, file_name
from coverslip.measure.input_folder import left_out_lines
from coverslip.measure.page import LISTED, model_name, number, run_facts
from coverslip.reporting.model_card import read_class_names, read_evaluation
from coverslip.reporting.pages import TEMPLATES, render

SHOWN = 24
"""Images of a class on the page; its contact sheet has more, the table all."""


def build(
    table: Path,
    shown: Mapping[str, list[Shown]],
    facts: Mapping[str, Any],
    model: Mapping[str, Any],
    output: Path,
    templates: Path = TEMPLATES,
) -> None:
    """Write the page.

    Args:
        table: `predicted_classes.csv`.
        shown: see `classes.write_classes`.
        facts: `name`, `folder`, `model`, `left_out` (see `input_folder.left_out`) and `run`: what
            the run record will hold, `ended` and `command`.
        model: `model.json`.
        output: the page; it links to the files in its folder.
        templates: folder of `classes.html.j2`, `page.css` and `page.js`.
    """
    text = ["image", "plane", "class", "note", "error"]
    rows = pd.read_csv(table, dtype=dict.fromkeys(text, "str"), keep_default_na=False)
    rows["class_probability"] = pd.to_numeric(rows["class_probability"])
    classified = rows[rows["error"] == ""].sort_values(["class_probability", "image", "page"])
    counts = classified["class"].value_counts()
    meta, command = run_facts(facts["run"])
    called = read_class_names(Path(facts["model"]))
    page = {
        "name": facts["name"],
        "meta": meta,
        "command": command,
        "quality": read_evaluation(Path(facts["model"])),
        "model": model_name(facts, model),
        "folder": str(facts["folder"]),
        "images": len(classified),
        "unsure": int((classified["class_probability"] < UNSURE).sum()),
        "limit": number(UNSURE, 1),
        "temperature": number(model.get("temperature", 1.0), 2),
        "classes": [
            {
                "name": called.get(name, name),
                "count": int(counts.get(name, 0)),
                "percent": number(100 * counts.get(name, 0) / max(len(classified), 1), 1),
                "sheet": f"classes/{file_name(name)}.png" if shown[name] else "",
                "images": [
                    {
                        "name": each.name,
                        "probability": number(each.probability, 2),
                        "unsure": each.probability < UNSURE,
                        "source": "data:image/png;base64,"
                        + base64.b64encode(encoded(each.image)).decode("ascii"),
                    }
                    for each in shown[name][:SHOWN]
                ],
            }
            for name in map(str, model["classes"])
        ],
        "rows": [
            {
                "name": f"{row.image} {row.plane}".strip(),
                "label": called.get(label, label),
                "probability": number(row.class_probability, 3),
                "note": row.note,
                "unsure": row.class_probability < UNSURE,
            }
            for row, label in zip(
                classified.head(LISTED).itertuples(), classified["class"], strict=False
            )
        ],
        "unread": [
            {"name": f"{row.image} {row.plane}".strip(), "error": row.error}
            for row in rows[rows["error"] != ""].itertuples()
        ],
        "left_out": left_out_lines(facts["left_out"]),
    }
    html = render("classes.html.j2", page, templates)
    with atomic_write(output) as part:
        part.write_text(html, encoding="utf-8")
