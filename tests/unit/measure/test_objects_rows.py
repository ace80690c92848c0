"""Objects of an image that comes band by band: a nucleus on a seam is one."""

import json

import cv2
import numpy as np
import pytest

from coverslip.imaging.labels import components, drop_small
from coverslip.measure import objects_rows
from coverslip.measure.objects_rows import Objects, Regions, holes_closed
from coverslip.models import model as models
from coverslip.models.watershed import WatershedParams, segment

RNG = np.random.default_rng(5)


def bands(array, *cuts):
    cuts = [0, *cuts, len(array)]
    return [array[a:b] for a, b in zip(cuts, cuts[1:], strict=False)]


def settled(regions, label):
    """Final numbers in the order of the first pixels."""
    numbers = regions.numbers()
    _, place = np.unique(numbers, return_inverse=True)
    return place[label]


@pytest.mark.parametrize("cuts", [(), (1,), (7, 8, 9, 30), tuple(range(1, 60))])
@pytest.mark.parametrize("share", [0.05, 0.3, 0.42, 0.6, 1.0])
def test_regions_are_those_of_the_whole_mask_in_its_order(cuts, share):
    mask = RNG.random((60, 43)) < share
    regions = Regions()
    label = np.concatenate([regions.add(part) for part in bands(mask, *cuts)])
    assert (settled(regions, label) == components(mask)).all()


def test_a_spiral_over_all_bands_is_one_region():
    mask = np.zeros((41, 41), bool)
    for k in range(0, 20, 4):
        cv2.rectangle(view := mask.view(np.uint8), (k, k), (40 - k, 40 - k), 1)
        view[k + 1 : k + 5, k] = 1
    regions = Regions()
    label = np.concatenate([regions.add(part) for part in bands(mask, *range(1, 41))])
    assert (settled(regions, label) == components(mask)).all()


def nuclei(height=310, width=290, count=150):
    """Probabilities of a network with the head `instance`, of nuclei in all places."""
    depth, border = np.zeros((height, width), np.float32), np.zeros((height, width), np.float32)
    inside = np.zeros((height, width), np.float32)
    y, x = np.mgrid[:height, :width]
    for _ in range(count):
        cy, cx, r = RNG.uniform(0, height), RNG.uniform(0, width), RNG.uniform(4, 11)
        distance = np.hypot(y - cy, x - cx) / r
        mine = np.clip(1.2 - distance, 0, 1).astype(np.float32)
        border = np.where((np.abs(distance - 1) < 0.2) & (inside > 0), 0.8, border)
        inside = np.maximum(inside, (distance < 1).astype(np.float32))
        depth = np.maximum(depth, mine)
    inside[120:124, 60:66] = 0
    depth += RNG.random(depth.shape).astype(np.float32) * 0.02
    background = np.clip(1 - inside * 0.9, 0, 1)
    border = np.minimum(border, 1 - background)
    found = np.stack([background, 1 - background - border, border, depth.clip(0, 1)], axis=-1)
    return found.astype(np.float32)


@pytest.fixture
def instances(tmp_path):
    info = {"format": 2, "kind": "network", "head": "instance", "threshold": 0.5, "num_classes": 4}
    info |= {"classes": ["background", "nucleus"], "preprocessing": {}, "fitted": {}}
    info["instances"] = {
        "threshold": 0.45,
        "seed": 0.6,
        "min_area_px": 12,
        "minimum_share": 0.2,
    }
    (tmp_path / "model.json").write_text(json.dumps(info))
    return models.load(tmp_path)


@pytest.mark.parametrize("cuts", [(100,), (3, 50, 51, 177, 300), tuple(range(10, 310, 10))])
def test_nuclei_are_those_of_the_whole_image(instances, cuts, monkeypatch):
    monkeypatch.setattr(objects_rows, "MARGIN", 60)
    monkeypatch.setattr(objects_rows, "STEP", 37)
    monkeypatch.setattr(objects_rows, "CHUNK", 50)
    answer = nuclei()
    rules = WatershedParams(**instances.info["instances"])
    expected = segment(answer, rules)
    assert expected.max() > 60
    objects = Objects(instances)
    found = list(objects.bands(iter(bands(answer, *cuts))))
    mask = np.concatenate([band.mask for band in found])
    assert (mask == (instances.mask(answer) > 0)).all()
    label = np.concatenate([band.label for band in found])
    seeded = settled(objects.seeded, np.maximum(label, 0))
    rest = settled(objects.rest, np.maximum(-label, 0))
    whole = np.where(rest > 0, rest + seeded.max(), seeded)
    smallest = objects.smallest(np.bincount(whole.ravel())[1:])
    assert smallest > 12
    assert (drop_small(whole, smallest) == expected).all()


def test_windows_without_margin_would_cut_nuclei(instances, monkeypatch):
    monkeypatch.setattr(objects_rows, "MARGIN", 0)
    monkeypatch.setattr(objects_rows, "STEP", 37)
    monkeypatch.setattr(objects_rows, "CHUNK", 50)
    answer = nuclei()
    objects = Objects(instances)
    label = np.concatenate([band.label for band in objects.bands(iter(bands(answer, 100)))])
    seeded = settled(objects.seeded, np.maximum(label, 0))
    expected = segment(answer, WatershedParams(**instances.info["instances"]))
    assert ((seeded > 0) != (expected > 0)).any()


def test_only_holes_up_to_a_size_are_closed():
    mask = np.ones((40, 60), bool)
    mask[5:10, 5:10] = mask[20:33, 20:25] = mask[0:3, 30:33] = mask[15:17, 57:60] = False
    closed = holes_closed(mask, 10)
    assert closed[5:10, 5:10].all() and not closed[20:33, 20:25].any()
    assert not closed[0:3, 30:33].any() and not closed[15:17, 57:60].any()
    assert holes_closed(mask, 13)[20:33, 20:25].all()
    assert holes_closed(np.ones((3, 3), bool), 9).all()
    assert not holes_closed(np.zeros((3, 3), bool), 9).any()
