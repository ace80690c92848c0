"""Headers that promise too much, and files that are no images: a row with a reason, at once."""

import contextlib
import json
import re
import struct

import cv2
import numpy as np
import pytest
import tifffile
import zarr
from hostile_files import IMAGE, STACK, ome_zarr, tiff
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from property_settings import FEW, ODD, parts_of

from coverslip.config.sections import Measure
from coverslip.data.readers import read_planes
from coverslip.data.readers.planes import Plane
from coverslip.data.readers.tiff import CUT_OFF
from coverslip.data.readers.zarr import check_array
from coverslip.errors import CoverslipError
from coverslip.imaging.rows import Unfit, Whole
from coverslip.measure.image_result import ImageResult, pixel_size
from coverslip.measure.tables import name_time
from coverslip.models import model


def errors(path):
    return [plane.error for plane in read_planes(path, whole=10_000)]


@pytest.mark.parametrize("compression", [1, 5, 8, 50000])
@pytest.mark.reliability(
    "D4",
    "a TIFF of 122 bytes that states 1,000,000 x 1,000,000 pixels",
    "a row with the reason",
)
def test_a_image_of_a_million_by_a_million_pixels(tmp_path, compression):
    path = tiff(tmp_path / "a.tif", 1_000_000, 1_000_000, _259=compression)
    (error,) = errors(path)
    assert error.startswith("its header states 1000000x1000000 pixels, more than")


@pytest.mark.parametrize("size", [(2**31 - 1, 1), (1, 2**31 - 1), (140_000, 140_000)])
def test_other_sizes_than_any_image_has(tmp_path, size):
    (error,) = errors(tiff(tmp_path / "a.tif", *size))
    assert error and "Traceback" not in error


@pytest.mark.reliability(
    "D4",
    "a TIFF with one tile of 4 gigapixels",
    "a row with the reason",
)
def test_one_tile_of_four_gigapixels(tmp_path):
    path = tiff(
        tmp_path / "a.tif", 65_536, 65_536, _259=8, _322=65_536, _323=65_536, _324=8, _325=4
    )
    assert "values is decoded whole: save it in tiles of at most" in errors(path)[0]


@pytest.mark.parametrize("times", [10**8, 10**12, 10**300])
@pytest.mark.reliability(
    "D4",
    "OME metadata with 10^8 and more planes",
    "a row with the reason",
)
def test_planes_without_end_in_ome(tmp_path, times):
    path = tmp_path / "a.ome.tif"
    tifffile.imwrite(path, STACK, ome=True, metadata={"axes": "TYX"})
    xml = tifffile.tiffcomment(path).replace('SizeT="3"', f'SizeT="{times}"')
    tifffile.tiffcomment(path, xml.encode())
    (error,) = errors(path)
    assert "planes, more than 100,000" in error


@pytest.mark.reliability(
    "D4",
    "ImageJ metadata with 10^9 planes",
    "a row with the reason",
)
def test_planes_without_end_in_imagej(tmp_path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, STACK, imagej=True, metadata={"axes": "TYX"})
    text = tifffile.tiffcomment(path).replace("frames=3", "frames=1000000000")
    tifffile.tiffcomment(path, text.replace("images=3", "images=1000000000"))
    assert "planes, more than 100,000" in errors(path)[0]


@pytest.mark.reliability(
    "D4",
    "a Zarr array with 10^7 planes, or 10^6 x 10^6 pixels",
    "a row with the reason",
)
def test_zarr_without_end(tmp_path):
    path = ome_zarr(tmp_path / "a.zarr", (10**7, 20, 30), (1, 20, 30))
    assert "10,000,000 planes" in errors(path)[0]
    zarr.create_array(tmp_path / "b.zarr", shape=(10**6, 10**6), chunks=(100, 100), dtype="uint8")
    assert "its header states 1000000x1000000 pixels" in errors(tmp_path / "b.zarr")[0]
    zarr.create_array(tmp_path / "c.zarr", shape=(9**5, 9**5), chunks=(9**5, 9**5), dtype="uint8")
    assert "decoded whole" in errors(tmp_path / "c.zarr")[0]


