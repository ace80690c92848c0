"""Every hostile and damaged image in one folder: measured or named with its reason, in one run."""

import re
import subprocess
import sys

import hostile_files
import pandas as pd
import pytest
from running import ROOT, clean_environment

pytestmark = pytest.mark.e2e

LINES = re.compile(
    r"shard 0: \d+ files, .*|files that are not read: 1 \.mrxs, 1 \.vsi: .*"
    r"|links to folders, pipes or devices are not followed: hide/up: .*|page +/.*|"
)


@pytest.mark.reliability(
    "D4",
    "all images of `tests/hostile_files.py` in one folder: bombs, damaged files, pipes, links, "
    "pickles, odd metadata, odd names",
    "measured in one run: each has a row with numbers or the reason; no traceback, no code is run",
)
def test_a_folder_of_all_hostile_files_is_measured(tmp_path):
    hostile_files.write_all(tmp_path / "in")
    there = sorted((tmp_path / "in").rglob("*"))
    done = subprocess.run(
        [sys.executable, "-m", "coverslip.cli", "measure", "in", "--model", "confluency"],
        cwd=tmp_path,
        env=clean_environment() | {"PYTHONPATH": str(ROOT / "workflow/scripts")},
        capture_output=True,
        text=True,
        errors="surrogateescape",
    )
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stderr.splitlines() if line]
    assert [line for line in lines if not LINES.fullmatch(line)] == []
    assert len(set(lines)) == len(lines)
    assert "Traceback" not in "".join(
        log.read_text() for log in (tmp_path / "results/logs").rglob("*.log")
    )
    assert sorted((tmp_path / "in").rglob("*")) == there
    assert not list(tmp_path.rglob("PWNED")) and not list(tmp_path.rglob("*.part"))
    (csv,) = tmp_path.glob("results/measure/*/images.csv")
    table = pd.read_csv(csv, keep_default_na=False)
    table[["part", "name"]] = table["image"].str.split("/", n=1, expand=True)
    images = {part: rows.set_index("name") for part, rows in table.groupby("part")}
    whole = images["bomb"]["error"]
    assert set(whole.index[whole == ""]) == {"entities.ome.tif"}
    for part, not_read in (("bomb", set()), ("damage", {"a.vsi", "a.mrxs"})):
        files = {path.name for path in (tmp_path / "in" / part).iterdir()}
        assert set(images[part].index) == files - not_read
    assert len(images["odd_names"]) == len(hostile_files.NAMES)
    for part in ("odd_names", "mislead"):
        assert set(images[part]["error"]) == {""}
    assert set(images["mislead"]["pixel_height_um"]) == {""}
    assert set(images["hide"]["n_objects"]) == {""}
