"""An image measured in blocks gives the numbers and labels of the image measured as one block."""

import json

import bright_model
import cv2
import numpy as np
import pandas as pd
import pytest
import tifffile
import zarr

from coverslip.config.sections import KMeans, Measure
from coverslip.data.readers.zarr import read_labels
from coverslip.imaging import field_of_view, overlay, rows
from coverslip.imaging.image_quality import QC
from coverslip.imaging.texture import names
from coverslip.measure import blocks
from coverslip.measure.images import Outputs, measure
from coverslip.models import model
from coverslip.runtime import device

RNG = np.random.default_rng(11)
INFO = bright_model.INFO | {
    "preprocessing": {"channels": "grey", "patch": 32, "normalization": "percentile"}
}
INSTANCES = INFO | {
    "kind": "network",
    "head": "instance",
    "num_classes": 4,
    "instances": {"threshold": 0.5, "seed": 0.6, "min_area_px": 30, "minimum_share": 0.15},
}
CLUSTERS = names(KMeans().scales)
TEXTURE = INFO | {
    "kind": "kmeans",
    "seed": 1,
    "kmeans": KMeans().model_dump(mode="json"),
    "clusters": {
        "number": 2,
        "cells": [1],
        "mean": [0.0] * len(CLUSTERS),
        "standard_deviation": [1.0] + [40.0] * (len(CLUSTERS) - 1),
        "centres": [[0.05] + [-0.1] * (len(CLUSTERS) - 1), [0.9] + [0.0] * (len(CLUSTERS) - 1)],
    },
}
RAW_COLOR = TEXTURE | {
    "kmeans": KMeans(features="raw_color", clusters=[3]).model_dump(mode="json"),
    "clusters": {"number": 3, "cells": [1, 2]},
}


def bright(_):
    """Probability of foreground that is the brightness."""
    return lambda tiles: tiles / np.float32(255)


def depths(_):
    """What a network of instances would say of bright discs: depth grows with the brightness."""

    def predict(tiles):
        soft = [cv2.GaussianBlur(tile[..., 0].astype(np.float32), (5, 5), 1) for tile in tiles]
        grey = np.stack(soft)[..., np.newaxis] / np.float32(255)
        inside = np.clip(2 * grey, 0, 1)
        return np.concatenate([1 - inside, inside, 0 * inside, grey], axis=-1)

    return predict


