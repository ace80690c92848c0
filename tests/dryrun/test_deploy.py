"""The workflow is found wherever it is included from: a module, a tag on GitHub, another folder."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from hosted import GITHUB, SNAKEFILE, TAG, host
from running import ROOT, clean_environment, jobs, snakemake, tiny

CLONE = str(ROOT / "workflow/Snakefile")


@pytest.fixture(scope="module")
def hosted(tmp_path_factory) -> dict[str, str]:
    """Environment variables under which GitHub is a folder with this workflow, tagged."""
    return host(tmp_path_factory.mktemp("github"))


@pytest.fixture
def lab(tmp_path) -> Path:
    """A folder with nothing but a config of one study."""
    config = tiny(Path("own"))
    config["studies"].pop("two")
    config["datasets"].pop("own")
    (tmp_path / "config").mkdir()
    (tmp_path / "config/config.yaml").write_text(yaml.safe_dump(config))
    return tmp_path


def counts(text: str) -> dict[str, int]:
    """Jobs by rule in the output of a dry run."""
    table = text.split("Job stats:")[1].split("\n\n")[0]
    return {rule: int(n) for rule, n in re.findall(r"^(\w+) +(\d+)$", table, flags=re.MULTILINE)}


def test_a_tag_on_github_is_the_workflow_of_a_clone(hosted, lab):
    """All of the package, its schema, templates and binary models come with the rules."""
    (lab / "Snakefile").write_text(SNAKEFILE)
    with (lab / "config/config.yaml").open("a") as config:
        config.write("\nimages: one\nmodel: nuclei-1\n")
    deployed = counts(snakemake(lab, "--dry-run", **hosted))
    assert deployed == counts(snakemake(lab, "--dry-run", "-s", CLONE))
    assert deployed["train"] == deployed["measure_images"] == 1
    fetched = Path(hosted["XDG_CACHE_HOME"]).rglob("nuclei-1/model.int8.onnx")
    shipped = ROOT / "resources/models/nuclei-1/model.int8.onnx"
    assert {file.read_bytes() for file in fetched} == {shipped.read_bytes()}


def test_shorthand_of_github(hosted, lab):
    text = snakemake(lab, "--dry-run", "-s", f"gh:lab/coverslip@{TAG}", **hosted)
    assert counts(text)["train"] == 1


def test_module_with_a_prefix_and_an_overridden_rule_and_config(lab):
    """Two seeds of the config that the module is given, and one thread of the rule, count."""
    text = SNAKEFILE.replace(GITHUB, f'"{CLONE}"')
    text = text.replace("\n\nmodule", '\nconfig["studies"]["one"]["seeds"] = [1, 2]\n\n\nmodule')
    text = text.replace("use rule * from coverslip", "use rule * from coverslip as their_*")
    text += "\n\nuse rule train from coverslip as their_train with:\n    threads: 1\n"
    (lab / "Snakefile").write_text(text)
    plan = snakemake(lab, "--dry-run", "their_all")
    assert counts(plan)["their_train"] == 2
    assert "threads: 2" in plan.split("rule their_predict:")[1].split("resources:")[0]
    # Snakemake does not show one thread.
    for train in plan.split("rule their_train:")[1:]:
        assert "threads:" not in train.split("resources:")[0]


def test_git_file_says_what_to_use_instead(hosted, lab):
    source = f'"git+file://{hosted["REPOSITORY"]}/workflow/Snakefile@{TAG}"'
    (lab / "Snakefile").write_text(SNAKEFILE.replace(GITHUB, source))
    text = snakemake(lab, "--dry-run", check=False)
    assert "use the path of a clone" in text


def test_planning_needs_only_the_packages_of_snakemake(lab):
    """An environment with Snakemake alone plans the run: `--sdm conda` brings the rest."""
    ours = ["numpy", "scipy", "sklearn", "skimage", "pandas", "cv2", "h5py", "keras", "tensorflow"]
    ours += ["matplotlib", "PIL", "tifffile", "zarr", "duckdb", "onnx", "papermill", "pydantic"]
    # Plugins of Snakemake's own may have imported some.
    block = f"sys.modules.update(dict.fromkeys({ours}))"
    code = f"import sys; from snakemake.cli import main; {block}; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "--dry-run", "--cores", "1", "-s", CLONE],
        cwd=lab,
        env=clean_environment(),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert "train" in done.stdout


def test_measuring_elsewhere_needs_no_studies(tmp_path):
    """A folder without a config uses the workflow's own, of which `measure` needs nothing."""
    (tmp_path / "plate").mkdir()
    (tmp_path / "model").mkdir()
    (tmp_path / "model/model.json").write_text("{}")
    (tmp_path / "measure.yaml").write_text("images: plate\nmodel: model\n")
    (tmp_path / "plate/a.png").write_bytes(b"")
    source = ["-s", CLONE, "--directory", str(tmp_path)]
    found = jobs(tmp_path, "measure", *source, "--configfile", str(tmp_path / "measure.yaml"))
    assert "measure_tables" in found and "train" not in found
