"""The command `coverslip`: the Snakemake command that it builds, its hints, its config files."""

import os
import sys
from pathlib import Path

import pytest
import yaml

from coverslip import cli, doctor
from coverslip.files import WORKFLOW
from coverslip.measure import direct
from coverslip.pipeline import missing_data


@pytest.fixture
def started(monkeypatch, tmp_path) -> list[str]:
    """Arguments of the Snakemake that the command becomes; it works in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", "/bin")
    found: list[str] = []
    monkeypatch.setattr(os, "execv", lambda program, words: found.extend([program, *words[1:]]))
    return found


def model(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "model.json").write_text("{}")
    return folder


def test_run_passes_on_what_follows_two_dashes(started, capfd):
    Path("my.yaml").write_text("studies: {}\n")
    assert not cli.main(["run", "my.yaml", "-n", "--", "--executor", "slurm"])
    assert started[:3] == [sys.executable, "-m", "snakemake"]
    assert started[3:] == [
        *("--snakefile", str(WORKFLOW / "Snakefile"), "--cores", "all", "--dry-run"),
        *("--quiet", "rules", "host", "reason", "--configfile", "my.yaml"),
        *("--executor", "slurm"),
    ]
    assert "snakemake --snakefile" in capfd.readouterr().err
    assert os.environ["PATH"].startswith(str(Path(sys.executable).parent))


def test_run_of_a_config_without_studies_measures(started, monkeypatch):
    calls = []
    monkeypatch.setattr(direct, "measure_folder", lambda *given: calls.append(given) or Path())
    config = {"images": "plate", "model": "model", "measure": {"channel": 1}}
    Path("coverslip.yaml").write_text(yaml.safe_dump(config))
    assert cli.main(["run", "-c", "2"]) == 0
    assert calls == [(config, "coverslip run -c 2", 2)] and not started
    cli.main(["run", "-n"])
    assert started[3] == "measure"


def test_demo_has_a_folder_and_a_config_of_its_own(started):
    cli.main(["demo"])
    own = Path("coverslip-demo/config/config.yaml")
    assert own.read_text() == (WORKFLOW.parent / "config/config.yaml").read_text()
    assert started[started.index("--directory") + 1] == "coverslip-demo"
    own.write_text("studies: {}\n")
    cli.main(["demo"])
    assert own.read_text() == "studies: {}\n"


@pytest.mark.parametrize(("channel", "value"), [("0", 0), ("DAPI", "DAPI")])
def test_measure_writes_its_config_beside_the_results(started, tmp_path, channel, value):
    """Names of folders need no care: Snakemake reads them from a file."""
    Path("plate é: 1").mkdir()
    model(tmp_path / "m/model")
    words = [
        "plate é: 1",
        "--model",
        "m/model",
        "-o",
        "out",
        "--pixel-size",
        "0.65",
        "--channel",
        channel,
        "--z",
        "max",
    ]
    cli.main(["measure", *words, "--dry-run"])
    assert started[3] == "measure"
    assert started[started.index("--directory") + 1] == "out"
    config = Path(started[started.index("--configfile") + 1])
    assert config.parent == tmp_path / "out/results/measure"
    assert yaml.safe_load(config.read_text("utf-8")) == {
        "images": str(tmp_path / "plate é: 1"),
        "model": str(tmp_path / "m/model"),
        "measure": {"channel": value, "z": "max", "pixel_size_um": 0.65},
    }
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m", "out", "plate é: 1"]


def test_measure_starts_snakemake_only_if_something_is_for_it(
    started, tmp_path, monkeypatch, capfd
):
    calls = []

    def measure_folder(config, command, cores):
        calls.append((config, command, cores, Path.cwd()))
        return Path("results/measure.html")

    monkeypatch.setattr(direct, "measure_folder", measure_folder)
    Path("plate").mkdir()
    home = model(tmp_path / "m/model")
    words = ["measure", "plate", "--model", "m/model"]
    assert cli.main([*words, "-o", "out", "--cores", "2"]) == 0 and not started
    config = {"images": str(tmp_path / "plate"), "model": str(home)}
    command = "coverslip measure plate --model m/model -o out --cores 2"
    assert calls == [(config, command, 2, tmp_path / "out")]
    assert "results/measure.html" in capfd.readouterr().err
    monkeypatch.chdir(tmp_path)
    cli.main([*words, "--", "--executor", "slurm"])
    assert started[-2:] == ["--executor", "slurm"] and len(calls) == 1


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["mesure"], "did you mean `measure`?"),
        (["train"], "one of: demo, init, run, measure, explain, audit, doctor"),
        (["measure"], "`coverslip measure --help`"),
        (["measure", "x", "--modle", "y"], "did you mean `--model`?"),
        (["--versoin"], "did you mean `--version`?"),
        (["measure", "x", "--channel", " "], "--channel: ' ' is no channel"),
        (["measure", "x", "--z", "0"], "--z: '0' is not all, max, focus"),
        (["measure", "x", "--pixel-size", "-1"], "--pixel-size"),
        (["run", "x", "--cores", "0"], "--cores: '0' is neither `all` nor a number from 1 on"),
        (["run", "x", "-c", "four"], "--cores: 'four' is neither"),
        (["run", "--executor", "slurm"], "options of Snakemake follow after `--`"),
    ],
)
def test_a_wrong_word_is_one_line_with_a_hint(started, capsys, words, hint):
    with pytest.raises(SystemExit) as caught:
        cli.main(words)
    assert caught.value.code == 2
    error = capsys.readouterr().err
    assert hint in error and error.count("\n") == 1 and not started


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["run"], "coverslip.yaml: no such file; `coverslip init FOLDER` writes a config"),
        (["run", "brokn.yml"], "brokn.yml: no such file; did you mean `broken.yaml`?"),
        (["run", "plate"], "plate: is a folder; `coverslip init plate` writes a config for it"),
        (["demo", "list.yaml"], "list.yaml: is a file; name a folder for the demo"),
        (["explain", "nowhere"], "nowhere: no such file"),
        (["run", "list.yaml"], "list.yaml: is empty, or no map of keys"),
        (["run", "broken.yaml"], "broken.yaml: not YAML"),
        (["measure", "nowhere", "--model", "m"], "nowhere: no such folder"),
        (["measure", "list.yaml", "--model", "m"], "list.yaml: is a file; name its folder"),
        (["measure", ".", "--model", "m"], "m: not a model folder; `--model` takes the folder"),
        (["measure", ".", "--model", "x"], "x: not a model folder; `--model` takes the folder"),
        (["init", "nowhere"], "nowhere: no such folder"),
        (["init", "."], ".: no image in it"),
        (["init", ".", "-o", "list.yaml"], "list.yaml: exists; `--force` replaces it"),
        (["explain", "list.yaml"], "no run record is next to it"),
    ],
)
def test_a_mistake_is_one_line_with_a_hint(started, capsys, words, hint):
    Path("list.yaml").write_text("[]\n")
    Path("broken.yaml").write_text("a: [\n")
    Path("plate").mkdir()
    assert cli.main(words) == 1
    error = capsys.readouterr().err
    assert hint in error and error.count("\n") == 1 and not started


@pytest.mark.parametrize(
    ("words", "extra"),
    [
        (["demo"], "train"),
        (["run"], "train"),
        (["measure", "plate", "-n"], "workflow"),
        (["measure", "plate", "--model", "stardist"], "workflow"),
        (["measure", "plate", "--", "--executor", "slurm"], "workflow"),
    ],
)
def test_without_snakemake_one_line_names_the_extra(started, monkeypatch, capsys, words, extra):
    monkeypatch.setattr(cli, "find_spec", lambda name: None)
    Path("plate").mkdir()
    assert cli.main(words) == 1
    assert f"pip install 'coverslip[{extra}]'" in capsys.readouterr().err
    assert not started and [path.name for path in Path().iterdir()] == ["plate"]


def test_doctor_shows_no_values_of_credentials(monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(missing_data, "KAGGLE_VARIABLES", ("SOME_KEY",))
    monkeypatch.delenv("KAGGLE_CONFIG_DIR", raising=False)
    assert doctor.main() == 0
    assert "credentials: none" in capsys.readouterr().out
    monkeypatch.setenv("SOME_KEY", "sesame")
    assert doctor.main() == 0
    printed = capsys.readouterr().out
    assert "credentials: present" in printed and "sesame" not in printed


def test_doctor_says_why_there_is_no_gpu(monkeypatch, tmp_path):
    assert doctor.gpu(tmp_path) == "none: this machine has no NVIDIA GPU, or no driver for it"
    (tmp_path / "nvidia0").touch()
    monkeypatch.setattr(doctor, "tensorflow", lambda: None)
    assert doctor.gpu(tmp_path) == "1 NVIDIA, but no TensorFlow: pip install 'coverslip[gpu]'"
    monkeypatch.setattr(doctor, "tensorflow", lambda: "2.21.0")
    answers = {
        "print('cpu')": "1 NVIDIA, but this TensorFlow is for CPUs: coverslip[gpu] is for GPUs",
        "print('cuda'); print('H200')": "H200",
        "import sys; print('cuda'); print('no libcudnn', file=sys.stderr)": (
            "1 NVIDIA, but TensorFlow cannot use it: no libcudnn"
        ),
    }
    for code, answer in answers.items():
        monkeypatch.setattr(doctor, "GPU_QUESTION", code)
        assert doctor.gpu(tmp_path) == answer
