"""docs/results.md, as it is written from a run."""

import json

import made_up
import pytest
import results_page
import yaml

from coverslip.errors import CoverslipError
from coverslip.reporting import results


@pytest.fixture
def run(tmp_path):
    config, _ = made_up.results(tmp_path / "results")
    return config, tmp_path / "results"


def table(text: str, start: str) -> list[list[str]]:
    """Cells of the table whose head begins with `start`."""
    lines = text[text.index(start) :].split("\n\n")[0].splitlines()
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def write(config, root, output):
    studies = results.collect(config, list(config["studies"]), root=root)
    results_page.write(studies, "make results", output)
    return output.read_text(encoding="utf-8")


def test_published_values_are_next_to_the_results_of_each_kind(run, tmp_path):
    text = write(*run, tmp_path / "results.md")
    head, rule, *lines = table(text, "| Studies | Metric")
    assert head[2:] == ["Published", "Reproduced", "Random split", "Held-out groups"]
    assert all(len(line) == len(head) for line in lines) and set(rule) == {"---"}
    (iou,) = [line for line in lines if line[2].startswith("0.8531")]
    assert iou == [
        "`nuclei-random`, `nuclei-grouped`",
        "IoU",
        "0.8531 (other protocol)",
        "–",
        "0.8893 (0.88 to 0.93; 21 groups)",
        "0.86 (0.85 to 0.92; 21 groups)",
    ]
    (train,) = [line for line in lines if line[2] == "0.9755"]
    assert train[3] == "0.9778" and train[4] == "–"
    assert "- `nuclei-random`: U-Net vs. UNet++ for Nuclei Segmentation" in text


def test_each_study_has_its_kind_baseline_and_difference(run, tmp_path):
    text = write(*run, tmp_path / "results.md")
    head, rule, *lines = table(text, "| Study | Kind")
    assert all(len(line) == len(head) for line in lines) and set(rule) == {"---"}
    (iou,) = [line for line in lines if line[:3] == ["`nuclei-random`", "Random split", "IoU"]]
    assert iou[3:] == [
        "0.8893",
        "0.88 to 0.93",
        "134 images, 21 groups",
        "0.69 Otsu's threshold",
        "+0.20 (+0.19 to +0.21)",
        "12.2",
    ]
    assert "```\nmake results\n```" in text


def test_the_head_names_the_code_of_the_runs_and_of_the_page(run, tmp_path, monkeypatch):
    monkeypatch.setattr(results_page, "git_state", lambda: "abc1")
    runs = {"one": [{"git": "abc1", "code": "f00d"}], "two": [{"git": "abc1", "code": "beef"}]}
    assert "at which all models were trained. Code fingerprints: `beef`, `f00d`" in (
        results_page._code(runs)
    )
    runs["one"][0]["git"] = "0ld"
    assert "trained at `0ld`, `abc1`" in results_page._code(runs)
    assert "Written at commit `abc1`" in write(*run, tmp_path / "results.md")


def test_machine_minutes_and_licence_are_told(run, tmp_path):
    config, root = run
    text = write(config, root, tmp_path / "results.md")
    _, _, *lines = table(text, "| Study | Title")
    assert [line[0] for line in lines] == [f"`{name}`" for name in config["studies"]]
    assert lines[0][4:7] == [
        "12.2",
        "CPU, Intel Xeon Platinum, 2 cores",
        "2026-03-02T09:14:05+00:00",
    ]
    assert "Licence: CC0-1.0. Caicedo et al." in text
    doubts = text[text.index("## Known issues and limitations") : text.index("## Data")]
    told = {
        name: study["known_issues"]
        for name, study in config["studies"].items()
        if study["known_issues"]
    }
    assert told and all(
        f"- `{name}`: {' '.join(known_issues)}" in doubts for name, known_issues in told.items()
    )
    assert doubts.count("\n- ") == len(told)


def test_without_time_or_device_nothing_is_invented(run, tmp_path):
    config, root = run
    for path in root.glob("studies/*/fold0_seed1/model/run.json"):
        path.write_text("{}")
    _, _, *lines = table(write(config, root, tmp_path / "results.md"), "| Study | Title")
    assert lines[0][4:] == ["–", "machine not recorded", "–", "–"]


def test_several_trainings_are_summed(run, tmp_path):
    config, root = run
    config["studies"]["nuclei-random"]["seeds"] = [1, 2]
    home = root / "studies" / "nuclei-random"
    second = home / "fold0_seed2" / "model" / "run.json"
    second.parent.mkdir(parents=True)
    second.write_text(json.dumps({"seconds": 60}))
    _, _, *lines = table(write(config, root, tmp_path / "results.md"), "| Study | Title")
    assert {line[0]: line[3:5] for line in lines}["`nuclei-random`"] == ["2", "13.2"]


def test_bars_in_titles_do_not_break_the_table(run, tmp_path):
    config, root = run
    config["studies"]["nuclei-random"]["title"] = "a|b"
    assert r"| a\|b |" in write(config, root, tmp_path / "results.md")


def test_the_command_line_writes_the_page(run, tmp_path, monkeypatch):
    _, root = run
    configfile = tmp_path / "own.yaml"
    source = yaml.safe_load((made_up.ROOT / "config" / "kaggle.yaml").read_text())
    configfile.write_text(yaml.safe_dump(source | {"run": ["nuclei-random"]}))
    output = tmp_path / "docs" / "results.md"
    peers = tmp_path / "peers.md"
    peers.write_text("## Beside others\n\n| a |\n| --- |\n\n")
    arguments = ["--configfile", str(configfile), "--results", str(root), "--output", str(output)]
    results_page.main([*arguments, "--append", str(peers)])
    text = output.read_text()
    assert "\n\n## Beside others\n\n| a |\n| --- |\n\n## Trainings\n" in text
    assert f"python benchmarks/results_page.py --configfile {configfile}" in text
    assert "nuclei-grouped" not in text


def test_studies_that_were_not_run_are_named(run, tmp_path):
    _, root = run
    (root / "studies/nuclei-semantic-reproduced/metrics.json").unlink()
    output = tmp_path / "results.md"
    configfile = str(made_up.ROOT / "config" / "kaggle.yaml")
    results_page.main(["--configfile", configfile, "--results", str(root), "--output", str(output)])
    text = output.read_text()
    line = next(line for line in text.splitlines() if line.startswith("Not run: "))
    assert "`nuclei-semantic-reproduced`" in line and "`types-grouped`" in line
    assert "nuclei-grouped" not in line
    assert "| `nuclei-semantic-reproduced`" not in text and "`nuclei-random`" in text


def test_a_run_that_is_not_there_is_one_line_and_writes_nothing(run, tmp_path):
    config, _ = run
    with pytest.raises(CoverslipError, match="metrics.json: missing"):
        write(config, tmp_path / "nowhere", tmp_path / "results.md")
    assert not (tmp_path / "results.md").exists()
    arguments = ["--configfile", str(tmp_path / "absent.yaml")]
    with pytest.raises(SystemExit, match="coverslip: .*absent.yaml"):
        results_page.main(arguments)


def test_a_part_that_is_not_there_is_named(run, tmp_path):
    _, root = run
    configfile = str(made_up.ROOT / "config" / "kaggle.yaml")
    arguments = ["--configfile", configfile, "--results", str(root)]
    arguments += ["--output", str(tmp_path / "results.md"), "--append", str(tmp_path / "no.md")]
    with pytest.raises(SystemExit, match="coverslip: .*no.md"):
        results_page.main(arguments)
    assert not (tmp_path / "results.md").exists()
