"""How many trials stand on which rung, and for how long."""

import pytest

from coverslip.config import search_space


@pytest.mark.parametrize(
    ("trials", "first", "last", "eta", "epochs", "slots"),
    [
        (9, 1, 9, 3, [1, 3], [9, 3]),
        (10, 1, 9, 3, [1, 3, 9], [10, 4, 2]),
        (16, 2, 8, 4, [2, 8], [16, 4]),
        (16, 2, 7, 4, [2], [16]),
        (4, 1, 2, 2, [1, 2], [4, 2]),
        (2, 5, 1000, 2, [5], [2]),
        (27, 1, 1000, 3, [1, 3, 9], [27, 9, 3]),
    ],
)
def test_sizes_of_rungs(trials, first, last, eta, epochs, slots):
    search = {"n_trials": trials, "min_epochs": first, "max_epochs": last, "reduction_factor": eta}
    assert search_space.rung_epochs(search) == epochs
    assert search_space.rung_sizes(search) == slots


def test_more_epochs_leave_the_earlier_rungs_as_they_are():
    search = {"n_trials": 30, "min_epochs": 1, "max_epochs": 3, "reduction_factor": 3}
    more = search | {"max_epochs": 9}
    assert search_space.rung_epochs(more)[:2] == search_space.rung_epochs(search) == [1, 3]
    assert search_space.rung_sizes(more)[:2] == search_space.rung_sizes(search) == [30, 10]
