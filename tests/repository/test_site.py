"""The documentation site: it builds, and every link of it leads somewhere."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from running import ROOT


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """The site, built as `make docs` builds it: a link or anchor that leads nowhere fails."""
    output = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "-d", str(output)]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return output


def test_pages_from_elsewhere_link_to_pages_of_the_site(site):
    home = (site / "index.html").read_text(encoding="utf-8")
    assert 'href="tutorials/first-run/"' in home and 'src="hero.png"' in home
    config = (site / "reference/config/index.html").read_text(encoding="utf-8")
    assert "../../how-to/classify/" in config


def test_reference_has_every_verb_and_the_documented_functions(site):
    text = (site / "reference/cli/index.html").read_text(encoding="utf-8")
    for verb in ("demo", "init", "run", "measure", "explain", "doctor"):
        assert f"coverslip {verb}" in text
    api = (site / "reference/api/index.html").read_text(encoding="utf-8")
    assert "coverslip.metrics.matching.match" in api


def test_the_site_loads_nothing_from_other_hosts(site):
    """Addresses that a browser would load by itself: scripts, styles, images, fonts."""
    loaded = re.compile(
        r"""<(?:script|img|iframe|source)[^>]*\ssrc=["']?(https?:)?//"""
        r"""|<link[^>]*rel=["']?(?:stylesheet|preconnect)[^>]*href=["']?(https?:)?//"""
    )
    wrong = [p.name for p in site.rglob("*.html") if loaded.search(p.read_text("utf-8"))]
    assert wrong == []
