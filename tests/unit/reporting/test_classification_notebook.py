import json
from pathlib import Path

import class_files
import pandas as pd
import pytest
from test_class_evaluate import scored

from coverslip.reporting.notebook import execute

NOTEBOOK = Path(__file__).parents[3] / "workflow/notebooks/classification.ipynb"


@pytest.fixture
def folder(tmp_path):
    """A study's folder as the workflow leaves it, but for the figures."""
    files = class_files.make(tmp_path)
    scored(tmp_path, files, protocol="as-published")
    table = pd.read_csv(files.split)
    counts = [
        {"fold": 0, "subset": subset, "pictures": len(rows), "groups": rows["group"].nunique()}
        for subset, rows in table.groupby("subset")
    ]
    plan = {"method": "random", "seed": 4, "groups": 10, "counts": counts, "unlabelled": 7}
    plan |= {"leaking": True, "leaks": [{"groups": 3, "pairs": 2, "relatives": 0.81}]}
    (tmp_path / "split.json").write_text(json.dumps(plan))
    facts = {"dataset": "Made up", "pictures": 60, "classes": {"a172": 20}, "warnings": ["Look!"]}
    (tmp_path / "report.json").write_text(json.dumps(facts))
    (tmp_path / "figures").mkdir()
    square = '<svg xmlns="http://www.w3.org/2000/svg" id="drawn" width="9" height="9"/>'
    (tmp_path / "figures/reasons.svg").write_text(square)
    return tmp_path


def test_tells_the_numbers_of_the_study_and_runs_again_by_hand(folder):
    said = {"study": "lines", "title": "Lines again", "protocol": "as-published"}
    said["check_path"] = "report.json"
    execute(NOTEBOOK, said, folder / "notebook.ipynb", folder / "notebook.html")
    page = (folder / "notebook.html").read_text()
    records = json.loads((folder / "metrics.json").read_text())["metrics"]
    (found,) = (
        r for r in records if (r["name"], r["subset"], r["run"]) == ("accuracy", "test", "all")
    )
    assert f"{found['value']:.3f} (95 % interval {found['low']:.3f}" in page
    for words in ("Lines again", "Do not use its numbers", "81% of the test pictures"):
        assert words in page
    for words in ("7 pictures have no class", "Look!", "taken for", "Fewer than ten pictures"):
        assert words in page
    assert 'alt="Figure: reasons of Lines again"' in page
    assert "def record(" not in page
    assert "choose the epoch that is kept" in page and "those of the last epoch" not in page
    last = said | {"restore_best": False}
    execute(folder / "notebook.ipynb", last, folder / "again.ipynb", folder / "again.html")
    again = (folder / "again.html").read_text()
    assert "Lines again" in again and "those of the last epoch are kept" in again
    assert "choose the epoch" not in again


def test_is_committed_without_outputs():
    cells = json.loads(NOTEBOOK.read_text())["cells"]
    assert not [cell for cell in cells if cell.get("outputs") or cell.get("execution_count")]
    assert ["parameters"] in [cell["metadata"].get("tags") for cell in cells]
