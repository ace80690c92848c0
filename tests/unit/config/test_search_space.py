"""Trials are drawn from the space, each time the same ones, and more of them change none."""

import math

import pytest

from coverslip.config import search_space
from coverslip.config.search_space import (
    combinations,
    place_values,
    sample,
    variant_name,
    varies_patches,
)
from coverslip.errors import CoverslipError


def values(low=None, high=None, log=False, choices=None) -> dict:
    return {"low": low, "high": high, "log": log, "choices": choices}


SPACE = {
    "training.learning_rate": values(1e-4, 1e-1, log=True),
    "training.batch_size": values(choices=[2, 4, 8, 16]),
    "network.depth": values(1, 3),
    "network.filters": values(2, 64, log=True),
    "network.dropout": values(0, 0.5),
}


def search(trials: int, space: dict = SPACE, seed: int = 1) -> dict:
    return {"space": space, "n_trials": trials, "seed": seed}


def test_more_trials_leave_the_earlier_ones_as_they_are():
    many = sample(search(40))
    for count in (2, 7, 39):
        assert sample(search(count)) == many[:count]


def test_so_they_do_where_all_values_are_choices():
    space = {"training.batch_size": values(choices=[2, 4, 8, 16]), "network.depth": values(1, 3)}
    every = sample(search(12, space))
    assert len({str(trial) for trial in every}) == 12, "no trial comes twice"
    assert sample(search(5, space)) == every[:5]


def test_order_of_keys_and_another_seed():
    turned = dict(reversed(SPACE.items()))
    assert sample(search(5, turned)) == sample(search(5))
    assert sample(search(5, seed=2)) != sample(search(5))


def test_values_stay_in_their_ranges_and_have_their_kinds():
    drawn = sample(search(400))
    rates = [trial["training.learning_rate"] for trial in drawn]
    assert min(rates) >= 1e-4 and max(rates) <= 1e-1
    middle = sum(rate < 10**-2.5 for rate in rates) / len(rates)
    assert 0.4 < middle < 0.6, "half of a log-uniform draw lies below the geometric middle"
    assert all(float(f"{rate:.4g}") == rate for rate in rates)
    assert {trial["network.depth"] for trial in drawn} == {1, 2, 3}
    assert {trial["training.batch_size"] for trial in drawn} == {2, 4, 8, 16}
    filters = [trial["network.filters"] for trial in drawn]
    assert all(type(number) is int and 2 <= number <= 64 for number in filters)
    assert min(filters) == 2 and 0.35 < sum(n < 11 for n in filters) / 400 < 0.65
    assert all(type(trial["network.dropout"]) is float for trial in drawn)


def test_a_space_that_is_too_small_is_refused():
    space = {"training.batch_size": values(choices=[2, 4]), "network.depth": values(2, 2)}
    assert combinations(space) == 2
    with pytest.raises(CoverslipError, match="2 combinations, fewer than 3 trials"):
        sample(search(3, space))
    assert combinations(SPACE) == math.inf


def test_values_are_put_at_their_places_in_a_copy():
    study = {"training": {"augmentation": {"noise": 0.0}, "epochs": 3}}
    changed = place_values(study, {"training.augmentation.noise": 0.1})
    assert changed == {"training": {"augmentation": {"noise": 0.1}, "epochs": 3}}
    assert study["training"]["augmentation"]["noise"] == 0.0


def test_patches_are_named_by_what_changes_them():
    section = {"patch": 64, "input_scaling": "unit", "min_foreground_fraction": 0.0}
    assert variant_name(section) == variant_name(section | {"input_scaling": "zscore"})
    assert variant_name(section) != variant_name(section | {"patch": 32})
    assert varies_patches({"preprocessing.patch": 1, "network.depth": 1})
    assert not varies_patches({"preprocessing.input_scaling": 1, "network.depth": 1})


# --- How many trials stand on which rung, and for how long


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
