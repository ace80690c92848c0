import base64
import json
from pathlib import Path

import pandas as pd
import pytest
import study_files

from coverslip.configuration.config import Evaluation, Preprocessing
from coverslip.evaluation.evaluate import evaluate
from coverslip.reporting.notebook import execute

NOTEBOOK = Path(__file__).parents[3] / "workflow/notebooks/segmentation.ipynb"


@pytest.fixture
def folder(tmp_path):
    """A study's folder as the workflow leaves it, but for the figures."""
    files = study_files.make(tmp_path)
    evaluate(
        predictions=files.predictions,
        models=files.models,
        pictures=files.pictures,
        groups=files.groups,
        split=files.split,
        preprocessing=Preprocessing(),
        evaluation=Evaluation(bootstrap=100),
        study="study",
        protocol="as-published",
        output=tmp_path / "metrics.json",
        table=tmp_path / "pictures.csv",
    )
    table = pd.read_csv(files.split)
    counts = [
        {"fold": 0, "subset": subset, "pictures": len(rows), "groups": rows["group"].nunique()}
        for subset, rows in table.groupby("subset")
    ]
    plan = {"method": "random", "seed": 4, "groups": 4, "counts": counts}
    plan |= {"leaking": True, "leaks": [{"groups": 3, "pairs": 2}]}
    (tmp_path / "split.json").write_text(json.dumps(plan))
    (tmp_path / "figures").mkdir()
    square = '<svg xmlns="http://www.w3.org/2000/svg" id="drawn" width="9" height="9"/>'
    (tmp_path / "figures/curves.svg").write_text(square)
    return tmp_path


def test_tells_the_numbers_of_the_study_and_runs_again_by_hand(folder):
    said = {"study": "study", "title": "Nuclei again", "protocol": "as-published"}
    execute(NOTEBOOK, said, folder / "notebook.ipynb", folder / "notebook.html")
    page = (folder / "notebook.html").read_text()
    records = json.loads((folder / "metrics.json").read_text())["metrics"]
    (iou,) = (r for r in records if (r["name"], r["subset"], r["run"]) == ("iou", "test", "all"))
    assert f"{iou['value']:.3f} (95 % interval {iou['low']:.3f}" in page
    drawn = base64.b64encode((folder / "figures/curves.svg").read_bytes()).decode()
    for words in ("Nuclei again", "Do not use its numbers", "3 groups and 2 pairs", drawn):
        assert words in page
    assert "def record(" not in page and "In&nbsp;[" not in page
    assert "choose the epoch that is kept" in page and "those of the last epoch" not in page
    last = said | {"restore_best": False}
    execute(folder / "notebook.ipynb", last, folder / "again.ipynb", folder / "again.html")
    again = (folder / "again.html").read_text()
    assert "Nuclei again" in again and "those of the last epoch are kept" in again
    assert "choose the epoch" not in again


def test_is_committed_without_outputs():
    cells = json.loads(NOTEBOOK.read_text())["cells"]
    assert not [cell for cell in cells if cell.get("outputs") or cell.get("execution_count")]
    assert ["parameters"] in [cell["metadata"].get("tags") for cell in cells]
