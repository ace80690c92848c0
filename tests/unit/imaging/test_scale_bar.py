"""Scale bars on images of measured folders."""

import numpy as np
import pytest

from coverslip.imaging.scale_bar import draw_scale_bar, scale_bar_um


@pytest.mark.parametrize(("width", "bar"), [(166.4, 20), (400, 100), (399, 50), (4, 1), (0.9, 0.2)])
def test_a_scale_bar_has_a_round_length_of_at_most_a_quarter(width, bar):
    assert scale_bar_um(width) == pytest.approx(bar)


@pytest.mark.parametrize("shape", [(512, 400), (40, 60), (3, 8)])
def test_a_scale_bar_is_as_long_as_it_claims(shape):
    shown = np.full((*shape, 3), 120, np.uint8)
    draw_scale_bar(shown, 0.2)
    white = (shown == 255).all(axis=2)
    rows = np.flatnonzero(white.any(axis=1))
    assert white.sum(axis=1).max() == round(0.2 * shape[1]) or shape == (3, 8)
    if rows.size:
        assert rows.max() < shape[0] and not white[:, -1].any()
        assert (shown[~white] <= 120).all() and (shown == 0).any()
