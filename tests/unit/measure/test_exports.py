"""Objects in the formats of other programs, opened by their own readers."""

import json

import jsonschema
import numpy as np
import pandas as pd
import pytest
import roifile
import shapely
from shapely.geometry import shape
from skimage.draw import polygon2mask

from coverslip.data.label_files import read_label_file
from coverslip.imaging.label_polygons import label_polygons, ring_area
from coverslip.measure.exports.geojson import label_features, write_geojson
from coverslip.measure.exports.imagej import label_rois, write_rois
from coverslip.measure.exports.place import stack_place
from coverslip.measure.regionprops import object_table

QUPATH = {
    "type": "object",
    "required": ["type", "features"],
    "properties": {
        "type": {"const": "FeatureCollection"},
        "features": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["type", "geometry", "properties"],
                "properties": {
                    "type": {"const": "Feature"},
                    "geometry": {
                        "required": ["type", "coordinates"],
                        "properties": {"type": {"enum": ["Polygon", "MultiPolygon"]}},
                    },
                    "properties": {
                        "required": ["objectType", "measurements"],
                        "properties": {
                            "objectType": {"enum": ["detection", "annotation"]},
                            "classification": {
                                "required": ["name", "color"],
                                "properties": {"color": {"minItems": 3, "maxItems": 3}},
                            },
                            "measurements": {
                                "type": "object",
                                "additionalProperties": {"type": "number"},
                            },
                        },
                    },
                },
            },
        },
    },
}
"""What QuPath's `PathObjectTypeAdapters` reads of a feature."""


def ring_and_pieces():
    """Return a ring with a hole, an object in two pieces that touch by a corner, and a square."""
    label = np.zeros((30, 40), np.int32)
    label[2:9, 2:9] = 1
    label[4:7, 4:7] = 0
    label[12:15, 3:6], label[15:18, 6:9] = 2, 2
    label[20:25, 30:40] = 5
    return label


@pytest.mark.parametrize("seed", range(25))
def test_polygons_are_valid_and_cover_exactly_their_pixels(seed):
    rng = np.random.default_rng(seed)
    chosen = rng.random((12, 13)) < rng.uniform(0.2, 0.95)
    label = (chosen * rng.integers(1, 3, (12, 13))).astype(np.int32)
    for number, pieces in label_polygons(label).items():
        assert all(ring_area(piece[0]) > 0 for piece in pieces)
        assert all(ring_area(hole) < 0 for piece in pieces for hole in piece[1:])
        covered = shapely.MultiPolygon([(piece[0], piece[1:]) for piece in pieces])
        assert covered.is_valid and covered.area == np.count_nonzero(label == number)
        y, x = np.nonzero(label == number)
        assert shapely.contains_xy(covered, x + 0.5, y + 0.5).all()


def test_polygons_of_a_part_are_in_the_whole_image():
    label = ring_and_pieces()
    (part,) = label_polygons(label[18:, 25:], origin=(18, 25))[5]
    assert part[0].tolist() == label_polygons(label)[5][0][0].tolist()


def test_imagej_reads_the_rois(tmp_path):
    label = ring_and_pieces()
    path = tmp_path / "a.roi.zip"
    write_rois(path, label_rois(label_polygons(label)))
    found = roifile.roiread(path)
    assert [roi.name for roi in found] == ["00001", "00002", "00005"]
    assert found[2].roitype == roifile.ROI_TYPE.TRACED and not found[2].composite
    # Corners are those of pixels: the mask of the polygon is the object.
    mask = polygon2mask(label.shape, found[2].coordinates()[:, ::-1] - 0.5)
    assert (mask == (label == 5)).all()
    assert found[0].composite and len(found[0].coordinates(multi=True)) == 2
    assert len(found[1].coordinates(multi=True)) == 2
    assert (found[0].left, found[0].top, found[0].right, found[0].bottom) == (2, 2, 9, 9)
    first = path.read_bytes()
    write_rois(path, label_rois(label_polygons(label)))
    assert path.read_bytes() == first


def test_rois_of_a_stack_have_their_place(tmp_path):
    polygons = label_polygons(ring_and_pieces())
    write_rois(tmp_path / "a.zip", label_rois(polygons, page=4, plane="t2 z13"))
    roi = roifile.roiread(tmp_path / "a.zip")[0]
    assert (roi.t_position, roi.z_position, roi.name) == (2, 13, "0004-00001")
    assert label_rois(polygons, page=4, plane="p4")[0].position == 4
    assert stack_place("p4") == (None, None)


@pytest.mark.parametrize("object_type", ["detection", "annotation"])
def test_qupath_reads_the_geojson(tmp_path, object_type):
    label = ring_and_pieces()
    table = object_table(label, np.full((30, 40, 1), 9, np.uint8), None)
    table["class"] = ["tumor", "stroma", ""]
    features = list(label_features(label_polygons(label), table, "z3", object_type))
    write_geojson(tmp_path / "a.geojson", features)
    found = json.loads((tmp_path / "a.geojson").read_text(encoding="utf-8"))
    jsonschema.validate(found, QUPATH)
    assert len(found["features"]) == 3
    for feature, row in zip(found["features"], table.itertuples(), strict=True):
        geometry = shape(feature["geometry"])
        assert geometry.is_valid and geometry.area == row.area_px
        properties = feature["properties"]
        assert properties["objectType"] == object_type and properties["name"] == str(row.label)
        assert properties["measurements"]["area_px"] == row.area_px
        assert "area_um2" not in properties["measurements"]  # not known
        assert feature["geometry"]["plane"]["z"] == 2
    names = [f["properties"].get("classification", {}).get("name") for f in found["features"]]
    assert names == ["tumor", "stroma", None]


def test_geojson_of_no_objects_is_valid(tmp_path):
    write_geojson(tmp_path / "a.geojson", label_features({}, pd.DataFrame({"label": []})))
    found = json.loads((tmp_path / "a.geojson").read_text(encoding="utf-8"))
    jsonschema.validate(found, QUPATH)
    assert found["features"] == []


@pytest.mark.parametrize("name", ["a.roi.zip", "a.geojson"])
def test_datasets_read_the_exports_as_labels(tmp_path, name):
    label = ring_and_pieces()
    polygons = label_polygons(label)
    if name.endswith("zip"):
        write_rois(tmp_path / name, label_rois(polygons))
    else:
        table = object_table(label, np.zeros((30, 40, 1), np.uint8), None)
        write_geojson(tmp_path / name, label_features(polygons, table))
    found = read_label_file(tmp_path / name, label.shape)
    assert found.objects == 3
    assert (found.label == np.unique(label, return_inverse=True)[1].reshape(label.shape)).all()
