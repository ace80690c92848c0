"""The report in a real browser: headless Chromium, cut off from every network."""

from pathlib import Path

import browser
import made_up
import pytest

from coverslip.reporting import report, results

TAB = ("Tab", 9)
ENTER = ("Enter", 13, "\r")


@pytest.fixture(scope="module")
def page(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    config, figures = made_up.results(folder)
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
    assert len(widths) == 4 * len(made_up.FIGURES) and min(widths) > 0
    assert chromium.run("return document.querySelectorAll('#studies tr.line').length") == 10
    wide = "return document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert chromium.run(wide) <= 0


@pytest.mark.parametrize("width", [1280, 400])
def test_nothing_sticks_out_with_all_folded_parts_open(chromium, page, width):
    chromium.open(page, width)
    chromium.run("document.querySelectorAll('details').forEach(part => part.open = true)")
    out = """
      const inside = node => node.closest('.scroll, .image, .skip, thead');
      return [...document.body.querySelectorAll('*')]
        .filter(node => !inside(node) && node.getBoundingClientRect().right > innerWidth + 1)
        .map(node => node.outerHTML.slice(0, 80));
    """
    assert chromium.run(out) == []
    scrolls = """
      return [...document.querySelectorAll('.scroll')]
        .filter(node => node.scrollWidth > node.clientWidth + 1).length;
    """
    assert chromium.run(scrolls) == 0


def test_letters_are_large_and_dark_enough(chromium, page):
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
        if (![...node.childNodes].some(n => n.nodeType === 3 && n.textContent.trim())) continue;
        const style = getComputedStyle(node);
        const [a, b] = [light(style.color), light(behind(node))].sort((x, y) => y - x);
        const contrast = (a + 0.05) / (b + 0.05);
        if (contrast < 4.5 || parseFloat(style.fontSize) < 12)
          worst[node.tagName + '.' + node.className] = [contrast, style.fontSize];
      }
      return worst;
    """
    assert chromium.run(faint) == {}


def test_the_keyboard_reaches_the_entries_and_opens_them(chromium, page):
    chromium.open(page, 1280)
    reached = []
    for _ in range(400):
        chromium.press(*TAB)
        here = chromium.run(
            "const a = document.activeElement;"
            "return [a.tagName, a.getAttribute('href') || a.textContent.trim().slice(0, 40)]"
        )
        if here[0] == "BODY":
            break
        reached.append(tuple(here))
    assert reached[0] == ("A", "#main")
    assert ("A", "#study-nuclei-grouped") in reached
    assert ("A", "studies/nuclei-grouped/notebook.html") in reached
    folded = chromium.run("return document.querySelectorAll('summary').length")
    assert [tag for tag, _ in reached].count("SUMMARY") == folded > 0

    chromium.open(page, 1280)
    chromium.run("document.querySelector('summary').focus()")
    chromium.press(*ENTER)
    assert chromium.run("return document.querySelector('details').open") is True
