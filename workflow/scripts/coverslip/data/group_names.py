"""The group of each image by its name or its archive, before duplicates unite groups."""

from __future__ import annotations

import re

import pandas as pd

from coverslip.config.sections import Dataset
from coverslip.errors import CoverslipError


def group_names(table: pd.DataFrame, dataset: Dataset) -> list[str]:
    """Return the group of each image of a manifest, as `group_by` of the dataset defines it.

    An image without one is a group of its own; so is each image where groups come from the
    images themselves (`acquisition`, `overlap`).

    Raises:
        CoverslipError: the archive has no groups, or the pattern is wrong or does not match.
    """
    ids = [str(name) for name in table.index]
    if dataset.group_by == "metadata":
        if (table["group"] == "").any():
            image = ids[int((table["group"] == "").argmax())]
            raise CoverslipError(
                f"{image}: this format has no groups: set `group_by` of the dataset to another rule"
            )
        return table["group"].tolist()
    if dataset.group_by == "filename":
        pattern = compile_pattern(dataset.group_pattern)
        return [_match(pattern, name) for name in ids]
    return ids


def _match(pattern: re.Pattern[str], name: str) -> str:
    match = pattern.search(name)
    if match is None or not match["group"]:
        raise CoverslipError(
            f"id '{name}': no group: `group_pattern: {pattern.pattern}` does not match it; fix the "
            "pattern or rename the image"
        )
    return match["group"]


def compile_pattern(pattern: str | None) -> re.Pattern[str]:
    """Compile a group pattern, which has to hold a group named `group`."""
    fix = "give one with a named group, such as `(?P<group>plate[0-9]+)_`"
    if not pattern:
        raise CoverslipError(f"`group_by: filename` needs `group_pattern`: {fix}")
    try:
        found = re.compile(pattern)
    except re.error as error:
        raise CoverslipError(
            f"`group_pattern: {pattern}` is no regular expression ({error}): {fix}"
        ) from error
    if "group" not in found.groupindex:
        raise CoverslipError(f"`group_pattern: {pattern}` names no group: {fix}")
    return found
