"""Images with a csv of their labels, and perhaps others without labels.

    <root>/train.csv               Filename,Label
    <root>/train/<Filename>        or <root>/<Filename>
    <root>/<any other folder>/<image without label>

Names of the csv and of its two columns are set in the config; its images are in the folder of
its name, or next to it. Every image in the folders that the csv names has to have a label;
images in other folders below the root have none: they are predicted, but not scored. The id is
made of the folders below the root and the name without extension, joined by `_` (`train_17`).
"""

from __future__ import annotations

import hashlib
import io
import re
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import PurePosixPath

import pandas as pd

from coverslip.config.sections import Dataset
from coverslip.data.archive import Archive
from coverslip.data.formats import (
    Sample,
    check_not_empty,
    check_several_classes,
    expand_nested,
    is_image,
    normalize_name,
    raise_unusable,
)
from coverslip.errors import CoverslipError, one_line


def records(archive: Archive, dataset: Dataset) -> Iterator[Sample]:
    """Yield one record an image, without masks.

    Raises:
        CoverslipError: no csv or several, one that is no table with these columns, a row without
            label, with a name that occurs twice or of an image that does not exist, an image
            without row among those that have one, or a single label.
    """
    expand_nested(archive)
    images = [member for member in archive.members() if is_image(member)]
    check_not_empty(archive, images, f"{dataset.labels} and the images that it names")
    csv = only_csv(archive, dataset.labels)
    labels = read_labels(archive, csv, dataset.label_columns)
    check_several_classes(archive, labels.values())
    root = PurePosixPath(csv).parent
    members = find_members(archive, csv, list(labels), set(images))
    of_member = {members[name]: label for name, label in labels.items()}
    folders = {PurePosixPath(member).parent for member in of_member}
    raise_unusable(
        archive,
        f"image without label in {csv}",
        (m for m in images if m not in of_member and PurePosixPath(m).parent in folders),
        "add a row with its label, or put it into another folder",
    )
    for member in images:
        path = PurePosixPath(member)
        if path.is_relative_to(root):
            parts = path.relative_to(root).parent.parts
            id = "_".join([*parts, path.stem])
            yield Sample(id, member, (), label=of_member.get(member))


def only_csv(archive: Archive, name: str) -> str:
    """Return the one member of this name."""
    members = [member for member in archive.members() if PurePosixPath(member).name == name]
    if len(members) != 1:
        what = f"two files {name}: {members[0]} and {members[1]}" if members else f"no file {name}"
        raise CoverslipError(
            f"{archive.path}: {what}: keep one, or fix `labels` of the dataset in the config"
        )
    return members[0]


def read_labels(archive: Archive, csv: str, columns: tuple[str, str]) -> dict[str, str]:
    """Map the file names in a csv to their labels, both as they are written."""
    where = f"{archive.path}: {csv}"
    try:
        data = archive.read(csv)
        archive.digests[csv] = hashlib.sha256(data).hexdigest()
        text = data.decode("utf-8-sig")
        with warnings.catch_warnings():
            # Cells beyond the columns would be left out with a warning only.
            warnings.simplefilter("error", pd.errors.ParserWarning)
            table = pd.read_csv(
                io.StringIO(text), dtype=str, keep_default_na=False, index_col=False
            )
    except (ValueError, pd.errors.ParserWarning) as error:
        reason = one_line(error)
        raise CoverslipError(f"{where}: not a csv in UTF-8 ({reason}): save it as one") from error
    missing = [name for name in columns if name not in table.columns]
    if missing:
        raise CoverslipError(
            f"{where}: column {missing[0]} is missing (there are: {', '.join(table.columns)}): "
            "fix `label_columns` of the dataset in the config"
        )
    names, labels = (table[name].str.strip() for name in columns)
    for wrong, what, fix in (
        (names == "", "no file name", "add it or remove the row"),
        (labels == "", "no label", "add it or remove the row"),
        (names.duplicated(), "a file name that occurs twice", "remove one of the rows"),
        (labels.map(odd), "a label with line breaks or control characters", "rename it"),
    ):
        if wrong.any():
            row = int(wrong.to_numpy().argmax())
            more = f" (and {int(wrong.sum()) - 1} more)" if wrong.sum() > 1 else ""
            raise CoverslipError(f"{where}: line {row + 2}: {what}: {names[row]}{more}: {fix}")
    return dict(zip(names, labels, strict=True))


def odd(text: str) -> bool:
    """Return whether a text has control characters."""
    return re.search(r"[\x00-\x1f\x7f\x85\u2028\u2029]", text) is not None


def find_members(archive: Archive, csv: str, names: list[str], images: set[str]) -> dict[str, str]:
    """Map the file names of a csv to members, in the folder of its name or next to it."""
    root = PurePosixPath(csv).parent
    places = (root / PurePosixPath(csv).stem, root)
    choices = {name: [normalize_name(str(place / name)) for place in places] for name in names}
    known = {normalize_name(member): member for member in images}
    members = {
        name: next((known[member] for member in wanted if member in known), None)
        for name, wanted in choices.items()
    }
    raise_unusable(
        archive,
        f"image in {csv} that does not exist",
        (name for name, member in members.items() if member is None),
        f"put it into {places[0]}, or remove its row",
    )
    times = Counter(members.values())
    raise_unusable(
        archive,
        f"image with two rows in {csv}",
        (str(member) for member, number in times.items() if number > 1),
        "remove one of them",
    )
    return {name: str(member) for name, member in members.items()}
