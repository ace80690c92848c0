"""Figures as they are drawn in these tests."""

from itertools import combinations

import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

TOUCH = 1.5
"""Units of the renderer, points in an svg, by which lines of words may overlap in height: their
boxes have room for every letter."""
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


@pytest.fixture(autouse=True)
def words_stand_apart(monkeypatch):
    """In no figure that is drawn words run into others."""
    boxes = []
    draw_text, draw_figure, save = Text.draw, Figure.draw, Figure.savefig

    def text_drawn(text, renderer, *args, **kwargs):
        draw_text(text, renderer, *args, **kwargs)
        if text.get_visible() and text.get_text().strip() and text.get_rotation() % 90 == 0:
            boxes.append((text.get_text(), text.get_window_extent(renderer)))

    def figure_drawn(figure, renderer):
        boxes.clear()
        draw_figure(figure, renderer)

    def saved(figure, *args, **kwargs):
        save(figure, *args, **kwargs)
        assert boxes
        assert not collisions(boxes)

    monkeypatch.setattr(Text, "draw", text_drawn)
    monkeypatch.setattr(Figure, "draw", figure_drawn)
    monkeypatch.setattr(Figure, "savefig", saved)
