"""Where in a stack an image is, by the name of its plane."""

from __future__ import annotations

import re


def stack_place(plane: str) -> tuple[int | None, int | None]:
    """Return time and depth of a plane, from 1; none where its name has none.

    Examples:
        >>> stack_place("t2 z13")
        (2, 13)
        >>> stack_place("")
        (None, None)
    """
    found = dict(re.findall(r"\b([tz])(\d+)\b", plane))
    time, depth = (int(found[axis]) if axis in found else None for axis in "tz")
    return time, depth
