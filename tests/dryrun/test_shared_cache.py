"""The cache that clones share: what hits it, and what misses it."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from running import clean_environment, copy_project, snakemake

MODEL = "results/studies/one/fold0_seed1/model/model.keras"
# Runs in a copy of the finished project: applies one change after the other, tells for each of the
# three rules whether its job would find an entry, and takes the change back.
PROGRAM = """
import json, re, sys, types
from pathlib import Path
from coverslip.runtime import code_fingerprint, explain, result_cache

MODEL = sys.argv[1]
CODE, CONFIG = "workflow/scripts/coverslip/", "config/config.yaml"
CHANGES = {
    "nothing": [],
    "comment": [(CODE + "training/patches.py", "\\Z", "# a comment\\n")],
    "helper code": [(CODE + "files.py", "        part.unlink", "        1\\n\\\\g<0>")],
    "architecture": [(CODE + "models/networks/unet.py", "\\ndef build", "\\n@id\\\\g<0>")],
    "package": [],
    "data": [("results/raw/made.zip", "\\Z", " ")],
    "mask threshold": [(CONFIG, "  made:", "\\\\g<0>\\n    mask_threshold: 9")],
    "patch": [(CONFIG, "patch: 32", "patch: 64")],
    "learning rate": [(CONFIG, "batch_size: 4", "\\\\g<0>\\n      learning_rate: 0.1")],
    "title": [(CONFIG, "title: Tiny", "title: Large")],
    "split by hand": [("results/studies/one/split.csv", "validation", "test")],
    "images by hand": [("results/datasets/made/manifest.csv", "\\Z", "\\n")],
    "seed": [(CONFIG, "  one:", "\\\\g<0>\\n    seeds: [2]")],
}

def found():
    code_fingerprint.clear_caches()
    target = MODEL.replace("seed1", "seed2") if "seeds: [2]" in config.read_text() else MODEL
    hits = []
    for job in explain.plan_jobs(target):
        paths = [p for v in job.input.values() for p in ([v] if isinstance(v, str) else v)]
        facts = vars(job) | {"input": paths}
        if job.rule in ("ingest", "extract_patches", "train"):
            if result_cache.entry(types.SimpleNamespace(**facts)).is_dir():
                hits.append(job.rule)
    return sorted(hits)

config, hits = Path(CONFIG), {}
for name, edits in CHANGES.items():
    before = {path: Path(path).read_bytes() for path, _, _ in edits}
    for path, old, new in edits:
        text, count = re.subn(old, new, before[path].decode("latin-1"), count=1)
        assert count == 1, (name, path)
        Path(path).write_bytes(text.encode("latin-1"))
    if name == "package":
        sys.path.insert(0, "newer")
    hits[name] = found()
    if name == "package":
        sys.path.remove("newer")
    for path, content in before.items():
        Path(path).write_bytes(content)
print(json.dumps(hits))
"""
ALL = ["ingest", "extract_patches", "train"]


@pytest.fixture(scope="module")
def hits(finished, shared_cache, tmp_path_factory) -> dict[str, list[str]]:
    """By change: the rules whose results would still be taken from the cache."""
    where = tmp_path_factory.mktemp("keys") / "project"
    shutil.copytree(finished, where)
    info = where / "newer/numpy-99.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: numpy\nVersion: 99.0\n")
    variables = {"PYTHONPATH": "workflow/scripts", "SNAKEMAKE_OUTPUT_CACHE": str(shared_cache)}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, MODEL],
        cwd=where,
        env=clean_environment() | variables,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize(
    ("change", "still"),
    [
        ("nothing", ALL),
        ("comment", ALL),
        ("title", ALL),
        ("helper code", []),
        ("package", []),
        ("architecture", ["ingest", "extract_patches"]),
        ("learning rate", ["ingest", "extract_patches"]),
        ("seed", ["ingest", "extract_patches"]),
        ("split by hand", ["ingest", "extract_patches"]),
        ("patch", ["ingest"]),
        ("images by hand", ["ingest", "train"]),
        ("data", ["extract_patches", "train"]),
        ("mask threshold", ["extract_patches", "train"]),
    ],
)
def test_a_change_misses_what_it_concerns(hits, change, still):
    """Of the jobs as they are planned; what follows from a missed one changes its inputs."""
    assert hits[change] == sorted(still)


def test_a_second_clone_computes_nothing(finished, shared_cache, tmp_path):
    clone = copy_project(tmp_path / "clone", finished)
    shutil.copytree(finished / "own", clone / "own", copy_function=shutil.copyfile)
    told = snakemake(clone, MODEL, SNAKEMAKE_OUTPUT_CACHE=str(shared_cache))
    assert told.count("taken from the shared cache") == 3
    assert "epoch 1/1" not in told and " images\n" not in told
    for path in (
        MODEL,
        "results/datasets/made/images.h5",
        "results/studies/one/patches/0/index.csv",
    ):
        assert (clone / path).read_bytes() == (finished / path).read_bytes()
        assert not os.path.islink(clone / path)
    record = json.loads((clone / MODEL).with_name("run.json").read_text())
    first = json.loads((finished / MODEL).with_name("run.json").read_text())
    assert record.pop("reused") and record == first
    # Without the variable everything is computed, and with it nothing changes hands by itself.
    assert len(list(Path(shared_cache).rglob("entry.json"))) == 6
