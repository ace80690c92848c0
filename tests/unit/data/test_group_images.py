"""What stops a run before it learns: a dataset that nothing can be learned from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from stores import dataset, random_image, write

from coverslip.data.group_images import group_images
from coverslip.errors import CoverslipError

BLANK = np.zeros((64, 64), np.int32)


@pytest.mark.parametrize(
    ("images", "fix"),
    [
        ({}, "no images: check the source and the format"),
        (
            {"a": (random_image(1)[0], BLANK), "b": (random_image(2)[0], BLANK)},
            r"all 2 masks are empty \(a, b\): check the masks",
        ),
        (
            {"a": random_image(1), "b": random_image(2)},
            r"in one group \(p1\), so none can be held out: give more",
        ),
    ],
    ids=["none", "empty", "one group"],
)
def test_a_dataset_that_cannot_be_learned_writes_nothing(tmp_path: Path, images, fix: str) -> None:
    write(tmp_path, images, group={"a": "p1", "b": "p1"})
    inputs = tmp_path / "images.h5", tmp_path / "manifest.csv"
    outputs = tmp_path / "groups.csv", tmp_path / "duplicates.csv"
    with pytest.raises(CoverslipError, match=f"manifest.csv.*{fix}"):
        group_images(*inputs, dataset(group_by="metadata"), *outputs)
    assert not any(path.exists() for path in outputs)
