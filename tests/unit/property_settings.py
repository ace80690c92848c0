"""Settings of property tests: the same few draws each time, so that they cost seconds."""

from hypothesis import HealthCheck, settings

FEW = settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
