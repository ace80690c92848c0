"""Label images of other tools are read back as they were written; no file runs code."""

import io
import json
import zipfile

import microscope_files
import numpy as np
import pytest
import tifffile
import zarr
from label_formats import run_lengths

from coverslip.data.label_files import (
    candidate_stems,
    decode_run_lengths,
    has_label_name,
    read_label_bytes,
    read_label_file,
)
from coverslip.errors import CoverslipError
from coverslip.imaging.label_polygons import label_polygons
from coverslip.measure.exports.geojson import label_features, write_geojson
from coverslip.measure.exports.imagej import label_rois, write_rois

SHAPE = (20, 30)
LABEL = np.zeros(SHAPE, np.int32)
LABEL[2:6, 3:9] = 4
LABEL[6:9, 3:9] = 7
LABEL[12:18, 10:20] = 300
LABEL[14:16, 13:16] = 0
LABEL[0, 29] = 9
NUMBERED = np.searchsorted([0, 4, 7, 9, 300], LABEL)
"""The same, without gaps between the numbers; 300 has a hole, 4 and 7 touch."""


def in_order(label):
    """Objects numbered by their first pixel: outlines have an order of their own."""
    firsts = {value: at for at, value in reversed(list(enumerate(label.ravel().tolist())))}
    firsts.pop(0, None)
    ranks = {value: rank for rank, value in enumerate(sorted(firsts, key=firsts.get), start=1)}
    return np.vectorize(lambda value: ranks.get(value, 0))(label)


def npy(array, **options):
    file = io.BytesIO()
    np.save(file, array, **options)
    return file.getvalue()


def cellpose(**more):
    """As `cellpose.io.masks_flows_to_seg` saves it."""
    facts = {
        "masks": NUMBERED.astype(np.uint16),
        "outlines": LABEL > 0,
        "chan_choose": [0, 0],
        "ismanual": np.zeros(3, bool),
        "filename": "a.png",
        "flows": [np.zeros((1, 20, 30), np.uint8), [], np.float32(1.5)],
        "diameter": np.float64(17.5),
    }
    return npy(facts | more, allow_pickle=True)


def rois(tmp_path, ending):
    found = label_rois(label_polygons(LABEL))
    if ending == ".roi":
        return found[0].tobytes()
    write_rois(tmp_path / "out.zip", found)
    return (tmp_path / "out.zip").read_bytes()


def geojson(tmp_path):
    import pandas as pd

    polygons = label_polygons(LABEL)
    table = pd.DataFrame({"label": list(polygons), "area_px": 1.0})
    write_geojson(tmp_path / "out.geojson", label_features(polygons, table))
    return (tmp_path / "out.geojson").read_bytes()


def compressed_run_lengths(runs):
    """`rleToString` of pycocotools."""
    text = ""
    for at, run in enumerate(runs):
        value, more = run - (runs[at - 2] if at > 2 else 0), True
        while more:
            code = value & 31
            value >>= 5
            more = value != -1 if code & 16 else value != 0
            text += chr((code | 32 if more else code) + 48)
    return text


def coco(kind):
    annotations = []
    for number in (4, 7, 9, 300):
        runs = run_lengths(number == LABEL)
        annotations.append(
            {
                "id": number,
                "image_id": 1,
                "segmentation": {
                    "size": list(SHAPE),
                    "counts": compressed_run_lengths(runs) if kind == "compressed" else runs,
                },
            }
        )
    image = {"id": 1, "file_name": "a.png", "height": 20, "width": 30}
    return json.dumps({"images": [image], "annotations": annotations}).encode()


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a_mask.png", microscope_files.encoded(NUMBERED.astype(np.uint8))),
        ("a_cp_masks.png", microscope_files.encoded(LABEL.astype(np.uint16))),
        ("a.npy", npy(LABEL)),
        ("a.npy", npy(LABEL.astype(">u8")[np.newaxis])),
        ("a.npy", npy(np.asfortranarray(LABEL.astype(np.float32)))),
        ("a_seg.npy", cellpose()),
    ],
)
def test_numbers_of_objects_are_kept_in_their_order(name, data):
    found = read_label_bytes(data, name, SHAPE)
    assert found.objects == 4 and found.kind == "label"
    np.testing.assert_array_equal(found.label, NUMBERED)


@pytest.mark.parametrize("dtype", [np.uint16, np.int32, np.float32])
@pytest.mark.parametrize("options", [{}, {"compression": "zstd", "tile": (16, 16)}, {"ome": True}])
def test_label_images_of_tiff(tmp_path, dtype, options):
    path = tmp_path / "a.label.tif"
    tifffile.imwrite(path, LABEL.astype(dtype), **options)
    np.testing.assert_array_equal(read_label_file(path, SHAPE).label, NUMBERED)


@pytest.mark.parametrize("where", ["labels", "image", "array"])
def test_label_images_of_zarr(tmp_path, where):
    path = tmp_path / "a.zarr"
    if where == "array":
        zarr.create_array(path, data=LABEL)
    elif where == "image":
        microscope_files.ome_zarr(path, LABEL[np.newaxis], "zyx", channels=())
    else:
        microscope_files.ome_zarr(path)
        group = zarr.open_group(path)
        group["labels"].attrs["labels"] = ["cells"]
        del group["labels/cells"]
        microscope_files.ome_zarr(path / "labels/cells", LABEL, "yx", channels=())
    found = read_label_file(path, SHAPE)
    np.testing.assert_array_equal(found.label, NUMBERED)


