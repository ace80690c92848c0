"""The choice of channels and depths, for all formats."""

from itertools import count

import numpy as np
import pytest

from coverslip.data.readers.raster import focus_score
from coverslip.data.readers.scenes import (
    Channel,
    Scene,
    Selection,
    channel_names,
    choose_channel,
    scene_planes,
)
from coverslip.errors import CoverslipError
from coverslip.imaging.rows import Whole

NAMED = [Channel("DAPI", (461.0, 358.0)), Channel("GFP", (509.0,)), Channel("GFP far")]

RNG = np.random.default_rng(1)


@pytest.mark.parametrize(
    ("wanted", "index"),
    [(0, 0), (2, 2), ("dapi", 0), ("GFP", 1), ("far", 2), (460, 0), (360, 0), (500, 1)],
)
def test_a_channel_by_index_name_or_wavelength(wanted, index):
    assert choose_channel(wanted, NAMED, 3) == index


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        (None, "holds 3 channels (DAPI 461 nm, GFP 509 nm, GFP far): choose one with `channel`"),
        (3, "has no channel 3, only 0 to 2 (DAPI"),
        ("cy5", "has no channel `cy5`, only 0 to 2 (DAPI"),
        ("f", "has no channel `f`"),
        (650, "has no channel of 650 nm"),
    ],
)
def test_a_channel_that_is_not_there_is_named_with_all_that_are(wanted, words):
    with pytest.raises(CoverslipError) as error:
        choose_channel(wanted, NAMED, 3)
    assert words in str(error.value)


def test_one_channel_of_a_plate_is_not_taken_for_another():
    """Plates come as a file a channel."""
    assert choose_channel("DAPI", [Channel("DAPI")], 1) is None
    assert choose_channel("DAPI", [], 1) is None
    with pytest.raises(CoverslipError, match="has no channel `DAPI`, only channel 0"):
        choose_channel("DAPI", [Channel("GFP")], 1)


def test_names_occur_once():
    assert channel_names([Channel("A"), Channel(""), Channel("A")], 4) == ["A", "ch1", "A_2", "ch3"]


def stack(*depths):
    images = [np.asarray(each)[:, :, np.newaxis] for each in depths]
    return Scene({"Z": len(images)}, lambda at: Whole(images[at["Z"]]))


def read(scene, **options):
    return list(scene_planes(scene, Selection(**options), count(1)))


def test_depths_by_choice():
    sharp = RNG.integers(0, 256, (40, 40), dtype=np.uint8)
    blurred = np.full((40, 40), sharp.mean(), np.uint8)
    blurred[:10] = 200
    scene = stack(blurred, sharp, np.zeros((40, 40), np.uint8))
    for whole in (10**6, 1):
        assert [plane.plane for plane in read(scene, whole=whole)] == ["z1", "z2", "z3"]
        for z, expected, label, note in (
            ("max", np.maximum(blurred, sharp), "", "maximum of 3 depths"),
            ("focus", sharp, "", "the sharpest of 3 depths: z2"),
            (1, blurred, "z1", ""),
        ):
            (plane,) = read(scene, z=z, whole=whole)
            pixels = plane.image if plane.rows is None else plane.rows.rows(0, 40)
            np.testing.assert_array_equal(pixels[:, :, 0], expected)
            assert (plane.plane, plane.note) == (label, note)
    (plane,) = read(scene, z=4)
    assert "has no depth 4, only 1 to 3" in plane.error


def test_the_score_of_focus_falls_with_blur():
    from scipy import ndimage

    sharp = (RNG.random((100, 100)) > 0.9) * 200.0 + 20
    scores = [
        focus_score(Whole(ndimage.gaussian_filter(sharp, sigma)[:, :, np.newaxis]))
        for sigma in (0, 0.5, 1, 2, 4)
    ]
    assert scores == sorted(scores, reverse=True)
    assert focus_score(Whole(np.zeros((5, 5, 1)))) == 0


def test_the_sharpest_depth_is_that_of_the_chosen_channel():
    flat, sharp = np.full((20, 20), 9, np.uint8), RNG.integers(0, 256, (20, 20), dtype=np.uint8)
    images = {(0, 0): flat, (0, 1): sharp, (1, 0): sharp, (1, 1): flat}
    scene = Scene(
        {"C": 2, "Z": 2},
        lambda at: Whole(images[at["C"], at["Z"]][:, :, np.newaxis]),
        channels=NAMED,
    )
    (plane,) = read(scene, channel="GFP", z="focus")
    np.testing.assert_array_equal(plane.image[:, :, 0], sharp)
    np.testing.assert_array_equal(plane.channels["DAPI"], flat)
    assert plane.channel == "GFP"


def test_a_damaged_plane_leaves_the_others():
    def at(place):
        if place["T"] == 1:
            raise ValueError("damaged")
        return Whole(np.zeros((5, 5, 1), np.uint8))

    found = read(Scene({"T": 3}, at))
    assert [bool(plane.error) for plane in found] == [False, True, False]
    assert [plane.time for plane in found] == [0, 1, 2]


@pytest.mark.parametrize(("times", "unit"), [((0, 0.5), "h"), ((0, float("inf")), "frame")])
def test_times_are_numbers(times, unit):
    scene = Scene({"T": 2}, lambda at: Whole(np.zeros((5, 5, 1), np.uint8)), times=times)
    assert [plane.time_unit for plane in read(scene)] == [unit] * 2
