"""Damaged inputs, drawn by hypothesis."""

from hypothesis import settings
from hypothesis import strategies as st
from property_settings import FEW

from coverslip.errors import CoverslipError

FUZZ = settings(FEW, max_examples=150)


ODD = st.text(st.characters(codec="utf-8") | st.sampled_from("/\\.:\0\n\r\x1b\u2028ä"), max_size=12)


EDITS = st.lists(
    st.tuples(
        st.integers(0, 10**6), st.integers(0, 255), st.sampled_from(["set", "cut", "drop", "add"])
    ),
    min_size=1,
    max_size=6,
)


def damaged(data, edits):
    """Bytes with some set, dropped, added, or cut off at some places."""
    changed = bytearray(data)
    for place, value, kind in edits:
        place %= max(1, len(changed))
        if kind == "set" and changed:
            changed[place] = value
        elif kind == "cut":
            del changed[len(changed) - place // 8 :]
        elif kind == "drop":
            del changed[place : place + 1 + value // 16]
        else:
            changed[place:place] = bytes([value])
    return bytes(changed)


def answers(call, *args, named=None, line=True):
    """Call; return what comes, or none where it is refused in one line that names the file."""
    try:
        return call(*args)
    except CoverslipError as error:
        told = str(error)
        assert named is None or named in told
        assert not line or "\n" not in told
        return None


PARTS = st.sampled_from(
    ["a", "b", "images", "masks", "inputs", "1.png", "2.PNG", "1.tif", "x.zip", "..", ".", "", " "]
)


NAMES = (st.lists(PARTS, min_size=1, max_size=5).map("/".join) | ODD).filter(
    lambda name: name.split("\0")[0]  # zipfile cannot write others
)


CELLS = st.sampled_from(["a", "b", "007", "NA", "", "1", "-1", "1e400", "nan", "ü", "\x00"]) | ODD


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | ODD,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(ODD | st.integers(), inner, max_size=3)
    ),
    max_leaves=6,
)
