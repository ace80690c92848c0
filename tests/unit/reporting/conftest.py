"""Figures as they are drawn in these tests."""

from itertools import combinations

import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

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
