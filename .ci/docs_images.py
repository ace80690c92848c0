"""All images of README and docs, from a finished demo and a measured folder; needs Chromium.

    .venv/bin/python .ci/docs_images.py [RESULTS [MEASURED [LESSON]]]

RESULTS is the folder `results` of a run of config/config.yaml, MEASURED a folder of
`results/measure` (or `-`), LESSON a copy of docs/tutorials/train.ipynb that was executed in an
empty folder, where coverslip is installed:

    python -m nbconvert --to notebook --execute --inplace train.ipynb

Without MEASURED or LESSON, what is made of them stays as it is. Written are

    docs/report.png         first screen of the report
    docs/hero.png           measured images side by side, each with its contours
    docs/gallery/, docs/gallery.md   each figure once, with its caption and the config of its study
    docs/tutorials/train.ipynb       the lesson, with what it printed and drew
"""

import csv
import json
import re
import shutil
import sys
import tempfile
from pathlib import Path

import yaml
from jinja2 import Environment
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
sys.path.insert(0, str(ROOT / "tests"))

from browser import Browser  # noqa: E402

SCREEN = (1440, 900)
COLOURS = 128
MAX_BYTES = 300_000
HERO_HEIGHT = 420
"""Pixels; twice what README shows, for screens of high density."""

HERO_IMAGES = 3
STUDIES = ("nuclei", "confluency-kmeans", "cell-lines", "nuclei-types", "confluency-unet")
"""Studies of the demo; a figure is that of the first one that has it."""

HEAD = """\
# Gallery

Each figure of a study once, from the demo (`coverslip demo`), with the config of its study. The
figures of a run are in `results/studies/<study>/figures/`, and in the report. A search
([how-to](how-to/search.md)) has two more: its learning curves, and the score of each tried value.

Written by `.ci/docs_images.py`; do not edit by hand.
"""


def save(image: Image.Image, path: Path, width: int) -> None:
    """Write a PNG with a palette, of at most this width in pixels."""
    width = min(width, image.width)
    size = (width, round(image.height * width / image.width))
    small = image.convert("RGB").resize(size, Image.Resampling.LANCZOS)
    small.quantize(COLOURS, dither=Image.Dither.NONE).save(path, optimize=True)
    if path.stat().st_size > MAX_BYTES:
        sys.exit(f"{path}: {path.stat().st_size} bytes are too many")


def first_screen(page: Path, output: Path) -> None:
    """Write the first screen of a page, as a browser shows it."""
    with tempfile.TemporaryDirectory() as folder, Browser(Path(folder)) as browser:
        browser.open(page, SCREEN[0])
        shot = Path(folder) / "page.png"
        browser.screenshot(shot)
        with Image.open(shot) as image:
            # The page is narrower than the screen by its scroll bar.
            save(image.crop((0, 0, min(SCREEN[0], image.width), SCREEN[1])), output, 960)


def hero(measured: Path, output: Path) -> None:
    """Write overlays of a measured folder side by side: those with the most objects, one a size."""
    with (measured / "images.csv").open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if not row["error"]]
    rows.sort(key=lambda row: -int(row["n_objects"]))
    chosen: dict[tuple[str, str], dict[str, str]] = {}
    for row in rows:
        chosen.setdefault((row["height_px"], row["width_px"]), row)
    names = [row["image"] for row in list(chosen.values())[:HERO_IMAGES]]
    tiles = []
    for name in names:
        with Image.open(measured / f"overlays/{name}.overlay.png") as tile:
            width = round(tile.width * HERO_HEIGHT / tile.height)
            tiles.append(tile.convert("RGB").resize((width, HERO_HEIGHT)))
    strip = Image.new("RGB", (sum(t.width for t in tiles) + 8 * (len(tiles) - 1), HERO_HEIGHT))
    left = 0
    for tile in tiles:
        strip.paste(tile, (left, 0))
        left += tile.width + 8
    save(strip, output, strip.width)


def gallery(results: Path) -> None:
    """Write each figure once, and the page that shows them."""
    config = yaml.safe_load((ROOT / "config/config.yaml").read_text(encoding="utf-8"))
    shutil.rmtree(DOCS / "gallery", ignore_errors=True)
    (DOCS / "gallery").mkdir()
    shown: dict[str, str] = {}
    for study in STUDIES:
        for figure in sorted((results / f"studies/{study}/figures").glob("*.[sp][vn]g")):
            if figure.stem in shown:
                continue
            output = DOCS / "gallery" / figure.name
            shutil.copyfile(figure, output)
            template = (ROOT / f"workflow/report/{figure.stem}.rst").read_text(encoding="utf-8")
            caption = re.sub(r"\s+", " ", Environment().from_string(template).render()).strip()
            name = figure.stem.replace("_", " ").capitalize()
            shown[figure.stem] = (
                f"## {name}\n\n![{name}](gallery/{figure.name})\n\n{caption}\n\n"
                f"From the study `{study}` ([config](#{study})).\n"
            )
    studies = ["## Configs\n"]
    for study in STUDIES:
        section = config["studies"][study]
        parts = {
            "datasets": {section["dataset"]: config["datasets"][section["dataset"]]},
            "studies": {study: section},
        }
        text = yaml.safe_dump(parts, sort_keys=False, default_flow_style=None, width=100)
        studies.append(f"### {study}\n\n```yaml\n{text}```\n")
    page = "\n".join([HEAD, *(shown[name] for name in sorted(shown)), *studies])
    (DOCS / "gallery.md").write_text(page, encoding="utf-8")


def lesson(executed: Path, output: Path) -> None:
    """Write the executed lesson without paths of this machine and messages of TensorFlow."""
    notebook = json.loads(executed.read_text(encoding="utf-8"))
    for cell in notebook["cells"]:
        cell["metadata"] = {}
        if "outputs" not in cell:
            continue
        streams = [o for o in cell["outputs"] if o["output_type"] == "stream"]
        printed = "".join("".join(o["text"]) for o in streams if o["name"] == "stdout")
        printed = re.sub(r"/\S*?/site-packages/", ".venv/lib/python3/site-packages/", printed)
        printed = re.sub(r"/\S*?/results/", "results/", printed)
        shown = [o for o in cell["outputs"] if o["output_type"] != "stream"]
        if printed:
            lines = printed.splitlines(keepends=True)
            shown.insert(0, {"output_type": "stream", "name": "stdout", "text": lines})
        cell["outputs"] = shown
    notebook["metadata"] = {"kernelspec": notebook["metadata"]["kernelspec"]}
    output.write_text(json.dumps(notebook, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    results = Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "results")
    if len(sys.argv) > 3:
        lesson(Path(sys.argv[3]), DOCS / "tutorials/train.ipynb")
    if len(sys.argv) > 2 and sys.argv[2] != "-":
        hero(Path(sys.argv[2]), DOCS / "hero.png")
    first_screen(results / "report.html", DOCS / "report.png")
    gallery(results)
