"""Cutting patches into shards and reading them back."""

import json
import tracemalloc
from pathlib import Path

import class_training
import numpy as np
import pandas as pd
import pytest

from coverslip.config.sections import Preprocessing
from coverslip.data import tables as manifests
from coverslip.data.image_store import ImageStoreWriter
from coverslip.errors import CoverslipError
from coverslip.imaging.image_statistics import KEPT, image_statistics, unlike_training
from coverslip.models.heads import encode
from coverslip.training import patches
from coverslip.training.patches import Patches, training_statistics

SIZES = {"b": (40, 56), "a": (16, 16), "10": (5, 3), "1": (33, 16), "NA": (70, 20)}


def dataset(folder, sizes=SIZES, channels=3):
    """A store and manifest of noise; the upper left quarter of each image is an object."""
    rng = np.random.default_rng(1)
    rows = []
    with ImageStoreWriter(folder / "images.h5") as store:
        for id, (height, width) in sizes.items():
            label = np.zeros((height, width), np.int32)
            label[: (height + 1) // 2, : (width + 1) // 2] = 9
            store.image(id, rng.integers(0, 255, (height, width, channels), np.uint8))
            store.label(id, label)
            values = dict.fromkeys(manifests.COLUMNS, 0)
            values |= {"id": id, "height": height, "width": width, "channels": channels}
            rows.append(values)
    table = pd.DataFrame(rows).astype(manifests.DTYPES)
    manifests.write_manifest(table, folder / "manifest.csv")
    return folder / "images.h5", folder / "manifest.csv"


def prepared(folder, p, shards, **options):
    images, manifest = dataset(folder, **options)
    folders = [folder / f"{shards}" / str(shard) for shard in range(shards)]
    for shard, output in enumerate(folders):
        patches.extract_patches(images, manifest, p, shard, shards, output)
    return Patches(folders)


@pytest.mark.parametrize("overlap", [0.0, 0.3])
def test_patches_are_windows_of_their_images(tmp_path, overlap):
    p = Preprocessing(patch=16, overlap=overlap, channels="rgb", normalization="dtype_range")
    data = prepared(tmp_path, p, shards=2)
    with patches.ImageStore(tmp_path / "images.h5") as store:
        for number, row in data.index.iterrows():
            window = np.s_[row["y"] : row["y"] + 16, row["x"] : row["x"] + 16]
            image = patches.pad(store.image(row["id"]), (16, 16))[window]
            label = patches.pad(store.label(row["id"]), (16, 16))[window]
            assert np.array_equal(data.images([number])[0], image)
            cut = data.labels([number])[0]
            assert cut.dtype == np.uint16 and np.array_equal(cut > 0, label > 0)
            pairs = set(zip(label.ravel().tolist(), cut.ravel().tolist(), strict=True))
            assert len(pairs) == len(np.unique(label)) == len(np.unique(cut))
            assert cut.max() == len(np.unique(label[label > 0]))
            assert row["foreground"] == pytest.approx((label > 0).mean(), abs=1e-6)
            assert (row["height"], row["width"]) == SIZES[row["id"]]


@pytest.mark.parametrize("overlap", [0.0, 0.25, 0.6])
def test_all_pixels_are_covered(tmp_path, overlap):
    p = Preprocessing(patch=16, overlap=overlap, channels="rgb", normalization="dtype_range")
    index = prepared(tmp_path, p, shards=1).index
    assert list(index.columns) == list(patches.INDEX_TYPES)
    for id, (height, width) in SIZES.items():
        covered = np.zeros((max(height, 16), max(width, 16)), bool)
        for row in index[index["id"] == id].itertuples():
            assert row.y + 16 <= covered.shape[0] and row.x + 16 <= covered.shape[1]
            covered[row.y : row.y + 16, row.x : row.x + 16] = True
        assert covered.all()


def test_images_far_smaller_than_a_patch_are_reflected(tmp_path):
    data = prepared(
        tmp_path,
        Preprocessing(patch=32, channels="rgb", normalization="dtype_range"),
        shards=1,
        sizes={"s": (3, 5)},
    )
    image = data.images([0])[0]
    assert np.array_equal(image[:3, :5], image[3:6, :5][::-1])
    assert np.array_equal(image[:, :5], image[:, 5:10][:, ::-1])
    assert np.array_equal(image[:3, :5], image[6:9, :5])


@pytest.mark.parametrize("resize", [None, (24, 20)])
def test_the_number_of_shards_changes_nothing(tmp_path, resize):
    p = Preprocessing(
        patch=16, overlap=0.25, resize=resize, channels="grey", normalization="dtype_range"
    )
    one = prepared(tmp_path, p, shards=1)
    many = prepared(tmp_path, p, shards=7)  # more than images: empty shards
    pd.testing.assert_frame_equal(one.index, many.index)
    rows = np.random.default_rng(2).permutation(len(one))
    assert np.array_equal(one.images(rows), many.images(rows))
    assert np.array_equal(one.labels(rows), many.labels(rows))


def test_shards_take_turns_through_the_sorted_manifest(tmp_path):
    prepared(
        tmp_path, Preprocessing(patch=16, channels="rgb", normalization="dtype_range"), shards=2
    )
    index = pd.read_csv(tmp_path / "2" / "1" / "index.csv", dtype=str, keep_default_na=False)
    assert sorted(set(index["id"])) == sorted(SIZES)[1::2]
    assert index["patch"].tolist() == [str(number) for number in range(len(index))]


def test_resized_images_are_one_patch(tmp_path):
    data = prepared(
        tmp_path,
        Preprocessing(resize=(24, 20), channels="rgb", normalization="dtype_range"),
        shards=1,
    )
    assert data.shape == (24, 20, 3)
    assert data.index["id"].tolist() == sorted(SIZES)
    assert (data.labels(range(len(data))) > 0).mean() == pytest.approx(0.25, abs=0.1)
    assert not data.index[["y", "x"]].any(axis=None)


def test_rows_by_image_and_foreground(tmp_path):
    data = prepared(
        tmp_path, Preprocessing(patch=16, channels="rgb", normalization="dtype_range"), shards=2
    )
    rows = data.rows(["NA", "b", "unknown"])
    assert set(data.index["id"][rows]) == {"NA", "b"}
    fuller = data.rows(["NA", "b"], min_foreground_fraction=0.5)
    assert 0 < len(fuller) < len(rows)
    assert (data.index["foreground"][fuller] >= 0.5).all()
    blocks = list(data.blocks(rows, size=4))
    assert max(map(len, blocks)) <= 4
    assert np.array_equal(np.concatenate(blocks), data.images(rows))


def test_two_runs_give_equal_bytes(tmp_path):
    p = Preprocessing(patch=16, clahe_clip=2.0, channels="rgb", normalization="dtype_range")
    for name in ("x", "y"):
        (tmp_path / name).mkdir()
        prepared(tmp_path / name, p, shards=1)
    for name in ("images.npy", "labels.npy", "index.csv"):
        first, second = (tmp_path / run / "1" / "0" / name for run in ("x", "y"))
        assert first.read_bytes() == second.read_bytes()


def test_ten_thousand_patches_need_little_memory(tmp_path):
    sizes = {f"p{number:02}": (640, 640) for number in range(25)}
    images, manifest = dataset(tmp_path, sizes, channels=1)
    p = Preprocessing(patch=32, channels="grey", normalization="dtype_range")
    total = 10_000 * 32 * 32  # bytes of the images
    tracemalloc.start()
    try:
        patches.extract_patches(images, manifest, p, 0, 1, tmp_path / "out")
        _, cut = tracemalloc.get_traced_memory()
        tracemalloc.clear_traces()
        data = Patches([tmp_path / "out"])
        for start in range(0, len(data), 500):
            data.images(np.arange(start, start + 16))
        _, read = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(data) == 10_000
    assert isinstance(data._images[0], np.memmap)
    assert max(cut, read) < total / 2


def test_a_failure_leaves_nothing_and_names_the_image(tmp_path, monkeypatch):
    images, manifest = dataset(tmp_path)
    original = patches.ImageStore.image

    def image(self, id):
        return original(self, id).astype(np.float32 if id == "b" else np.uint8)

    monkeypatch.setattr(patches.ImageStore, "image", image)
    with pytest.raises(CoverslipError, match="'b'.*float32"):
        patches.extract_patches(
            images,
            manifest,
            Preprocessing(patch=16, channels="rgb", normalization="dtype_range"),
            0,
            1,
            tmp_path / "out",
        )
    assert list((tmp_path / "out").iterdir()) == []


def test_a_full_disk_leaves_nothing(tmp_path, monkeypatch):
    images, manifest = dataset(tmp_path)
    original = patches._open_array

    def full(stack, path, shape, dtype):
        original(stack, path, shape, dtype).write(b"something")
        return stack.enter_context(Path("/dev/full").open("wb", 0))

    monkeypatch.setattr(patches, "_open_array", full)
    with pytest.raises(OSError, match="No space left"):
        patches.extract_patches(
            images,
            manifest,
            Preprocessing(patch=16, channels="rgb", normalization="dtype_range"),
            0,
            1,
            tmp_path / "out",
        )
    assert list((tmp_path / "out").iterdir()) == []


def test_a_manifest_of_another_store_is_named(tmp_path):
    images, manifest = dataset(tmp_path)
    table = manifests.read_manifest(manifest)
    table.loc["b", "height"] = 41
    manifests.write_manifest(table, manifest)
    with pytest.raises(CoverslipError, match="'b'.*41x56"):
        patches.extract_patches(
            images,
            manifest,
            Preprocessing(patch=16, channels="rgb", normalization="dtype_range"),
            0,
            1,
            tmp_path / "out",
        )


def test_broken_folders_are_named(tmp_path):
    prepared(
        tmp_path, Preprocessing(patch=16, channels="rgb", normalization="dtype_range"), shards=1
    )
    folder = tmp_path / "1" / "0"
    with pytest.raises(CoverslipError, match="nowhere"):
        Patches([tmp_path / "nowhere"])
    with pytest.raises(CoverslipError, match="no folder"):
        Patches([])
    lines = (folder / "index.csv").read_text().splitlines(keepends=True)
    (folder / "index.csv").write_text("".join(lines[:-1]))
    with pytest.raises(CoverslipError, match="does not fit"):
        Patches([folder])
    (folder / "images.npy").write_bytes(b"")
    with pytest.raises(CoverslipError, match=r"images\.npy"):
        Patches([folder])


# --- Classes of images


def test_patches_of_classes_are_whole_images(class_study):
    found = Patches(sorted((class_study / "patches").iterdir()))
    assert found.classes == class_training.SHAPES
    assert found.shape == (*class_training.SIZE, 1)
    assert len(found) == 60
    numbers = found.labels(np.arange(56))
    assert numbers.shape == (56, 1, 1)
    assert numbers[:6, 0, 0].tolist() == [0, 1, 2, 0, 1, 2]
    np.testing.assert_array_equal(encode(numbers, "classification"), numbers[:, 0, 0])
    assert (
        found.index["class"].tolist()[-5:]
        == ["ring" if 55 % 3 == 2 else class_training.SHAPES[55 % 3]] + [""] * 4
    )
    assert (found.index[["height", "width"]] == [20, 24]).all(axis=None)


def test_images_of_classes_get_one_size_and_type(tmp_path):
    rng = np.random.default_rng(3)
    sizes = {"flat": (9, 40, 1), "large": (130, 90, 3), "small": (5, 4, 4)}
    rows = []
    with ImageStoreWriter(tmp_path / "images.h5") as store:
        for id, shape in sizes.items():
            deep = id == "large"
            top, dtype = (65535, np.uint16) if deep else (255, np.uint8)
            store.image(id, np.full(shape, top // 3, dtype) + rng.integers(0, 2, shape, dtype))
            rows.append(class_training.manifest_row(id, id, shape[:2]))
    manifests.write_manifest(
        pd.DataFrame(rows, columns=manifests.COLUMNS), tmp_path / "manifest.csv"
    )
    inputs = (tmp_path / "images.h5", tmp_path / "manifest.csv", class_training.PREPROCESSING)
    patches.extract_class_patches(*inputs, 0, 1, tmp_path / "0")
    found = Patches([tmp_path / "0"])
    assert found.shape == (*class_training.SIZE, 1) and found.classes == sorted(sizes)
    images = np.load(tmp_path / "0/images.npy", mmap_mode="r")
    assert np.abs(images.astype(int) - 85).max() <= 1, "16 bits and colours come to the same grey"
    assert found.index["height"].tolist() == [9, 130, 5]


# --- Statistics of training images, as a model keeps them


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
