"""Bad input ends a run with its name and fix; after the fix the run goes on from there."""

import json
import zipfile
from pathlib import Path

import pytest
import yaml
from running import copy_project, jobs, snakemake

from coverslip.data.simulate import nuclei

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def clone(tmp_path_factory) -> Path:
    return copy_project(tmp_path_factory.mktemp("clone"))


@pytest.fixture(scope="module")
def archive(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("archive") / "good.zip"
    nuclei.nuclei(path, images=8, size=64, seed=3)
    return path


def write_config(clone: Path, source: dict, **dataset) -> list[str]:
    """A config of one study of that source; its arguments for Snakemake."""
    config = {
        "datasets": {"own": {"title": "Own", "format": "dsb2018", "source": source} | dataset},
        "studies": {
            "one": {
                "title": "One",
                "dataset": "own",
                "split": {"method": "random"},
                "preprocessing": {"patch": 32},
                "network": {"filters": 2, "depth": 1},
            }
        },
    }
    name = f"{Path(source['path']).name}.yaml"
    (clone / name).write_text(yaml.safe_dump(config))
    return ["--configfile", name, "--directory", str(clone / f"run-{Path(name).stem}")]


def prepare(clone: Path, arguments: list[str], check: bool = True) -> str:
    configfile = str(clone / arguments[1])
    rest = ["--configfile", configfile, *arguments[2:], "--until", "extract_patches", "check"]
    profile = ["--workflow-profile", str(clone / "workflow/profiles/default")]
    return snakemake(clone, *profile, *rest, check=check)


def test_a_truncated_archive_is_named_and_can_be_replaced(clone, archive, tmp_path):
    own = tmp_path / "cut.zip"
    own.write_bytes(archive.read_bytes()[:-3000])
    arguments = write_config(clone, {"kind": "path", "path": str(own)})
    told = prepare(clone, arguments, check=False)
    assert f"coverslip: {own}: " in told
    made = clone / "run-cut.zip"
    left = [p for p in made.rglob("*") if p.is_file() and "logs" not in p.parts]
    left = [p for p in left if ".snakemake" not in p.parts and p.suffix != ".tsv"]
    assert not left
    failed = made / "results/logs/ingest/own.run.json"
    assert str(own) in json.loads(failed.read_text())["failed"]
    own.write_bytes(archive.read_bytes())
    prepare(clone, arguments)
    assert (made / "results/datasets/own/images.h5").is_file()
    assert (made / "results/studies/one/patches/0/images.npy").is_file()


def test_a_image_without_mask_is_named(clone, archive, tmp_path):
    own = tmp_path / "bare.zip"
    with zipfile.ZipFile(archive) as good, zipfile.ZipFile(own, "w") as bad:
        lonely = sorted(good.namelist())[0].split("/")[0]
        for name in good.namelist():
            if not name.startswith(f"{lonely}/masks"):
                bad.writestr(name, good.read(name))
    told = prepare(clone, write_config(clone, {"kind": "path", "path": str(own)}), check=False)
    line = next(line for line in told.splitlines() if line.startswith("coverslip: "))
    assert lonely in line and "mask" in line


def test_a_missing_folder_is_named_before_anything_runs(clone, tmp_path):
    arguments = write_config(clone, {"kind": "path", "path": str(tmp_path / "nowhere")})
    told = prepare(clone, arguments, check=False)
    assert f"{tmp_path / 'nowhere'} is missing: put the archive or folder" in told
    assert "rule ingest" not in told


def test_a_folder_is_read_like_an_archive(clone, archive, tmp_path):
    with zipfile.ZipFile(archive) as good:
        good.extractall(tmp_path / "folder")
    arguments = write_config(clone, {"kind": "path", "path": str(tmp_path / "folder")})
    prepare(clone, arguments)
    assert (clone / "run-folder/results/datasets/own/check/report.json").is_file()
    configfile = ["--configfile", str(clone / arguments[1]), *arguments[2:]]
    profile = ["--workflow-profile", str(clone / "workflow/profiles/default")]
    left = jobs(clone, *profile, *configfile)
    assert "ingest" not in left and "extract_patches" not in left and left["train"] == 1
