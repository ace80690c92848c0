"""The report in a real browser: headless Chromium, cut off from every network."""

import time
from pathlib import Path

import browser
import h5py
import made_up
import numpy as np
import pandas as pd
import pytest

from coverslip.data.image_store import ImageStoreWriter
from coverslip.reporting import report, results

TAB = ("Tab", 9)
ENTER = ("Enter", 13, "\r")


IMAGES = 12


def write_images(folder: Path, study: str) -> None:
    """Write test images of a dataset, and what a study predicted of them."""
    rng = np.random.default_rng(3)
    home = folder / "studies" / study
    predictions = home / "fold0_seed1" / "predictions"
    predictions.mkdir()
    rows, ids = [], []
    store = folder / "datasets/dsb2018/images.h5"
    with ImageStoreWriter(store) as writer, h5py.File(predictions / "0.h5", "w") as file:
        for at in range(IMAGES):
            id = f"image{at:02d}"
            mask = np.zeros((64, 64), np.uint8)
            mask[10 : 30 + at, 20:40] = 1
            image = 40 + 150 * mask[:, :, np.newaxis] + rng.integers(0, 20, (64, 64, 1))
            writer.image(id, image.astype(np.uint8))
            writer.label(id, mask.astype(np.int32))
            file[f"label/{id}"] = mask
            ids.append(id)
            rows.append({"id": id, "group": f"plate{at % 3}", "modality": "fluorescence"})
            rows[-1] |= {"subset": "test", "fold": 0, "seed": 1, "iou": float(rng.random())}
            rows[-1] |= {"otsu_iou": 0.5, "n_true": 9 + at, "n_predicted": 10}
            rows[-1] |= {"foreground_true": 0.1}
        file["id"] = np.array(ids, dtype="S")
        file["subset"] = np.array(["test"] * IMAGES, dtype="S")
    pd.DataFrame(rows).to_csv(home / "images.csv", index=False)


