"""Statistics of training images, as a model keeps them."""

import json

import numpy as np
import pandas as pd

from coverslip.data.image_store import ImageStoreWriter
from coverslip.imaging.image_statistics import KEPT, image_statistics, unlike_training
from coverslip.training.training_statistics import training_statistics


def test_a_model_keeps_statistics_of_its_training_images_alone(tmp_path):
    rng = np.random.default_rng(4)
    ids = [f"{number:03d}" for number in range(KEPT + 30)]
    subsets = ["train"] * (KEPT + 10) + ["test"] * 20
    with ImageStoreWriter(tmp_path / "images.h5") as store:
        for id, subset in zip(ids, subsets, strict=True):
            noise = rng.normal(100, 5, (24, 24))
            noise[:, ::2] += 100 * (subset == "test")
            store.image(id, noise.astype(np.uint8))
    split = pd.DataFrame({"id": ids, "fold": 0, "subset": subsets, "group": ids, "stratum": ""})
    split.to_csv(tmp_path / "split.csv", index=False)
    found = training_statistics(tmp_path / "images.h5", tmp_path / "split.csv", 0)
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert len(found["images"]) == KEPT
    like = rng.normal(100, 5, (24, 24)).astype(np.uint8)
    other = like.copy()
    other[:, ::2] += 100
    assert unlike_training(image_statistics(like), found) < 1.5
    assert unlike_training(image_statistics(other), found) > 2
