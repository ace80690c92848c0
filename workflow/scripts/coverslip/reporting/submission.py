"""Predicted labels of images without labels, in the form of a competition's `example.csv`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd

from coverslip.data import tables as manifests
from coverslip.evaluation.predictions import UNLABELLED, read_class_predictions
from coverslip.evaluation.runs import run_of
from coverslip.files import atomic_write
from coverslip.models import heads


def submission(
    predictions: Sequence[Path], manifest: Path, columns: tuple[str, str], output: Path
) -> None:
    """Write a csv with a file name and a label a row, in the order of the numbers in the names.

    All runs (folds and seeds) are asked, and their probabilities averaged. Where every image has
    a label, the images of the test subsets are classified by runs that did not train on them.

    Args:
        predictions: prediction files of all runs and shards; their folder is that of the run.
        manifest: of the dataset, with the file names.
        columns: names of the two columns. File names that stand twice, as in folders of classes,
            are named with their folders.
        output: the csv to write.

    Raises:
        CoverslipError: a file cannot be read.
    """
    runs = sorted({run_of(path) for path in predictions})
    answers = [
        read_class_predictions([path for path in predictions if run_of(path) == run])
        for run in runs
    ]
    wanted = UNLABELLED if any((a.subsets == UNLABELLED).any() for a in answers) else "test"
    parts = []
    for answer in answers:
        inside = answer.subsets == wanted
        shares = heads.calibrated_probabilities(answer.logits[inside], answer.temperature)
        parts.append(pd.DataFrame(shares, index=answer.ids[inside]))
    mean = pd.concat(parts).groupby(level=0).mean()
    labels = np.array(answers[0].classes, dtype=object)[mean.to_numpy().argmax(axis=1)]
    members = manifests.read_manifest(manifest)["member"]
    names = [PurePosixPath(members[id]).name for id in mean.index]
    if len(set(names)) < len(names):
        names = [str(members[id]) for id in mean.index]
    table = pd.DataFrame({columns[0]: names, columns[1]: labels})
    order = sorted(range(len(table)), key=lambda row: _natural(names[row]))
    with atomic_write(output) as part:
        table.iloc[order].to_csv(part, index=False, lineterminator="\n")


def _natural(name: str) -> tuple[int, int, str]:
    """Key that puts `9.png` before `10.png`."""
    stem = PurePosixPath(name).stem
    return (0, int(stem), name) if stem.isdecimal() else (1, 0, name)
