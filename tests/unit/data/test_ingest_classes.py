"""Datasets with classes instead of masks, from the archive to the check."""

import json

import pandas as pd
import pytest
from archives import cut, pack, png, scene

from coverslip.config.sections import Dataset, Source
from coverslip.data import tables
from coverslip.data.group_images import group_images
from coverslip.data.image_store import ImageStore
from coverslip.data.ingest import ingest
from coverslip.data.quality_check import check
from coverslip.errors import CoverslipError


def dataset(**options):
    return Dataset(title="T", source=Source(kind="path"), **options)


def taken_in(folder, files, **options):
    """Ingest and check; return manifest, groups and the report."""
    source = pack(folder / "archive.zip", files)
    config = dataset(**options)
    paths = [folder / name for name in ("images.h5", "manifest.csv", "dataset.json")]
    ingest(source, config, *paths, processes=1)
    checked = [folder / name for name in ("report.json", "groups.csv", "duplicates.csv")]
    group_images(paths[0], paths[1], config, *checked[1:])
    check(paths[0], paths[1], *checked[1:], config, checked[0])
    groups = pd.read_csv(checked[1], dtype=str).set_index("id")
    return tables.read_manifest(paths[1]), groups, json.loads(checked[0].read_text())


def patches():
    """Patches of three slides, of which one is cut twice with a common area."""
    slides = [scene(seed)[48:] for seed in range(3)]
    files = {"train/1.png": png(cut(slides[0], 0, 0)), "train/2.png": png(cut(slides[1], 0, 0))}
    files |= {"train/3.png": png(cut(slides[0], 20, 25)), "test/4.png": png(cut(slides[2], 0, 0))}
    return files | {"train.csv": b"Filename,Label\n1.png,0\n2.png,1\n3.png,0\n"}


def test_labelled_csv(tmp_path):
    table, groups, report = taken_in(tmp_path, patches(), format="labelled_csv", group_by="overlap")
    assert table["class"].to_dict() == {
        "test_4": "",
        "train_1": "0",
        "train_2": "1",
        "train_3": "0",
    }
    assert (table["n_objects"] == 0).all()
    assert (table["foreground"] == 0).all()
    assert groups["group"].tolist() == ["test_4", "train_1", "train_2", "train_1"]
    assert report["classes"] == {"0": 2, "1": 1}
    assert report["duplicates"]["overlap"] == 1
    assert report["warnings"] == [
        "Images with a common area: 1 pairs, each kept in one group (train_1 = train_3).",
        "Class 1 has a single image: it is either learned or tested.",
    ]
    facts = json.loads((tmp_path / "dataset.json").read_text())
    assert facts["n_objects_by"] == {"mask": 0, "label": 0, "component": 0}
    with ImageStore(tmp_path / "images.h5") as store:
        assert store.ids() == list(table.index)
        assert not any(store.has_label(id) for id in store.ids())
        with pytest.raises(CoverslipError, match="holds no label of 'train_1'"):
            store.label("train_1")


def test_overlap_is_looked_for_only_where_it_is_asked_for(tmp_path):
    _, groups, report = taken_in(tmp_path, patches(), format="labelled_csv")
    assert groups["group"].nunique() == 4
    assert "overlap" not in report["duplicates"]


def test_wells_of_livecell(tmp_path):
    files = {}
    for seed, (line, well) in enumerate([("A172", "B7"), ("A172", "B7"), ("BV2", "B4")]):
        name = f"{line}_Phase_{well}_1_00d0{seed}h00m_1.tif"
        files[f"livecell_test_images/{line}/{name}"] = png(cut(scene(seed)[48:], 9, 9))
    table, groups, _ = taken_in(tmp_path, files, format="livecell", group_by="metadata")
    assert table["class"].tolist() == ["A172", "A172", "BV2"]
    assert groups["group"].tolist() == ["A172_B7", "A172_B7", "BV2_B4"]
    assert groups["stratum"].tolist() == ["A172", "A172", "BV2"]


def test_a_layout_without_groups(tmp_path):
    files = {"a/1.png": png(cut(scene(1)[48:], 0, 0)), "b/2.png": png(cut(scene(2)[48:], 0, 0))}
    with pytest.raises(CoverslipError, match="a_1: this format has no groups: set `group_by"):
        taken_in(tmp_path, files, format="class_folders", group_by="metadata")
    table, _, _ = taken_in(tmp_path, files, format="class_folders")
    assert table["class"].tolist() == ["a", "b"]
