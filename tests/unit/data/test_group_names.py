"""Groups by the rule that the config names."""

import pandas as pd
import pytest

from coverslip.config.sections import bare_dataset
from coverslip.data.group_names import group_names
from coverslip.errors import CoverslipError

TABLE = pd.DataFrame({"group": ["A1", "A1", ""]}, index=["p1_a", "p1_b", "p2_c"])


def named(**keys):
    return group_names(TABLE, bare_dataset("own", {"format": "dsb2018", **keys}))


def test_group_names():
    pattern = {"group_by": "filename", "group_pattern": "^(?P<group>p[0-9])_"}
    assert named(**pattern) == ["p1", "p1", "p2"]
    for method in ("image", "acquisition", "overlap"):
        assert named(group_by=method) == ["p1_a", "p1_b", "p2_c"]


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("^(?P<group>p1)_", r"id 'p2_c': no group: `group_pattern: \^\(\?P<group>p1\)_`"),
        ("^p(?P<group>[a-z]*)", "id 'p1_a': no group"),
        ("^(p1)_", "names no group"),
        ("(", "no regular expression"),
        (None, "needs `group_pattern`"),
    ],
)
def test_patterns_that_give_no_group(pattern, message):
    with pytest.raises(CoverslipError, match=message):
        named(group_by="filename", group_pattern=pattern)


def test_an_archive_without_groups():
    with pytest.raises(CoverslipError, match="p2_c: this format has no groups"):
        named(group_by="metadata")
