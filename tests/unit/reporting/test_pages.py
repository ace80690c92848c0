"""Pages are filled from templates that escape their values and miss none."""

import pytest
from jinja2 import UndefinedError

from coverslip import __version__
from coverslip.reporting import pages


@pytest.fixture
def templates(tmp_path):
    (tmp_path / "page.css").write_text("a > b {}")
    (tmp_path / "page.js").write_text("1 > 0;")
    (tmp_path / "x.html.j2").write_text("<style>{{ css }}</style>{{ version }} {{ name }}")
    return tmp_path


def test_values_are_escaped_and_the_style_is_not(templates):
    page = pages.render("x.html.j2", {"name": "<b>"}, templates)
    assert page == f"<style>a > b {{}}</style>{__version__} &lt;b&gt;"


def test_a_missing_value_is_an_error(templates):
    with pytest.raises(UndefinedError):
        pages.render("x.html.j2", {}, templates)
