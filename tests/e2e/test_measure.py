"""`measure` on a folder of good and bad images, with a tiny model made here."""

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import outputs
import pandas as pd
import pytest
import tifffile
import zarr
from running import ROOT, clean_environment, copy_project, jobs, snakemake

from coverslip.config.sections import Preprocessing
from coverslip.models import model

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """A clone with a folder of seven images, one of them large, and a model of brightness."""
    import keras

    where = copy_project(tmp_path_factory.mktemp("clone") / "project")
    image = keras.Input((None, None, 1))
    logits = keras.layers.Conv2D(1, 1)(image)
    network = keras.Model(image, logits)
    network.set_weights([np.full((1, 1, 1, 1), 20.0), np.array([-10.0])])
    info = {"classes": ["background", "foreground"], "fitted": {}, "threshold": 0.5}
    info["preprocessing"] = Preprocessing(channels="grey", patch=32, normalization="dtype_range")
    model.save(where / "model", network, info)
    folder = where / "mine"
    folder.mkdir()
    for hour in (0, 4):
        good(folder / f"well_00d{hour:02d}h00m.png", 10 + hour)
    (folder / "text.tif").write_text("no image")
    four = np.zeros((50, 60, 4), np.uint16)
    tifffile.imwrite(folder / "four.tif", four, photometric="minisblack", planarconfig="contig")
    cv2.imwrite(str(folder / "black.png"), np.zeros((40, 40), np.uint8))
    cv2.imwrite(str(folder / "ten.png"), np.full((2, 5), 240, np.uint8))
    stitched = np.full((130, 100), 30, np.uint8)
    stitched[60:70, 20:85] = 230
    zarr.create_array(str(folder / "stitched.zarr"), data=stitched, chunks=(32, 32))
    settings = "{name: mine, shards: 3, min_area_px: 4, max_in_memory_megapixels: 0.01}"
    (where / "measure.yaml").write_text(f"measure: {settings}\n")
    return where


def good(path: Path, size: int) -> None:
    image = np.full((60, 80), 30, np.uint8)
    image[10 : 10 + size, 20 : 20 + size] = 230
    cv2.imwrite(str(path), image)


def arguments(*more: str) -> list[str]:
    own = ["measure", "--configfile", "measure.yaml", "--config", "images=mine", "model=model"]
    return [*own, *more]


def test_a_folder_is_measured_and_a_further_image_is_one_more(place):
    assert jobs(place, *arguments())["measure_images"] == 3
    told = snakemake(place, *arguments())
    made = place / "results/measure/mine"
    assert f"page     {made.resolve()}/measure.html" in told
    table = pd.read_csv(made / "images.csv").set_index("image")
    assert len(table) == 7 and table["error"].notna().sum() == 2
    assert "holds 4 channels" in table.loc["four.tif", "error"]
    assert "cannot be decoded" in table.loc["text.tif", "error"]
    assert table.loc["black.png", "confluency_percent"] == 0
    assert table.loc["black.png", "n_objects"] == 0
    assert table.loc["ten.png", "confluency_percent"] == 100
    large = table.loc["stitched.zarr"]
    assert large["confluency_percent"] == 5 and large["n_objects"] == 1
    label = tifffile.imread(made / "labels/stitched.zarr.label.tif")
    assert label.shape == (130, 100) and label[60:70, 20:85].all() and label.sum() == 650
    assert table.loc["well_00d04h00m.png", "confluency_percent"] == round(196 / 48, 4)
    assert table.loc["well_00d04h00m.png", "time"] == 4
    for name in ("objects.csv", "objects.parquet", "confluency.svg", "measure.html"):
        assert (made / name).stat().st_size > 0
    assert (made / "labels/ten.png.label.tif").is_file()
    assert outputs.differences(place, {"measure", "measured OME-Zarr"}, whole=False) == []

    assert jobs(place, *arguments()) == {}
    good(place / "mine/further_00d08h00m.png", 20)
    assert jobs(place, *arguments())["measure_images"] == 1
    told = snakemake(place, *arguments())
    assert told.count(" to be computed") == 1 and " 1 of them to be computed" in told
    (place / "mine/further_00d08h00m.png").unlink()
    told = snakemake(place, *arguments())
    assert told.count(" to be computed") == 1 and " 0 of them to be computed" in told
    assert len(pd.read_csv(made / "images.csv")) == 7


def test_without_snakemake_results_are_the_same(tmp_path):
    """`coverslip measure` and the rules; each notices what the other left."""
    plate = tmp_path / "plate"
    plate.mkdir()
    image = np.full((96, 128), 8, np.uint8)
    for column in (30, 90):
        cv2.circle(image, (column, 48), 10, 160, -1)
    cv2.imwrite(str(plate / "a.png"), cv2.GaussianBlur(image, (0, 0), 1.5))
    (plate / "text.tif").write_text("no image")

    def measure(*more: str) -> str:
        words = [sys.executable, "-m", "coverslip.cli", "measure", "plate", "--cores", "2"]
        done = subprocess.run(
            [*words, *more],
            cwd=tmp_path,
            env=clean_environment() | {"PYTHONPATH": str(ROOT / "workflow/scripts")},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    assert "2 of them to be computed" in measure()
    (made,) = tmp_path.glob("results/measure/*/")
    direct = {path: path.read_bytes() for path in made.rglob("*") if path.is_file()}
    assert "2 files, 0 of them to be computed" in measure("--", "--quiet", "all")
    assert {path for path in made.rglob("*") if path.name[0] != "." and path.is_file()} == {*direct}
    for path, content in direct.items():
        if not path.name.endswith(("run.json", ".html")):
            assert path.read_bytes() == content, path
    table = pd.read_csv(made / "images.csv")
    assert table["n_objects"][0] == 2 and table["error"].notna().tolist() == [False, True]
    (plate / "b.png").write_bytes((plate / "a.png").read_bytes())
    assert "3 files, 0 of them to be computed" in measure()
    assert "measure_images" in measure("--dry-run")


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (["images=nothing", "model=model"], "images: nothing: the folder is empty"),
        (["images=nowhere", "model=model"], "images: nowhere: no such folder"),
        (["images=mine", "model=mine"], "model: mine: not a model folder"),
        ([], "images: name the folder to measure"),
    ],
)
def test_what_cannot_be_measured_is_said_at_once(place, config, words):
    (place / "nothing").mkdir(exist_ok=True)
    more = ["--config", *config] if config else []
    told = snakemake(place, "measure", *more, check=False)
    assert words in told and "Traceback (most recent" not in told


def test_a_model_of_a_study_is_trained_where_it_is_missing(place):
    counts = jobs(place, "measure", "--config", "images=mine", "model=nuclei")
    assert counts["train"] == 1 and counts["measure_images"] == 1 and "report" not in counts
