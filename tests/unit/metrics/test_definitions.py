"""The list of metrics."""

import importlib

import numpy as np
import pytest

from coverslip.metrics import definitions
from coverslip.metrics.definitions import METRICS

LISTS = ("PIXELS", "REGION_COUNTS", "INSTANCES", "CONFLUENCY", "CONFLUENCY_BANDS", "CLASSIFICATION")


@pytest.mark.parametrize("name", LISTS)
def test_names_are_unique_in_each_list(name):
    names = [metric.name for metric in getattr(definitions, name)]
    assert len(set(names)) == len(names) > 0


def test_every_metric_is_defined_and_has_a_function():
    for metric in METRICS:
        assert len(metric.definition) > 25 and metric.unit and metric.support.unit
        module, _, name = metric.function_name.rpartition(".")
        assert getattr(importlib.import_module(module), name) is metric.function


def test_higher_is_better_agrees_with_the_functions():
    # More true positives or hits instead of misses make every such score larger.
    one, other = np.array([8.0]), np.array([9.0])
    rest = (np.array([10.0]), np.array([10.0]))
    for metric in definitions.INSTANCES:
        if metric.inputs[0].startswith("tp_") and len(metric.inputs) == 3:
            assert metric.higher_is_better
            assert metric.function(other, *rest) > metric.function(one, *rest)


def test_headlines_are_metrics_of_instances():
    assert set(definitions.BY_MODALITY) <= {metric.name for metric in definitions.INSTANCES}


def test_bands_have_names_and_definitions_of_their_own():
    metrics = {metric.name: metric for metric in definitions.CONFLUENCY_BANDS}
    assert "25 to 50 %" in metrics["confluency_mae_25_50"].definition
    assert len(metrics) == 12


def test_equal_names_have_one_direction():
    directions = {}
    for metric in METRICS:
        assert directions.setdefault(metric.name, metric.higher_is_better) is (
            metric.higher_is_better
        )