@pytest.fixture(scope="module")
def page(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    config, figures = made_up.results(folder)
    write_images(folder, "nuclei-grouped")
    studies = results.collect(config, list(config["studies"]), figures, folder)
    report.build(studies, {"command": "snakemake --cores all"}, folder / "report.html")
    return folder / "report.html"


@pytest.fixture(scope="module")
def chromium(tmp_path_factory):
    reason = browser.missing()
    if reason:
        pytest.skip(reason)
    with browser.Browser(tmp_path_factory.mktemp("chromium")) as opened:
        yield opened


@pytest.mark.parametrize("width", [1280, 400])
def test_it_opens_whole_and_quietly(chromium, page, width):
    chromium.open(page, 800)
    chromium.messages(), chromium.requests()
    chromium.open(page, width)
    assert chromium.messages() == []
    asked = [address for address in chromium.requests() if not address.startswith("data:")]
    assert asked == [page.resolve().as_uri()]
    widths = chromium.run("return [...document.images].map(image => image.naturalWidth)")
    # An image with its contours on the card, and in each row of the table.
    assert len(widths) == 4 * len(made_up.FIGURES) + 2 * (IMAGES + 1) and min(widths) > 0
    assert chromium.run("return document.querySelectorAll('#results tbody tr').length") == 10
    wide = "return document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert chromium.run(wide) <= 0


@pytest.mark.parametrize("width", [1280, 400])
def test_nothing_sticks_out_with_all_folded_parts_open(chromium, page, width):
    chromium.open(page, width)
    chromium.run("document.querySelectorAll('details').forEach(part => part.open = true)")
    out = """
      const inside = node => node.closest('.scroll, nav, .skip, thead');
      return [...document.body.querySelectorAll('*')]
        .filter(node => !inside(node) && node.getBoundingClientRect().right > innerWidth + 1)
        .map(node => node.outerHTML.slice(0, 80));
    """
    assert chromium.run(out) == []
    scrolls = """
      return [...document.querySelectorAll('.scroll:not(.low)')]
        .filter(node => node.scrollWidth > node.clientWidth + 1).length;
    """
    assert chromium.run(scrolls) == 0


def test_the_first_screen_has_the_answers(chromium, page):
    chromium.open(page, 1440, 900)
    seen = """
      const inside = node => node.getBoundingClientRect().bottom <= innerHeight;
      const texts = query => [...document.querySelectorAll(query)].filter(inside);
      return [texts('h1, .meta, .verdict').length, texts('.card .big').map(n => n.textContent),
        texts('.card .preview').length];
    """
    deadline = time.monotonic() + 10
    heads, numbers, images = chromium.run(seen)
    while heads < 3 and time.monotonic() < deadline:  # a window that was resized lays out again
        time.sleep(0.1)
        heads, numbers, images = chromium.run(seen)
    assert heads == 3 and images == 1
    # The first one has as many decimals as the published figure that it is compared with.
    assert numbers == ["0.8893 IoU", "0.86 IoU", "0.81 IoU", "0.80 IoU"]
    assert chromium.run("return document.documentElement.scrollHeight / innerHeight") < 20


def test_the_table_of_images_is_sorted_and_filtered(chromium, page):
    chromium.open(page, 1280)
    chromium.run("document.querySelectorAll('details').forEach(part => part.open = true)")
    column = """
      const table = document.querySelector('table.sortable');
      return [...table.tBodies[0].rows].filter(row => !row.hidden)
        .map(row => row.cells[3].dataset.value);
    """
    button = "document.querySelectorAll('table.sortable thead button')[2].click();"
    assert len(chromium.run(column)) == IMAGES
    up = [float(v) for v in chromium.run(button + column)]
    assert up == sorted(up) and len(set(up)) == IMAGES
    assert [float(v) for v in chromium.run(button + column)] == up[::-1]
    head = "return document.querySelector('[aria-sort]').textContent"
    assert chromium.run(head) == "IoU"
    choose = """
      const select = document.querySelector('select[data-table]');
      select.value = 'plate1';
      select.dispatchEvent(new Event('change'));
    """
    assert len(chromium.run(choose + column)) == IMAGES // 3


def test_contours_are_toggled_and_figures_enlarged(chromium, page):
    chromium.open(page, 1280)
    shown = "return getComputedStyle(document.querySelector('.card .contours')).visibility"
    assert chromium.run(shown) == "visible"
    chromium.run("document.getElementById('contours').click()")
    assert chromium.run(shown) == "hidden"
    chromium.run("document.querySelector('figure:not(details *) .zoom').click()")
    opened = """
      const box = document.querySelector('#lightbox:popover-open img');
      return box && box.src === document.querySelector('figure:not(details *) img').src;
    """
    assert chromium.run(opened) is True
    chromium.press("Escape", 27)
    assert chromium.run("return document.querySelector('#lightbox:popover-open')") is None


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_letters_are_large_and_have_contrast(chromium, page, scheme):
    wanted = [{"name": "prefers-color-scheme", "value": scheme}]
    chromium.devtools("Emulation.setEmulatedMedia", features=wanted)
    chromium.open(page, 400)
    faint = """
      const light = text => {
        const [r, g, b] = text.match(/[\\d.]+/g).map(Number).map(v => v / 255)
          .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
      };
      const behind = node => {
        for (; node; node = node.parentElement) {
          const colour = getComputedStyle(node).backgroundColor;
          if (!/, 0\\)$/.test(colour)) return colour;
        }
        return 'rgb(255, 255, 255)';
      };
      const worst = {};
      for (const node of document.body.querySelectorAll('*')) {
        const words = [...node.childNodes].filter(n => n.nodeType === 3);
        if (node.closest('script') || !words.some(n => n.textContent.trim())) continue;
        const style = getComputedStyle(node);
        const [a, b] = [light(style.color), light(behind(node))].sort((x, y) => y - x);
        const contrast = (a + 0.05) / (b + 0.05);
        if (contrast < 4.5 || parseFloat(style.fontSize) < 12)
          worst[node.tagName + '.' + node.className] = [contrast, style.fontSize];
      }
      return worst;
    """
    assert chromium.run(faint) == {}
    chromium.devtools("Emulation.setEmulatedMedia", features=[])


def test_the_keyboard_reaches_the_entries_and_opens_them(chromium, page):
    chromium.open(page, 1280)
    reached = []
    for _ in range(400):
        chromium.press(*TAB)
        here = chromium.run(
            "const a = document.activeElement;"
            "return [a.tagName, a.getAttribute('href') || a.textContent.trim().slice(0, 40)]"
        )
        if here[0] != "BODY":
            reached.append(tuple(here))
        elif reached:  # a key that comes before the page has the focus reaches nothing
            break
    assert reached[0] == ("A", "#main")
    assert ("A", "#study-nuclei-grouped") in reached
    assert ("A", "studies/nuclei-grouped/notebook.html") in reached
    folded = chromium.run(
        "return document.querySelectorAll('summary:not(details details *)').length"
    )
    assert [tag for tag, _ in reached].count("SUMMARY") == folded > 0

    chromium.open(page, 1280)
    chromium.run("document.querySelector('summary').focus()")
    chromium.press(*ENTER)
    assert chromium.run("return document.querySelector('details').open") is True