@pytest.mark.parametrize("name", ["a.zip", "a_rois.zip", "a.geojson", "a.json", "c.json", "u.json"])
def test_outlines_give_the_objects_again(tmp_path, name):
    data = {
        "a.geojson": lambda: geojson(tmp_path),
        "a.json": lambda: geojson(tmp_path),
        "c.json": lambda: coco("compressed"),
        "u.json": lambda: coco("numbers"),
    }.get(name, lambda: rois(tmp_path, ".zip"))()
    found = read_label_bytes(data, name, SHAPE)
    assert found.objects == 4 and found.kind == "mask" and found.overlap_pixels == 0
    np.testing.assert_array_equal(in_order(found.label), in_order(LABEL))


def test_one_roi(tmp_path):
    found = read_label_bytes(rois(tmp_path, ".roi"), "a.roi", SHAPE)
    np.testing.assert_array_equal(found.label, LABEL == 4)


def test_polygons_of_coco():
    square = [[3, 2, 9, 2, 9, 6, 3, 6]]
    facts = {
        "images": [{"id": 5, "file_name": "a.png", "height": 20, "width": 30}, {"id": 6}],
        "annotations": [
            {"image_id": 5, "segmentation": square},
            {"image_id": 6, "segmentation": square},
        ],
    }
    found = read_label_bytes(json.dumps(facts).encode(), "a.json", SHAPE)
    np.testing.assert_array_equal(found.label, LABEL == 4)


class Runs:
    def __init__(self, module, name):
        self.module, self.name = module, name

    def __reduce__(self):
        import importlib

        return getattr(importlib.import_module(self.module), self.name), (
            "touch /tmp/coverslip_ran",
        )


@pytest.mark.parametrize(
    ("module", "name"), [("os", "system"), ("builtins", "eval"), ("numpy", "load"), ("io", "open")]
)
def test_a_pickle_cannot_run_code(monkeypatch, module, name):
    data = cellpose(masks=Runs(module, name))
    with pytest.raises(
        CoverslipError, match=r"a_seg\.npy: cannot be decoded \(holds .*not an array"
    ):
        read_label_bytes(data, "a_seg.npy", SHAPE)


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("a.npy", b"", "cannot be decoded"),
        ("a.npy", npy(LABEL)[:-8], "cannot be decoded"),
        ("a.npy", npy(LABEL).replace(b"(20, 30)", b"(99999999, 99999)"), "cannot be|million"),
        ("a.npy", npy(np.zeros((2, 20, 30), int)), "one label image a file"),
        ("a.npy", npy(np.zeros((20, 31), int)), "its image has 20x30"),
        ("a.npy", npy(LABEL + 0.5), "save it with integers"),
        ("a.npy", npy(LABEL - 1), "negative"),
        ("a_seg.npy", cellpose(masks="none"), "without `masks`"),
        ("a.npy", npy(np.array([{"a": 1}], object), allow_pickle=True), "without `masks`"),
        ("a.zip", b"PK", "cannot be decoded"),
        ("a.roi", b"Iout", "cannot be decoded"),
        ("a.json", b"{", "cannot be decoded"),
        ("a.geojson", b"[1]", "is no GeoJSON"),
        ("a.geojson", b'[{"geometry": {"type": "Point"}}]', "`Point` has no area"),
        ("a.json", b'{"images": [], "annotations": []}', "several images"),
        ("a.json", coco("numbers").replace(b'"height": 20', b'"height": 21'), "of 21x30 pixels"),
        ("a.json", coco("numbers").replace(b'"counts": [', b'"counts": [5, '), "do not add up"),
        ("a.png", microscope_files.encoded(LABEL[:5].astype(np.uint8)), "its image has 20x30"),
    ],
)
def test_what_is_no_label_image_has_a_reason(name, data, words):
    with pytest.raises(CoverslipError, match=words) as error:
        read_label_bytes(data, name, SHAPE)
    assert str(error.value).startswith(f"{name}: ") and "\n" not in str(error.value)


def test_points_have_no_area():
    from roifile import ROI_TYPE, ImagejRoi

    roi = ImagejRoi.frompoints([[1, 2], [3, 4], [5, 5]])
    roi.roitype, roi.name = ROI_TYPE.POINT, "spot"
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("spot.roi", roi.tobytes())
    with pytest.raises(CoverslipError, match=r"a\.zip: the ROI `spot` \(POINT\) has no area"):
        read_label_bytes(file.getvalue(), "a.zip", SHAPE)


def test_run_lengths_are_those_of_pycocotools():
    # From pycocotools: encode(np.asfortranarray([[0, 1], [1, 1], [0, 0]])).
    mask = np.array([[0, 1], [1, 1], [0, 0]], bool)
    assert run_lengths(mask) == [1, 1, 1, 2, 1]
    np.testing.assert_array_equal(
        decode_run_lengths("11110", (3, 2)), decode_run_lengths([1, 1, 1, 2, 1], (3, 2))
    )
    np.testing.assert_array_equal(decode_run_lengths([1, 1, 1, 2, 1], (3, 2)), mask)


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("a.tif", "a"),
        ("a_mask.png", "a"),
        ("a_masks.tif", "a"),
        ("a_cp_masks.png", "a"),
        ("a_seg.npy", "a"),
        ("a.label.tif", "a"),
        ("a_labels.ome.tif", "a"),
        ("a_rois.zip", "a"),
        ("a.png.label.tif", "a"),
        ("a.ome.tif.label.tif", "a.ome"),
        ("a.b.geojson", "a.b"),
    ],
)
def test_names_of_label_files(name, stem):
    assert stem in candidate_stems(name)


def test_names_that_are_label_files_by_themselves():
    assert has_label_name("a_seg.npy") and has_label_name("a.zip") and has_label_name("a.label.tif")
    assert not has_label_name("a.tif") and not has_label_name("unmasked.tif")