def whole_image_model(tmp_path, monkeypatch):
    """A model that takes every pixel for foreground."""
    monkeypatch.setitem(model.KINDS, "full", lambda _: lambda tiles: np.ones(tiles.shape, "f4"))
    info = {"format": 2, "kind": "full", "classes": ["background", "cell"], "num_classes": 1}
    info |= {"preprocessing": {"channels": "grey"}, "fitted": {}, "threshold": 0.5}
    (tmp_path / "model.json").write_text(json.dumps(info))
    return model.load(tmp_path)


@pytest.mark.parametrize(
    "size", ["nan", "inf", "4e-7", "1e-320", "1e300", "1e9", "-1", "0", "x", "1e400"]
)
@pytest.mark.reliability(
    "D22",
    "pixel sizes of `nan`, `inf`, 0, 1e-320, 1e300 µm in OME",
    "measured; the pixel size counts as unknown",
)
def test_a_size_that_no_pixel_has_is_not_believed(tmp_path, monkeypatch, size):
    path = tmp_path / "a.ome.tif"
    facts = {"axes": "YX", "PhysicalSizeX": 0.25, "PhysicalSizeY": 0.25}
    tifffile.imwrite(path, IMAGE, ome=True, metadata=facts)
    xml = tifffile.tiffcomment(path).replace('"0.25"', f'"{size}"')
    tifffile.tiffcomment(path, xml.encode())
    (plane,) = read_planes(path)
    assert plane.error == "" and pixel_size(plane, Measure()) == (None, "")
    entry = ImageResult(tmp_path / "state/entry")
    entry.add(plane, Whole(plane.image), whole_image_model(tmp_path, monkeypatch), Measure())
    entry.close()
    (row,) = json.loads((tmp_path / "state/entry/record.json").read_text())["planes"]
    assert row["n_objects"] == 1 and row["mean_area_um2"] is None
    assert ("not believed" in (row["note"] or "")) == (size not in ("-1", "0", "x"))


def test_other_files_that_state_odd_pixels(tmp_path):
    tifffile.imwrite(
        tmp_path / "a.tif", IMAGE, imagej=True, resolution=(4e9, 4e9), metadata={"unit": "um"}
    )
    ome_zarr(tmp_path / "b.zarr", (1, 20, 30), (1, 20, 30), scale=[1.0, 1e-7, 1e-7])
    for name in ("a.tif", "b.zarr"):
        (plane,) = read_planes(tmp_path / name)
        assert plane.error == "" and pixel_size(plane, Measure())[0] is None
    assert pixel_size(plane, Measure(pixel_size_um=0.5)) == ((0.5, 0.5), "config")


@pytest.mark.parametrize("interval", ["inf", "nan", "1e400"])
@pytest.mark.reliability(
    "D22",
    "times of `nan`, `inf`, 1e400",
    "measured; frames are counted instead",
)
def test_times_are_numbers(tmp_path, interval):
    tifffile.imwrite(tmp_path / "a.tif", STACK, imagej=True, metadata={"axes": "TYX"})
    text = tifffile.tiffcomment(tmp_path / "a.tif") + f"finterval={interval}\n"
    tifffile.tiffcomment(tmp_path / "a.tif", text)
    assert [(plane.time, plane.time_unit) for plane in read_planes(tmp_path / "a.tif")] == [
        (float(frame), "frame") for frame in range(3)
    ]
    ome_zarr(tmp_path / "b.zarr", (2, 20, 30), (1, 20, 30), scale=[float(interval), 1, 1])
    assert [plane.time_unit for plane in read_planes(tmp_path / "b.zarr")] == ["frame"] * 2
    name = f"a_{'9' * 400}d00h00m.png"
    assert name_time(name, re.compile(Measure().time_pattern), "frame") == (None, "", "")


