"""A study of any program by its command, and a folder that it measures."""

import json
import shlex
import sys

import outputs
import pandas as pd
import pytest
import tifffile
import yaml
from running import copy_project, snakemake

PROGRAM = """
import sys
from pathlib import Path
import numpy as np
import tifffile
from skimage.filters import threshold_otsu
from skimage.measure import label

for path in sorted(Path(sys.argv[1]).iterdir()):
    image = tifffile.imread(path)
    grey = image if image.ndim == 2 else image[..., 0]
    objects = label(grey > threshold_otsu(grey)).astype("uint16")
    tifffile.imwrite(Path(sys.argv[2]) / path.name, objects)
"""


@pytest.mark.e2e
def test_a_command_is_a_study_and_measures(tmp_path):
    where = copy_project(tmp_path / "project")
    (where / "my tool.py").write_text(PROGRAM)
    command = shlex.join([sys.executable, str(where / "my tool.py")]) + " {images} {labels}"
    study = {
        "title": "Any program",
        "dataset": "nuclei",
        "split": {"method": "random", "test": 0.5},
        "model": {"kind": "tool", "tool": "command", "command": command, "shards": 2},
    }
    source = {"kind": "synthetic", "images": 8, "size": 64}
    config = {
        "datasets": {"nuclei": {"title": "Nuclei", "source": source, "format": "dsb2018"}},
        "studies": {"any": study},
    }
    (where / "tools.yaml").write_text(yaml.safe_dump(config))
    run = where / "results/studies/any/fold0_seed1"
    snakemake(where, str((run / "model/model.json").relative_to(where)), "--configfile=tools.yaml")
    info = json.loads((run / "model/model.json").read_text())
    assert info["kind"] == "tool" and info["tool"]["tool"] == "command"
    assert info["tool"]["images"] == 4 and info["tool"]["megapixels"] == pytest.approx(0.016384)
    labels = sorted(run.glob("tool/*/*.tif"))
    assert len(labels) == 4 and len({path.parent.name for path in labels}) == 2
    assert not list(run.glob("tool_images/*/*"))

    (where / "mine").mkdir()
    for path in labels[:2]:
        tifffile.imwrite(where / "mine" / path.name, 200 * (tifffile.imread(path) > 0).astype("u1"))
    own = {"images": "mine", "model": "any", "measure": {"name": "own", "min_area_px": 0}}
    (where / "own.yaml").write_text(yaml.safe_dump(config | own))
    snakemake(where, "measure", "--configfile=own.yaml")
    objects = pd.read_csv(where / "results/measure/own/objects.csv")
    counts = {path.name: int(tifffile.imread(path).max()) for path in labels[:2]}
    assert objects["image"].value_counts().to_dict() == {k: n for k, n in counts.items() if n}
    assert objects["confidence"].isna().all()
    assert "command" in (where / "results/measure/own/measure.html").read_text()
    assert outputs.differences(where, {"tools", "measured with a tool"}, whole=False) == []
