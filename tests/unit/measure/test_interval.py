"""An interval for the confluency of one image."""

import cv2
import numpy as np

from coverslip.measure.interval import BLOCKS, Blocks, blocks_of


def dish(rng, size=300, radius=12, cells=180):
    """Discs that fall where they like, also over one another and over the border."""
    mask = np.zeros((size, size), np.uint8)
    for x, y in rng.integers(-radius, size + radius, (rng.poisson(cells), 2)).tolist():
        cv2.circle(mask, (x, y), radius, 1, -1)
    return mask > 0


def test_it_covers_what_other_fields_of_the_dish_show():
    rng = np.random.default_rng(2)
    masks = [dish(rng) for _ in range(120)]
    truth = 100 * np.mean([mask.mean() for mask in masks])
    found = np.array([blocks_of(mask, np.ones_like(mask)).interval() for mask in masks])
    covered = ((found[:, 0] <= truth) & (truth <= found[:, 1])).mean()
    assert 0.82 < covered <= 1
    assert 2 < (found[:, 1] - found[:, 0]).mean() < 20


def test_it_holds_the_number_and_is_the_same_each_time():
    mask = dish(np.random.default_rng(3))
    field = np.ones_like(mask)
    field[:, 200:] = False
    blocks = blocks_of(mask & field, field)
    low, high = blocks.interval()
    assert 0 < low < 100 * blocks.foreground / blocks.field < high < 100
    assert blocks_of(mask & field, field).interval() == (low, high)
    assert blocks.field == field.sum() and blocks.foreground == (mask & field).sum()
    even = blocks_of(np.ones_like(mask), np.ones_like(mask)).interval()
    assert even == (100, 100)


def test_rows_add_up():
    mask = dish(np.random.default_rng(4))
    whole, parts = blocks_of(mask, mask | True), Blocks(mask.shape)
    for start in range(0, 300, 7):
        parts.add(start, mask[start : start + 7], np.ones_like(mask[start : start + 7]))
    assert (parts.sums == whole.sums).all()
    assert whole.sums.shape == (BLOCKS, BLOCKS, 2)


def test_too_small_a_field_has_none():
    mask = np.ones((2, 5), bool)
    assert blocks_of(mask, mask).interval() == (100, 100)
    mask = np.ones((1, 5), bool)
    assert blocks_of(mask, mask).interval() is None
    field = np.zeros((100, 100), bool)
    assert blocks_of(field, field).interval() is None
    field[:20] = True
    assert blocks_of(field, field).interval() is None