def array(**changes):
    facts = {"zarr_format": 2, "dtype": "|u1", "chunks": [20, 30], "compressor": None}
    return facts | {"filters": None} | changes


def array3(codecs, kind="uint8"):
    grid = {"name": "regular", "configuration": {"chunk_shape": [20, 30]}}
    return {"zarr_format": 3, "data_type": kind, "chunk_grid": grid, "codecs": codecs}


SHARDED = {
    "chunk_shape": [10, 10],
    "codecs": [{"name": "bytes"}, {"name": "numcodecs.pickle"}],
    "index_codecs": [{"name": "bytes"}],
}


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        (array(dtype="|O", filters=[{"id": "vlen-utf8"}, {"id": "pickle"}]), "of type |O"),
        (array(filters=[{"id": "pickle"}]), "compressed by pickle"),
        (array(compressor={"id": "json2"}), "compressed by json2"),
        (array(dtype=[["a", "|u1"]]), "of type"),
        (array(dtype="<c8"), "of type <c8: save it with integers or real numbers"),
        (array3([{"name": "bytes"}, {"name": "numcodecs.pickle"}]), "compressed by pickle"),
        (array3([{"name": "vlen-bytes"}]), "compressed by vlen-bytes"),
        (array3([{"name": "sharding_indexed", "configuration": SHARDED}]), "by pickle"),
        (array3([{"name": "bytes"}], "string"), "of type string"),
    ],
)
@pytest.mark.reliability(
    "D7",
    "Zarr with objects, texts, or codecs that run code",
    "not opened; a row with the reason",
)
def test_only_integers_and_harmless_codecs_are_read(facts, words):
    with pytest.raises(CoverslipError, match=words.replace("|", r"\|")):
        check_array(facts)


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("kind", ["auto", None])
def test_what_zarr_writes_by_itself_is_harmless(tmp_path, version, kind):
    where = tmp_path / "a.zarr"
    zarr.create_array(where, data=IMAGE, compressors=kind, zarr_format=version)
    (plane,) = read_planes(where)
    assert (plane.image[:, :, 0] == IMAGE).all()


@pytest.mark.reliability(
    "D7",
    "Zarr with pickles, also where numcodecs allows them",
    "not opened; a row with the reason",
)
def test_pickles_are_not_reached(tmp_path, monkeypatch):
    """Whatever numcodecs allows."""
    monkeypatch.setenv("NUMCODECS_ALLOW_UNSAFE_PICKLE_DECODE", "1")
    opened = []
    monkeypatch.setattr(zarr, "open_array", lambda *arguments, **more: opened.append(arguments))
    where = ome_zarr(tmp_path / "a.zarr", (1, 20, 30), (1, 20, 30))
    facts = json.loads((where / "0/.zarray").read_text())
    facts |= {"dtype": "|O", "filters": [{"id": "vlen-utf8"}, {"id": "pickle"}]}
    (where / "0/.zarray").write_text(json.dumps(facts))
    assert "of type |O" in errors(where)[0] and opened == []


@pytest.mark.reliability(
    "D7",
    "a Zarr group that names an array outside of it",
    "not opened; a row with the reason",
)
def test_a_group_cannot_name_an_array_elsewhere(tmp_path):
    zarr.create_array(tmp_path / "secret", data=IMAGE)
    for node in ("../secret", "..", "/etc", "a/../../secret"):
        path = ome_zarr(tmp_path / "a.zarr", (1, 20, 30), (1, 20, 30), node=node)
        assert "which is not in it" in errors(path)[0]


@pytest.mark.parametrize("text", ["[" * 100_000, "{", "[]", "null", '"a"', '{"zarr_format": 2}'])
@pytest.mark.reliability(
    "D7",
    "Zarr metadata that is no JSON, or 100,000 levels deep",
    "not opened; a row with the reason",
)
def test_odd_metadata_of_zarr(tmp_path, text):
    for name in (".zarray", "zarr.json", ".zattrs"):
        where = tmp_path / f"{name}.zarr"
        where.mkdir()
        (where / name).write_text(text)
        assert errors(where)[0]


