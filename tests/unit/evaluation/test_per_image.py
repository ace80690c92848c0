"""What is counted on each image."""

import numpy as np
import pandas as pd
import pytest
import study_files

from coverslip.config.sections import Evaluation
from coverslip.data.image_store import ImageStore, ImageStoreWriter
from coverslip.errors import CoverslipError
from coverslip.evaluation.per_image import (
    AREA,
    MASKS,
    Observations,
    class_rows,
    has_instances,
    select_scored,
    sum_areas,
)


def areas(field, true, predicted, **columns):
    """Observations of confluency of one run."""
    count = len(field)
    table = {"id": [f"p{number:02d}" for number in range(count)], "subset": "test"}
    table |= {"group": [f"g{number}" for number in range(count)], "fold": 0, "seed": 1}
    table |= {"fov_area_px": field, "fov_true_px": true, f"model: {AREA}": predicted}
    table |= {f"{source}: {AREA}": 0 for source in ("all background", "otsu", "otsu of deviation")}
    return pd.DataFrame(table | columns)


def test_areas_of_whole_groups_are_summed():
    rows = areas([100, 300, 200], [10, 90, 50], [30, 70, 80], group=["a", "a", "b"])
    groups = sum_areas(rows)
    assert groups["id"].tolist() == ["a", "b"]
    assert groups["fov_area_px"].tolist() == [400, 200]
    assert groups[f"model: {AREA}"].tolist() == [100, 80]


@pytest.mark.parametrize("instances", [False, True])
def test_counts_of_masks(tmp_path, instances):
    files = study_files.make(tmp_path, images=9, groups=3, instances=instances)
    observations = MASKS.observe(files.inputs(), ["fold0_seed1"])
    rows = observations.rows
    assert has_instances(rows) == instances
    assert set(rows["subset"]) == {"validation", "test"}
    assert set(observations.images["subset"]) == {"train", "validation", "test"}
    with ImageStore(files.images) as store:
        for row in rows.to_dict("records"):
            label = store.label(row["id"])
            assert row["n_true"] == label.max()
            assert row["model: tp"] + row["model: fn"] == (label > 0).sum()
            assert row["all background: tp"] == row["all background: fp"] == 0
            assert row["all background: fn"] == (label > 0).sum()
            assert row["fov_true_px"] == (label > 0).sum()
            if instances:
                assert row["model: instance n_true"] == label.max()


def test_areas_leave_out_black_surroundings(tmp_path):
    files = study_files.make(tmp_path, images=3, groups=3)
    split = pd.read_csv(files.split)
    with ImageStore(files.images) as store:
        images = {id: (store.image(id), store.label(id)) for id in split["id"]}
    around = ((40, 0), (25, 0))
    with ImageStoreWriter(tmp_path / "padded.h5") as store:
        for id, (image, label) in images.items():
            store.image(id, np.pad(np.maximum(image, 1), (*around, (0, 0))))
            store.label(id, np.pad(label, around))
    (tmp_path / "fold0_seed1/predictions").mkdir(exist_ok=True)
    masks = {id: np.ones(np.pad(label, around).shape, bool) for id, (_, label) in images.items()}
    study_files.write_prediction(files.predictions[0], masks, sorted(masks), 0, {})
    rows = MASKS.observe(files.inputs(images=tmp_path / "padded.h5"), ["fold0_seed1"]).rows
    for row in rows.to_dict("records"):
        size = images[row["id"]][1].size
        assert row["fov_area_px"] == size
        assert row[f"model: {AREA}"] <= size < row["model: tp"] + row["model: fp"]


def test_only_bands_with_images_have_metrics():
    rows = areas([100, 100], [10, 80], [20, 70], n_true=0)
    for source in ("model", "all background", "otsu", "otsu of deviation"):
        columns = [f"{source}: {name}" for name in ("tn", "fp", "fn", "tp", "n_predicted")]
        rows[columns] = 0
    blocks = MASKS.blocks(Observations(rows, rows, [], []), "test", Evaluation())
    names = [metric.name for metric in blocks[1].metrics]
    assert names == [
        "confluency",
        "confluency_true",
        *(f"confluency_{name}" for name in ("bias", "mae", "rmse")),
        *(f"confluency_{name}_0_25" for name in ("bias", "mae", "rmse")),
        *(f"confluency_{name}_75_100" for name in ("bias", "mae", "rmse")),
    ]
    empty = MASKS.blocks(Observations(rows, rows, [], []), "validation", Evaluation())
    assert [metric.name for metric in empty[1].metrics] == names[:5]


def test_the_smallest_area_is_in_the_definition():
    rows = areas([100], [10], [20], n_true=0)
    evaluation = Evaluation(min_area_px=23)
    for source in ("model", "all background", "otsu", "otsu of deviation"):
        for name in ("tn", "fp", "fn", "tp", "n_predicted"):
            rows[f"{source}: {name}"] = 0
    block = MASKS.blocks(Observations(rows, rows, [], []), "test", evaluation)[0]
    assert "at least 23 pixels" in block.metrics[-1].definition


def test_rows_have_modality_and_class(tmp_path):
    files = study_files.make(tmp_path, images=6)
    rows = select_scored(files.split, files.groups)
    assert rows["modality"].tolist()[:3] == ["fluorescence", "fluorescence", "histology"]
    groups = pd.read_csv(files.groups).assign(stratum=["x", "y"] * 3)
    groups.to_csv(files.groups, index=False)
    assert class_rows(files.split, files.groups, ["x", "y"])["truth"].tolist() == [0, 1] * 3
    with pytest.raises(CoverslipError, match="'image_001' is of class 'y', which the model"):
        class_rows(files.split, files.groups, ["x"])
