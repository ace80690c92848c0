"""Figures as they are drawn in these tests."""

import importlib
from itertools import combinations

import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from coverslip.reporting import figures, report

TOUCH = 1.5
"""Units of the renderer, points in an svg, by which lines of words may overlap in height or reach
over the edge: their boxes have room for every letter."""
GAP = 3
"""Least units between words of one height, so that they do not run into one another."""


def collisions(boxes):
    """Which words run into which, of pairs of a text and its box; oblique ones are left out."""
    found = []
    for (one, a), (other, b) in combinations(boxes, 2):
        width = min(a.x1, b.x1) - max(a.x0, b.x0)
        height = min(a.y1, b.y1) - max(a.y0, b.y0)
        if width > -GAP and height > TOUCH:
            found.append(f"{one!r} runs into {other!r}")
    return found


def cut_off(boxes, page):
    """Which words reach over the edge of the figure."""
    return [
        word
        for word, box in boxes
        if min(box.x0 - page.x0, box.y0 - page.y0, page.x1 - box.x1, page.y1 - box.y1) < -TOUCH
    ]


@pytest.fixture(autouse=True)
def words_have_room(monkeypatch):
    """In no figure that is drawn words run into others or over the edge."""
    boxes, pages = [], []
    draw_text, draw_figure, save = Text.draw, Figure.draw, Figure.savefig

    def text_drawn(text, renderer, *args, **kwargs):
        draw_text(text, renderer, *args, **kwargs)
        if text.get_visible() and text.get_text().strip() and text.get_rotation() % 90 == 0:
            boxes.append((text.get_text(), text.get_window_extent(renderer)))

    def figure_drawn(figure, renderer):
        boxes.clear()
        draw_figure(figure, renderer)
        pages[:] = [figure.bbox.frozen()]

    def saved(figure, *args, **kwargs):
        save(figure, *args, **kwargs)
        assert boxes
        assert not collisions(boxes)
        assert not cut_off(boxes, *pages)

    monkeypatch.setattr(Text, "draw", text_drawn)
    monkeypatch.setattr(Figure, "draw", figure_drawn)
    monkeypatch.setattr(Figure, "savefig", saved)


@pytest.fixture
def panels(monkeypatch, tmp_path):
    """Return the positions of a figure's panels, as fractions of the figure: (left, middle)."""

    def draw(name, inputs):
        module = importlib.import_module(f"coverslip.reporting.figures.{name}")
        drawn, save = [], module.save

        def keep(figure, output):
            save(figure, output)
            drawn.append(figure)

        monkeypatch.setattr(module, "save", keep)
        figures.draw(name, inputs, tmp_path / f"{name}.png")
        boxes = [axes.get_position() for axes in drawn[0].axes]
        return [(box.x0, (box.y0 + box.y1) / 2) for box in boxes]

    return draw


@pytest.fixture
def check_left_and_right(panels):
    """Return a check that a caption says `Left` and `Right` only of panels next to each other."""

    def check(name, inputs):
        words = (report.TEMPLATES / f"{name}.rst").read_text(encoding="utf-8").split()
        said = {word.strip(":.,") for word in words} & {"Left", "Right"}
        places = panels(name, inputs)
        beside = [(a, b) for a in places for b in places if abs(a[1] - b[1]) < 0.15 < b[0] - a[0]]
        assert not said or beside, f"{name}: no panels are left and right"
        return said

    return check
