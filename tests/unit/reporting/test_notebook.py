import base64
import json
import re

import class_files
import pandas as pd
import pytest
import study_files

from coverslip.reporting.notebook import NOTEBOOKS, execute

SEGMENTATION = NOTEBOOKS / "segmentation.ipynb"
CLASSIFICATION = NOTEBOOKS / "classification.ipynb"


def shown(page):
    """The page without its code."""
    return re.sub("<details>.*?</details>", "", page, flags=re.S)


def beside(folder, split, figure, **facts):
    """What the notebook reads beside the scores: facts of a leaking split, and a figure."""
    table = pd.read_csv(split)
    counts = [
        {"fold": 0, "subset": subset, "images": len(rows), "groups": rows["group"].nunique()}
        for subset, rows in table.groupby("subset")
    ]
    plan = {"method": "random", "seed": 4, "counts": counts, "leaking": True} | facts
    (folder / "split.json").write_text(json.dumps(plan))
    (folder / "figures").mkdir()
    square = '<svg xmlns="http://www.w3.org/2000/svg" id="drawn" width="9" height="9"/>'
    (folder / "figures" / figure).write_text(square)


@pytest.fixture
def nuclei(tmp_path):
    """The folder of a segmentation as the workflow leaves it, but for the figures."""
    files = study_files.make(tmp_path)
    study_files.score(files, tmp_path, reproduction=True)
    leaks = [{"groups": 3, "pairs": 2}]
    beside(tmp_path, files.split, "learning_curves.svg", groups=4, leaks=leaks)
    return tmp_path


def test_a_segmentation_is_told_and_runs_again_by_hand(nuclei):
    said = {"study": "study", "title": "Nuclei again", "reproduction": True}
    execute(SEGMENTATION, said, nuclei / "notebook.ipynb", nuclei / "notebook.html")
    page = (nuclei / "notebook.html").read_text()
    records = json.loads((nuclei / "metrics.json").read_text())["metrics"]
    (iou,) = (r for r in records if (r["name"], r["subset"], r["run"]) == ("iou", "test", "all"))
    assert f"<td>{iou['value']:.2f}</td>" in page and "plates" in page or "groups" in page
    drawn = base64.b64encode((nuclei / "figures/learning_curves.svg").read_bytes()).decode()
    for words in ("Nuclei again", "do not use its numbers", "3 groups and 2 pairs", drawn):
        assert words in page
    assert page.index("<h1") < page.index("<details>"), "the title is above the code"
    assert "selected epoch has the lowest" in page and "last epoch is selected." not in shown(page)
    execute(nuclei / "notebook.ipynb", {}, nuclei / "again.ipynb", nuclei / "again.html")
    assert "Nuclei again" in (nuclei / "again.html").read_text()


@pytest.fixture
def lines(tmp_path):
    """The folder of a classification as the workflow leaves it, but for the figures."""
    files = class_files.make(tmp_path)
    class_files.score(files, tmp_path, reproduction=True)
    facts = {"dataset": "Made up", "images": 60, "classes": {"a172": 20}, "warnings": ["Look!"]}
    (tmp_path / "report.json").write_text(json.dumps(facts))
    leaks = [{"groups": 3, "pairs": 2, "relatives": 0.81}]
    beside(tmp_path, files.split, "attribution_maps.svg", groups=10, unlabelled=7, leaks=leaks)
    return tmp_path


def test_a_classification_is_told_and_runs_again_by_hand(lines):
    said = {"study": "lines", "title": "Lines again", "reproduction": True}
    said["check_path"] = "report.json"
    execute(CLASSIFICATION, said, lines / "notebook.ipynb", lines / "notebook.html")
    page = (lines / "notebook.html").read_text()
    records = json.loads((lines / "metrics.json").read_text())["metrics"]
    (found,) = (
        r for r in records if (r["name"], r["subset"], r["run"]) == ("accuracy", "test", "all")
    )
    assert f"<td>{found['value']:.2f}</td>" in page
    for words in ("Lines again", "do not use its numbers", "81 % of the test images"):
        assert words in page
    for words in (
        "<td>7 images</td>",
        "Look!",
        "most frequent confusions",
        "Fewer than ten images",
    ):
        assert words in page
    assert 'alt="Attribution maps, Lines again"' in page
    assert "def record(" not in page
    assert "selected epoch has the lowest" in page and "last epoch is selected." not in shown(page)
    execute(lines / "notebook.ipynb", {}, lines / "again.ipynb", lines / "again.html")
    assert "Lines again" in (lines / "again.html").read_text()


@pytest.mark.parametrize(
    ("template", "name"), [(SEGMENTATION, "nuclei"), (CLASSIFICATION, "lines")]
)
def test_the_last_epoch_is_told_where_it_is_kept(template, name, request):
    folder = request.getfixturevalue(name)
    path = next(folder.glob("fold*_seed*/model/history.csv"))
    history = pd.read_csv(path)
    epochs = len(history) + 1
    worse = history.iloc[[-1]].assign(epoch=epochs, validation_loss=9.0)
    pd.concat([history, worse]).to_csv(path, index=False)
    said = {"study": name, "reproduction": True, "restore_best": False}
    execute(template, said, folder / "notebook.ipynb", folder / "notebook.html")
    page = (folder / "notebook.html").read_text()
    assert "last epoch is selected." in shown(page)
    cells = (path.parent.parent.name, epochs, epochs, "9.000")
    assert re.search(r"\s*".join(f"<td>{cell}</td>" for cell in cells), page)


@pytest.mark.parametrize("template", [SEGMENTATION, CLASSIFICATION])
def test_is_committed_without_outputs(template):
    cells = json.loads(template.read_text())["cells"]
    assert not [cell for cell in cells if cell.get("outputs") or cell.get("execution_count")]
    assert ["parameters"] in [cell["metadata"].get("tags") for cell in cells]


@pytest.mark.reliability(
    "D3",
    "classes and files called `<img src=x onerror=...>` or `<script>`",
    "text in `notebook.html`, which runs no script and loads nothing",
)
def test_names_of_files_run_nothing_and_nothing_is_loaded(lines):
    bad = "<img src=x onerror=alert(1)>"
    path = lines / "metrics.json"
    path.write_text(path.read_text().replace('"cell-0"', json.dumps(bad)))
    check = lines / "report.json"
    facts = json.loads(check.read_text())
    facts["warnings"] = [f"{bad} is odd", "[x](javascript:alert(1))"]
    check.write_text(json.dumps(facts))
    said = {"study": "lines", "title": f"{bad}</title><script>alert(2)</script>"}
    said["check_path"] = "report.json"
    execute(CLASSIFICATION, said, lines / "notebook.ipynb", lines / "notebook.html")
    page = (lines / "notebook.html").read_text()
    assert "onerror=alert(1)&gt; is odd" in page
    assert "<img src=x" not in page and "<script" not in page and 'href="javascript' not in page
    assert "default-src 'none'" in page and "http://" not in page and "https://" not in page
    assert str(lines) not in (lines / "notebook.ipynb").read_text() + page
    assert str(NOTEBOOKS.parents[1]) not in (lines / "notebook.ipynb").read_text() + page