@pytest.fixture
def place(tmp_path, monkeypatch):
    """Images with a margin of black, in colour, and with large and many objects."""
    monkeypatch.setitem(model.KINDS, "bright", bright)
    monkeypatch.setitem(model.KINDS, "network", depths)
    monkeypatch.setattr(device, "prepare", lambda threads: device.Device("none"))
    (tmp_path / "in").mkdir()
    grey = field_of_cells(320, 280)
    tifffile.imwrite(tmp_path / "in/plain.tif", grey, tile=(64, 64), compression="zlib")
    padded = np.zeros((360, 330), np.uint16)
    padded[20:340, 30:310] = grey.astype(np.uint16) * 150 + 500
    tifffile.imwrite(tmp_path / "in/padded.tif", padded, rowsperstrip=13)
    assert cv2.imwrite(
        str(tmp_path / "in/colour.png"), np.dstack([grey, grey // 2, grey])[70:, :190]
    )
    tifffile.imwrite(tmp_path / "in/black.tif", np.zeros((200, 210), np.uint8))
    return tmp_path


def field_of_cells(height, width):
    light = np.full((height, width), 40, np.float32)
    y, x = np.mgrid[:height, :width]
    for _ in range(90):
        # None at the border: mirrored beyond it, its twin would be as good, and ties are drawn.
        cy, cx, r = RNG.uniform(20, height - 20), RNG.uniform(20, width - 20), RNG.uniform(3, 12)
        distance = np.hypot(y - cy, x - cx) / r
        light = np.maximum(light, 40 + 200 * np.clip(1.3 - distance, 0, 1))
    light[150:156, 20:-20] = 235
    return np.clip(light + RNG.normal(0, 4, light.shape), 1, 255).astype(np.uint8)


def run(place, info, out, threads=1, **settings):
    (place / "model").mkdir(exist_ok=True)
    (place / "model/model.json").write_text(json.dumps(info))
    (place / "model/model.keras").write_text("")
    folder = place / out
    names = ("images.csv", "objects.csv", "labels", "overlays", "exports")
    outputs = Outputs(*(folder / name for name in names))
    measure(
        folder=place / "in",
        notes=place / "notes.json",
        shard=0,
        shards=1,
        model=place / "model",
        settings=Measure(**{"export": [], **settings}),
        code="x",
        state=place / "state" / out,
        outputs=outputs,
        threads=threads,
        report=lambda line: None,
    )
    return outputs


@pytest.fixture
def in_blocks(monkeypatch):
    """Return a function from then on the images are measured in many small blocks."""

    def change(reach=100):
        monkeypatch.setattr(blocks, "BLOCK", 90)
        monkeypatch.setattr(blocks, "HALO", 40)
        monkeypatch.setattr(blocks, "REACH", reach)
        monkeypatch.setattr(rows, "PART", 9000)
        monkeypatch.setattr(field_of_view, "MARGIN", 100)

    return change


def same_images(large, whole):
    """Compare tables of images; the quality of small blocks is only about that of the image."""
    expected, found = (pd.read_csv(outputs.images) for outputs in (whole, large))
    rest = [name for name in expected if name not in QC]
    pd.testing.assert_frame_equal(found[rest], expected[rest], rtol=0, atol=1.01e-4)
    same = ["saturated_fraction", "background_intensity"]
    pd.testing.assert_frame_equal(found[same], expected[same], rtol=0.2)
    return found


def by_place(path):
    """The table of objects in the order of their centroids; their numbers depend on the blocks."""
    table = pd.read_csv(path).drop(columns="label")
    return table.sort_values(["image", "centroid_y_px", "centroid_x_px"], ignore_index=True)


def same_partition(one, other):
    """Return whether two label images differ only by the numbers of the objects."""
    pairs = np.unique(np.stack([one.ravel(), other.ravel()]), axis=1)
    return pairs.shape[1] == len(np.unique(one)) == len(np.unique(other))


@pytest.mark.parametrize(
    "info", [INFO, INSTANCES, TEXTURE, RAW_COLOR], ids=["mask", "instances", "texture", "raw_color"]
)
def test_it_is_measured_as_if_whole(place, info, in_blocks):
    settings = {"pixel_size_um": 0.5, "export": ["geojson"] if info is INSTANCES else []}
    whole = run(place, info, "whole", **settings)
    in_blocks(reach=300)
    large = run(place, info, "large", max_in_memory_megapixels=0.01, **settings)
    found = same_images(large, whole)
    assert found["error"].isna().all() and found["n_objects"].max() > 10
    expected, found = (by_place(outputs.objects) for outputs in (whole, large))
    pd.testing.assert_frame_equal(found, expected, rtol=0, atol=1.01e-4)
    for name in ("plain.tif", "padded.tif", "colour.png", "black.tif"):
        one, other = (tifffile.imread(o.labels / f"{name}.label.tif") for o in (whole, large))
        assert one.dtype == other.dtype and same_partition(one, other)
    shown = [{p.name: cv2.imread(str(p)) for p in o.overlays.iterdir()} for o in (whole, large)]
    assert shown[0].keys() == shown[1].keys() and len(shown[0]) == 8
    assert all((shown[0][name] != shown[1][name]).mean() < 0.01 for name in shown[0])
    with tifffile.TiffFile(large.labels / "plain.tif.label.tif") as tiff:
        page = tiff.pages[0]
        assert tiff.is_bigtiff and page.tilewidth == 512 and page.compression == 8
        assert page.tags["XResolution"].value == (20000, 1)
    assert not list((place / "state").rglob("scratch"))
    outlines = [polygons(o.exports / "plain.tif.geojson") for o in (whole, large)]
    assert outlines[0] == outlines[1] and (len(outlines[0]) > 20) == (info is INSTANCES)


def polygons(path):
    if not path.exists():
        return []
    features = json.loads(path.read_text())["features"]
    return sorted(json.dumps(each["geometry"]["coordinates"]) for each in features)


def test_objects_larger_than_a_block_have_sums_of_pixels(place, in_blocks):
    whole = run(place, INFO, "whole")
    in_blocks(reach=5)
    large = run(place, INFO, "large", max_in_memory_megapixels=0.01)
    expected, found = (by_place(outputs.objects) for outputs in (whole, large))
    assert 0 < found["eccentricity"].isna().sum() < len(found)
    columns = ["area_px", "mean_intensity", "bbox_min_row", "bbox_max_col"]
    pd.testing.assert_frame_equal(found[columns], expected[columns], rtol=0, atol=1.01e-4)


def test_flips_and_padding_settings_are_those_of_whole_images(place, in_blocks):
    settings = {"tta": True, "ignore_black_border": False, "min_area_px": 0, "overlap": 0.5}
    whole = run(place, INFO, "whole", **settings)
    in_blocks(reach=300)
    large = run(place, INFO, "large", max_in_memory_megapixels=0.01, **settings)
    same_images(large, whole)


def test_labels_of_a_zarr_are_a_zarr_too(place, in_blocks):
    zarr.create_array(place / "in/a.zarr", data=field_of_cells(150, 170), chunks=(64, 64))
    in_blocks()
    labels = run(place, INSTANCES, "out").labels
    found = read_labels(labels / "a.zarr.label.zarr")
    assert found.max() > 1
    assert (found == tifffile.imread(labels / "a.zarr.label.tif")).all()
    facts = zarr.open_group(labels / "a.zarr.label.zarr", mode="r").attrs["ome"]
    assert facts["multiscales"][0]["datasets"][0]["path"] == "0"
    assert not (labels / "plain.tif.label.zarr").exists()


def test_files_are_measured_at_once_as_one_after_the_other(place):
    one = run(place, INSTANCES, "one")
    two = run(place, INSTANCES, "two", threads=3)
    for name in ("images", "objects"):
        expected, found = (getattr(outputs, name).read_bytes() for outputs in (one, two))
        assert found == expected


def test_blocks_cover_an_image_once():
    for shape in ((10, 2304), (2305, 5000), (4096, 1), (20_000, 3000)):
        for multiple in (1, 3, 10):
            counts = np.zeros(shape, np.uint8)
            for block in blocks.block_grid(shape, multiple):
                counts[block] += 1
                assert block.rows.start % multiple == block.columns.start % multiple == 0
                assert max(side.stop - side.start for side in block) <= 2304 + multiple
            assert (counts == 1).all()


def test_damage_in_a_large_image_is_a_row_and_stops_nothing(place):
    path = place / "in/plain.tif"
    with tifffile.TiffFile(path) as tiff:
        offset = tiff.pages[0].dataoffsets[-1]
    data = bytearray(path.read_bytes())
    data[offset : offset + 60] = bytes(60)
    path.write_bytes(bytes(data))
    outputs = run(place, INFO, "large", max_in_memory_megapixels=0.01)
    table = pd.read_csv(outputs.images).set_index("image")
    assert "cannot be decoded" in table.loc["plain.tif", "error"]
    assert table["error"].notna().sum() == 1 and table.loc["padded.tif", "n_objects"] > 10
    assert not (outputs.labels / "plain.tif.label.tif").exists()
    assert not list((place / "state").rglob("scratch"))


def test_models_of_one_size_refuse_large_images(place, monkeypatch):
    monkeypatch.setattr(blocks, "RESIZED", 1000)
    info = INFO | {"preprocessing": INFO["preprocessing"] | {"resize": [64, 64]}}
    table = pd.read_csv(run(place, info, "large", max_in_memory_megapixels=0.01).images)
    assert table["error"].str.contains("that brings images to 64x64").all()


def test_the_overlay_of_a_very_large_image_is_small(place, in_blocks, monkeypatch):
    for name in ("padded.tif", "colour.png", "black.tif"):
        (place / "in" / name).unlink()
    in_blocks()
    monkeypatch.setattr(blocks, "SHOWN", 100)
    monkeypatch.setattr(overlay, "SMALLEST", 10)
    outputs = run(place, INFO, "large", max_in_memory_megapixels=0.01)
    shown = cv2.imread(str(outputs.overlays / "plain.tif.overlay.png"))
    assert shown.shape == (80, 70, 3)
    red = (shown[..., 2] > shown[..., 0].astype(int) + 60).mean()
    assert 0.05 < red < 0.7, "contours in orange"