@pytest.mark.reliability(
    "D19",
    "JPEG 2000, JPEG XL, LERC, PNG and WebP in a TIFF",
    "measured",
)
def test_compressions_that_pillow_does_not_know(tmp_path):
    """Whatever the size of the image: larger ones never went through Pillow."""
    colour = np.dstack([IMAGE, IMAGE[::-1], IMAGE])
    deep = IMAGE.astype(np.uint16) * 200
    for compression in ("jpeg2000", "jpegxl", "png", "webp", "lerc", "zstd"):
        for at, image in enumerate((IMAGE, colour, deep)):
            if compression == "webp" and at != 1:
                continue
            path = tmp_path / f"{compression}{at}.tif"
            kind = "rgb" if image.ndim == 3 else "minisblack"
            how = {"level": 100, "lossless": True} if compression == "webp" else None
            tifffile.imwrite(
                path, image, photometric=kind, compression=compression, compressionargs=how
            )
            (plane,) = read_planes(path)
            assert plane.error == "", (compression, plane.error)
            assert (plane.image == image.reshape(20, 30, -1)).all(), compression
            (large,) = read_planes(path, whole=10)
            assert (large.rows.rows(0, 20) == plane.image).all()
    stack = tmp_path / "stack.tif"
    tifffile.imwrite(stack, STACK, photometric="minisblack", compression="jpeg2000")
    assert [plane.error for plane in read_planes(stack)] == [""] * 3


GOOD = ("plain", "ome", "imagej", "rgb")
VALUES = ("", "0", "-1", "nan", "inf", "1e400", "1000000000000", "XYZCT", "uint8", "float", "true")
VALUES += ("µm", "pixel", "x" * 5000, "&amp;", "&lt;", '" x="', "urn:uuid:0")


