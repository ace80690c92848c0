"""Images of the README from a finished run of config/kaggle.yaml; needs Chromium.

    .venv/bin/python .ci/readme_images.py [RESULTS]

writes docs/report.png (the table of studies in the report) and docs/outlines.png (test images of
the study `nuclei-random`: best, middle, worst and drawn at random).
"""

import shutil
import sys
import tempfile
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from browser import Browser  # noqa: E402

WIDTH = 960
COLOURS = 128
BYTES = 300_000


def save(image: Image.Image, path: Path) -> None:
    """Write as a PNG of `WIDTH` pixels with a palette, small enough for a README."""
    height = round(image.height * WIDTH / image.width)
    small = image.convert("RGB").resize((WIDTH, height), Image.Resampling.LANCZOS)
    small.quantize(COLOURS, dither=Image.Dither.NONE).save(path, optimize=True)
    if path.stat().st_size > BYTES:
        sys.exit(f"{path}: {path.stat().st_size} bytes are too many")
    print(f"{path}: {small.width}x{small.height}, {path.stat().st_size / 1000:.0f} KB")


def report(page: Path, output: Path) -> None:
    """The first page's table of studies, as a browser shows it."""
    with tempfile.TemporaryDirectory() as folder, Browser(Path(folder)) as browser:
        browser.open(page, 1280)
        shot = Path(folder) / "page.png"
        browser.screenshot(shot)
        places = "const r = document.querySelector('#answers').getBoundingClientRect();"
        top, bottom = browser.run(places + "return [r.top + scrollY, r.bottom + scrollY]")
        with Image.open(shot) as image:
            save(image.crop((60, int(top) - 10, image.width - 40, int(bottom) + 10)), output)


if __name__ == "__main__":
    results = Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "results")
    report(results / "report.html", ROOT / "docs/report.png")
    # As it is: drawn again with fewer colours, its outlines would have others than its legend.
    shutil.copyfile(
        results / "studies/nuclei-random/figures/contours.png", ROOT / "docs/outlines.png"
    )
