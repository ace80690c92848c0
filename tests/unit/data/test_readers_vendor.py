"""Formats of microscopes that cannot be written here, by what their packages hand over.

CZI, LIF and OIF are read from files, see `test_file_formats`. ND2 and OIR have no writer: objects
with the attributes of `nd2.ND2File` and `oirfile.OirFile` stand for them.
"""

import sys
from itertools import count
from types import SimpleNamespace

import numpy as np
import pytest
from microscope_files import STACK

from coverslip.data.readers import read_planes
from coverslip.data.readers.scenes import Selection, scene_planes
from coverslip.data.readers.vendor import PACKAGES, import_reader, nd2_scenes, oir_scenes


def planes(scenes, **options):
    number = count(1)
    return [
        plane for scene in scenes for plane in scene_planes(scene, Selection(**options), number)
    ]


def nd2_file():
    """Two positions, two times, three depths, two channels."""
    places = [{"T": t, "P": p, "Z": z} for t in range(2) for p in range(2) for z in range(3)]
    frames = [STACK[at["T"], at["Z"]] + np.uint16(at["P"]) for at in places]
    names = (("DAPI", 461, 405), ("GFP", 509, None))
    channels = [
        SimpleNamespace(
            channel=SimpleNamespace(name=name, emissionLambdaNm=em, excitationLambdaNm=ex)
        )
        for name, em, ex in names
    ]
    period = SimpleNamespace(type="TimeLoop", parameters=SimpleNamespace(periodMs=1_800_000))
    return SimpleNamespace(
        sizes={"T": 2, "P": 2, "Z": 3, "C": 2, "Y": 20, "X": 30},
        loop_indices=places,
        read_frame=lambda index: frames[index],
        metadata=SimpleNamespace(channels=channels),
        voxel_size=lambda: SimpleNamespace(x=0.25, y=0.5, z=1.0),
        experiment=[period],
        dtype=np.dtype(np.uint16),
    )


def test_nd2_positions_times_and_wavelengths():
    found = planes(nd2_scenes(nd2_file()), channel=405, z="max")
    assert [plane.plane for plane in found] == ["s1 t1", "s1 t2", "s2 t1", "s2 t2"]
    assert [plane.time for plane in found] == [0, 0.5, 0, 0.5] and found[0].time_unit == "h"
    assert found[0].pixel_um == (0.5, 0.25) and found[0].channel == "DAPI"
    for plane, expected in zip(
        found, (STACK[0], STACK[1], STACK[0] + 1, STACK[1] + 1), strict=True
    ):
        np.testing.assert_array_equal(plane.image[:, :, 0], expected[:, 0].max(axis=0))
        np.testing.assert_array_equal(plane.channels["GFP"], expected[:, 1].max(axis=0))


def test_oir_channels_by_name():
    channels = [
        SimpleNamespace(name="CH1", start_wavelength=430.0, end_wavelength=470.0),
        SimpleNamespace(name="CH2", start_wavelength=None, end_wavelength=None),
    ]
    file = SimpleNamespace(
        sizes={"Z": 3, "C": 2, "Y": 20, "X": 30},
        dtype=np.dtype(np.uint16),
        asarray=lambda: STACK[0],
        channels=channels,
        coord_scales={"Y": 0.5, "X": 0.25, "Z": 1.0},
    )
    found = planes(oir_scenes(file), channel=450)
    assert [plane.plane for plane in found] == ["z1", "z2", "z3"]
    np.testing.assert_array_equal(found[2].image[:, :, 0], STACK[0, 2, 0])
    np.testing.assert_array_equal(found[2].channels["CH2"], STACK[0, 2, 1])
    assert found[0].pixel_um == (0.5, 0.25)


@pytest.mark.parametrize("suffix", PACKAGES)
def test_a_package_that_is_missing_is_named(tmp_path, monkeypatch, suffix):
    monkeypatch.setitem(sys.modules, PACKAGES[suffix], None)
    path = tmp_path / f"a{suffix}"
    path.write_bytes(b"anything")
    (plane,) = read_planes(path)
    assert f"by the package {PACKAGES[suffix]}" in plane.error
    assert "pip install 'coverslip[formats]'" in plane.error and not plane.lasting


@pytest.mark.parametrize("suffix", [".czi", ".lif", ".nd2", ".oib", ".oif"])
@pytest.mark.parametrize("data", [b"", b"anything", bytes(5000)])
def test_damaged_files_have_a_reason(tmp_path, suffix, data):
    import_reader(suffix)
    path = tmp_path / f"a{suffix}"
    path.write_bytes(data)
    planes = list(read_planes(path))
    assert len(planes) == 1 and planes[0].error and "\n" not in planes[0].error


@pytest.mark.parametrize("suffix", [".vsi", ".mrxs"])
def test_what_is_not_read_has_a_way_to_convert_it(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    path.write_bytes(b"anything")
    (plane,) = read_planes(path)
    assert "is not read: convert it to OME-TIFF" in plane.error and "bfconvert" in plane.error
