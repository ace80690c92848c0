"""Predicted labels in the form of a competition."""

import class_files
import numpy as np
import pandas as pd

from coverslip.data import tables
from coverslip.reporting.submission import submission


def written(folder, subsets, logits, names):
    """The csv for two runs with these subsets, logits (runs, N, K) and file names."""
    ids = [f"p{number}" for number in range(len(names))]
    blank = {name: kind() for name, kind in tables.DTYPES.items()}
    rows = [blank | {"id": id, "member": f"x/{name}"} for id, name in zip(ids, names, strict=True)]
    tables.write_manifest(pd.DataFrame(rows, columns=tables.COLUMNS), folder / "manifest.csv")
    paths = []
    for fold, (subset, run) in enumerate(zip(subsets, logits, strict=True)):
        path = folder / f"fold{fold}_seed1" / "predictions" / "0.h5"
        table = pd.DataFrame({"id": ids, "subset": subset})
        class_files.write_predictions(path, table, np.array(run, float), fold)
        paths.append(path)
    submission(paths, folder / "manifest.csv", ("Filename", "Label"), folder / "out.csv")
    return (folder / "out.csv").read_text()


def test_unlabelled_images_in_the_order_of_their_numbers(tmp_path):
    subset = ["unlabelled", "unlabelled", "test"]
    logits = [
        [[3, 0, 0], [0, 9, 0], [0, 0, 9]],
        [[0, 2, 0], [0, 9, 0], [0, 0, 9]],
    ]
    text = written(tmp_path, [subset, subset], logits, ["10.png", "9.png", "1.png"])
    assert text == "Filename,Label\n9.png,bv2\n10.png,a172\n", "probabilities are averaged"


def test_names_that_stand_twice_are_told_with_their_folders(tmp_path):
    logits = [[[3, 0, 0], [0, 9, 0], [0, 0, 9]]]
    text = written(tmp_path, [["test"] * 3], logits, ["b/2.png", "a/2.png", "a/1.png"])
    assert text == "Filename,Label\nx/a/1.png,mcf7\nx/a/2.png,bv2\nx/b/2.png,a172\n"


def test_without_any_the_test_images_of_each_fold(tmp_path):
    subsets = [["test", "validation"], ["validation", "test"]]
    logits = [[[0, 0, 5], [5, 0, 0]], [[5, 0, 0], [0, 5, 0]]]
    text = written(tmp_path, subsets, logits, ["b.png", "a.png"])
    assert text == "Filename,Label\na.png,bv2\nb.png,mcf7\n"