def good(path, kind):
    if kind == "rgb":
        tifffile.imwrite(path, np.dstack([IMAGE] * 3), photometric="rgb", compression="zlib")
    elif kind == "plain":
        tifffile.imwrite(path, STACK, tile=(16, 16), compression="lzw", metadata=None)
    else:
        tifffile.imwrite(path, STACK, metadata={"axes": "TYX"}, **{kind: True})
    return path.read_bytes()


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(kind=st.sampled_from(GOOD), data=st.data())
@pytest.mark.reliability(
    "D4",
    "bytes of a TIFF changed at random (property test)",
    "measured, or a row with the reason",
)
def test_a_damaged_tiff_gives_planes_or_reasons(tmp_path_factory, kind, data):
    path = tmp_path_factory.mktemp("fuzz") / "a.tif"
    whole = bytearray(good(path, kind))
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, len(whole) - 1))
        whole[at] = data.draw(st.sampled_from([0, 1, 127, 128, 255]) | st.integers(0, 255))
    path.write_bytes(bytes(whole[: data.draw(st.sampled_from([len(whole), len(whole) // 2]))]))
    check_answers(path)


def check_answers(path):
    """Read all planes of a file: each has pixels, or a reason in one line."""
    for count, plane in enumerate(read_planes(path, whole=100_000)):
        assert isinstance(plane, Plane) and count < 1000
        assert plane.error or plane.image is not None or plane.rows is not None
        assert "\n" not in plane.error and len(plane.error) < 500
        assert not plane.lost
        if plane.rows is not None:
            with contextlib.suppress(Unfit):
                plane.rows.rows(0, min(16, plane.rows.shape[0]))


@pytest.mark.reliability(
    "D4",
    "any tag of a TIFF with another number, type or count (property test)",
    "measured, or a row with the reason",
)
@FEW
@given(
    st.sampled_from(GOOD),
    st.integers(0, 30),
    st.sampled_from([(0, "H"), (2, "H"), (4, "I"), (8, "I")]),
    st.sampled_from([0, 1, 2, 3, 5, 8, 16, 255, 8192, 65_535, 2**31 - 1, 2**32 - 1]),
)
def test_any_tag_of_a_tiff(tmp_path_factory, kind, entry, field, number):
    path = tmp_path_factory.mktemp("tags") / "a.tif"
    whole = bytearray(good(path, kind))
    order = "<" if whole.startswith(b"II") else ">"
    (start,) = struct.unpack_from(f"{order}I", whole, 4)
    (count,) = struct.unpack_from(f"{order}H", whole, start)
    at = start + 2 + 12 * (entry % count) + field[0]
    struct.pack_into(order + field[1], whole, at, number % (1 << (8 * struct.calcsize(field[1]))))
    path.write_bytes(bytes(whole))
    check_answers(path)


@pytest.mark.reliability(
    "D4",
    "any attribute of OME-XML with another value (property test)",
    "measured, or a row with the reason",
)
@FEW
@given(st.integers(0, 60), st.sampled_from(VALUES) | st.text(max_size=4))
def test_any_attribute_of_ome_xml(tmp_path_factory, number, value):
    path = tmp_path_factory.mktemp("ome") / "a.ome.tif"
    facts = {"axes": "TYX", "PhysicalSizeX": 0.25, "PhysicalSizeY": 0.25, "TimeIncrement": 5.0}
    tifffile.imwrite(path, STACK, ome=True, metadata=facts)
    xml = tifffile.tiffcomment(path)
    found = list(re.finditer(r'="([^"]*)"', xml))
    chosen = found[number % len(found)]
    changed = f"{xml[: chosen.start(1)]}{value}{xml[chosen.end(1) :]}"
    tifffile.tiffcomment(path, changed.encode("utf-8", "replace"))
    check_answers(path)


@pytest.mark.reliability(
    "D7",
    "any value of Zarr metadata replaced by any other (property test)",
    "measured, or a row with the reason",
)
@FEW
@given(st.sampled_from([2, 3]), st.integers(0, 60), ODD)
def test_any_value_of_zarr_metadata(tmp_path_factory, version, number, value):
    path = tmp_path_factory.mktemp("zarr") / "a.zarr"
    ome_zarr(path, (2, 20, 30), (1, 20, 30), version=version)
    names = ["0/.zarray", ".zattrs", ".zgroup"] if version == 2 else ["zarr.json", "0/zarr.json"]
    documents = {name: json.loads((path / name).read_text()) for name in names}
    places = [(name, place) for name in names for place in parts_of(documents[name])]
    name, place = places[number % len(places)]
    node = documents[name]
    for key in place[:-1]:
        node = node[key]
    node[place[-1]] = value
    (path / name).write_text(json.dumps(documents[name]))
    check_answers(path)


@pytest.mark.parametrize("options", [{"compression": "lzw"}, {"tile": (16, 16)}, {"bigtiff": True}])
@pytest.mark.reliability(
    "D4",
    "a TIFF of several pages that is cut off between two of them",
    "its first pages are measured, with a note",
)
def test_a_stack_that_lost_its_last_pages_has_a_note(tmp_path, capfd, options):
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path, bigtiff=options.pop("bigtiff", False)) as file:
        for image in STACK:
            file.write(image, metadata=None, **options)
    assert [plane.note for plane in read_planes(path)] == [""] * 3
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    planes = list(read_planes(path))
    assert len(planes) < 3 and planes[0].note == CUT_OFF
    assert capfd.readouterr() == ("", ""), "nothing of tifffile's own"


def test_a_channel_that_colours_do_not_have(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(cv2.imencode(".png", np.dstack([IMAGE] * 3))[1].tobytes())
    (plane,) = read_planes(path, channel="DAPI")
    assert not plane.error and "`DAPI` did not choose one" in plane.note
    (plane,) = read_planes(path, channel="green")
    assert plane.channel == "green"
