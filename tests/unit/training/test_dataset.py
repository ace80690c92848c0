"""Which patches are trained on, in which order and in which parts."""

import class_training
import numpy as np
import pandas as pd
import pytest
from mask_training import AUGMENTATION, PREPROCESSING, write_patches

from coverslip.config.sections import Augmentation
from coverslip.errors import CoverslipError
from coverslip.models.preprocessing import fit
from coverslip.training import dataset
from coverslip.training.dataset import Batches, class_weights, draw, select
from coverslip.training.patches import Patches

IDS = [f"{number:02d}" for number in range(11)]


@pytest.fixture(scope="module")
def patches(tmp_path_factory) -> Patches:
    return Patches([write_patches(tmp_path_factory.mktemp("patches") / "0", IDS, 0)])


def batches(patches: Patches, workers: int = 1) -> Batches:
    rows = np.arange(11)
    fitted = fit(patches.blocks(rows), PREPROCESSING)
    return Batches(patches, rows, PREPROCESSING, fitted, batch_size=4, workers=workers)


def test_validation_keeps_its_order(patches):
    given = batches(patches)
    assert len(given) == 3
    images, targets = zip(*(given[i] for i in range(3)), strict=True)
    assert [len(each) for each in images] == [4, 4, 3]
    assert images[0].dtype == np.float32
    assert targets[0].dtype == np.uint8
    assert np.array_equal(np.concatenate(targets), patches.labels(np.arange(11)))
    assert np.concatenate(images).mean() == pytest.approx(0, abs=1e-5)


def test_an_epoch_is_a_permutation_of_its_own(patches):
    orders = []
    for seed, epoch in ((1, 0), (1, 1), (2, 0), (1, 0)):
        given = batches(patches).shuffled(
            seed, epoch, Augmentation(flip=False, rot90=False, gamma=(1.0, 1.0))
        )
        orders.append(np.concatenate([given.places(i) for i in range(len(given))]).tolist())
        images, targets = given[1]
        assert np.array_equal(targets, patches.labels(given.places(1)))
    assert all(sorted(order) == list(range(11)) for order in orders)
    assert orders[0] == orders[3]
    assert orders[0] != orders[1] != orders[2] != orders[0]


def test_augmentation_does_not_depend_on_the_order(patches):
    one = batches(patches).shuffled(1, 4, AUGMENTATION)
    other = batches(patches).shuffled(1, 4, AUGMENTATION)
    later = batches(patches).shuffled(1, 5, AUGMENTATION)
    expected = one[2]
    other[0], other[1]
    assert np.array_equal(expected[0], other[2][0])
    assert np.array_equal(expected[1], other[2][1])
    assert not np.array_equal(expected[0], later[2][0])


def test_rows_of_a_fold(patches, tmp_path):
    rows = [
        (id, id, "", fold, "train" if number % 3 else "validation")
        for fold in (0, 1)
        for number, id in enumerate(IDS)
    ]
    table = pd.DataFrame(rows, columns=["id", "group", "stratum", "fold", "subset"])
    table.loc[(table["fold"] == 1) & (table["id"] == "04"), "subset"] = "test"
    split = tmp_path / "split.csv"
    table.to_csv(split, index=False)
    data = select(patches, split, 1, 0.0)
    assert data.validation.tolist() == [0, 3, 6, 9]
    assert data.training.tolist() == [1, 2, 5, 7, 8, 10]
    # The patch without foreground stays in validation, and leaves training where it is there.
    table["subset"] = np.where(table["id"] > "08", "validation", "train")
    table.to_csv(split, index=False)
    assert select(patches, split, 0, 0.01).training.tolist() == list(range(1, 9))
    with pytest.raises(CoverslipError, match="min_foreground_fraction"):
        select(patches, split, 0, 0.9)
    with pytest.raises(CoverslipError, match="fold 7 of .*split.csv has no train"):
        select(patches, split, 7, 0.0)


def test_class_weights(patches):
    rows = np.arange(11)
    share = patches.labels(rows).mean()
    weights = class_weights(patches, rows, 2, "semantic")
    assert weights == pytest.approx([0.5 / (1 - share), 0.5 / share])
    assert class_weights(patches, rows, 3, "semantic")[2] == 0
    assert class_weights(patches, rows[:1], 2, "semantic") == [1.0, 0.0]
    background, interior, border = class_weights(patches, rows, 3, "instance")
    assert background == pytest.approx(2 / 3 * weights[0])
    # A square of 8x8: its two outer rings are border, but for what is half as deep as the middle.
    assert 0 < interior < border or 0 < border < interior


def test_drawn_patches_come_from_all_images_alike():
    ids = np.array(["large"] * 90 + ["b", "a", "a"])
    places = draw(ids, 300, np.random.default_rng(0))
    names, counts = np.unique(ids[places], return_counts=True)
    assert dict(zip(names, counts, strict=True)) == {"a": 100, "b": 100, "large": 100}
    assert len(set(places[ids[places] == "large"])) > 50
    again = draw(ids, 300, np.random.default_rng(0))
    assert (places == again).all()


def test_groups_are_drawn_alike(patches, tmp_path):
    """Nine images of one acquisition and one of another: each gives half the patches."""
    groups = ["a"] * 9 + ["b", "c"]
    table = pd.DataFrame({"id": IDS, "group": groups, "stratum": "", "fold": 0})
    table["subset"] = ["train"] * 10 + ["validation"]
    table.to_csv(tmp_path / "split.csv", index=False)
    data = select(patches, tmp_path / "split.csv", 0, 0.0)
    assert data.groups.tolist() == ["a"] * 9 + ["b"]
    given = Batches(patches, data.training, PREPROCESSING, {}, 4, units=data.groups)
    epoch = given.shuffled(1, 0, Augmentation(flip=False, rot90=False, gamma=(1.0, 1.0)), 40)
    drawn = np.concatenate([epoch.places(i) for i in range(len(epoch))])
    assert (data.groups[drawn] == "b").sum() == 20
    assert len(set(drawn.tolist())) > 7


def test_an_epoch_of_drawn_patches_has_that_many(patches):
    given = batches(patches).shuffled(1, 0, AUGMENTATION, count=9)
    assert [len(given[i][0]) for i in range(len(given))] == [4, 4, 1]


@pytest.mark.parametrize("at_once", [1, 2, 3, 4])
def test_parts_of_batches_hold_the_same_patches(patches, at_once):
    whole = batches(patches).shuffled(1, 0, AUGMENTATION)
    cut = whole.cut(at_once)
    assert len(cut) == 3 * cut.parts and cut.parts == -(-4 // at_once)
    for number in range(3):
        parts = [cut[number * cut.parts + at] for at in range(cut.parts)]
        if cut.parts == 1:
            assert len(parts[0]) == 2
            continue
        kept = [part for part in parts if part[2][0] > 0]
        assert max(len(part[0]) for part in parts) <= at_once
        for at in (0, 1):
            joined = np.concatenate([part[at] for part in kept])
            assert np.array_equal(joined, whole[number][at])
        # The mean over parts of weighted means is the mean over the patches.
        value = [part[2][0] * part[0].mean() for part in parts]
        assert np.mean(value) == pytest.approx(whole[number][0].mean(), abs=1e-6)


def test_smaller_batches_for_validation(patches):
    given = batches(patches).smaller(2)
    assert len(given) == 6 and len(given[0]) == 2
    assert np.array_equal(given[1][1], batches(patches)[0][1][2:])


def places(given: Batches) -> list[list[int]]:
    return [given.places(i).tolist() for i in range(len(given))]


def test_steps_per_epoch_take_a_stream_of_shuffled_passes(patches):
    epochs = [
        batches(patches).shuffled(
            1, epoch, Augmentation(flip=False, rot90=False, gamma=(1.0, 1.0)), steps=4
        )
        for epoch in range(3)
    ]
    stream = [each for epoch in epochs for each in places(epoch)]
    assert [len(each) for each in stream] == [4, 4, 3] * 4
    passes = [sum(stream[start : start + 3], []) for start in range(0, 12, 3)]
    assert all(sorted(each) == list(range(11)) for each in passes)
    assert len({tuple(each) for each in passes}) == 4
    assert places(
        batches(patches).shuffled(
            1, 1, Augmentation(flip=False, rot90=False, gamma=(1.0, 1.0)), steps=4
        )
    ) == places(epochs[1])
    assert len(epochs[0][2][0]) == 3
    parts = epochs[0].cut(2)
    assert len(parts) == 8
    assert places(parts)[4:6] == [stream[2][:1], stream[2][1:]]


def test_validation_steps_go_round_again(patches):
    given = batches(patches).repeated(5)
    assert places(given) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10], [0, 1, 2, 3], [4, 5, 6, 7]]
    smaller = given.smaller(2)
    assert sum(places(smaller), []) == sum(places(given), [])
    assert max(map(len, places(smaller))) == 2


def test_patches_shuffled_once_keep_their_order(patches):
    first, later = (
        batches(patches).shuffled(
            1, epoch, Augmentation(flip=False, rot90=False, gamma=(1.0, 1.0)), shuffle="once"
        )
        for epoch in (0, 3)
    )
    assert places(first) == places(later) == places(batches(patches).shuffled(1, 0, AUGMENTATION))


def test_frozen_copies_are_made_once_and_added(patches):
    rows = np.tile(np.arange(11), 2)
    fitted = fit(patches.blocks(np.arange(11)), PREPROCESSING)
    section = Augmentation(shift=0.3, zoom=(0.5, 0.9), frozen_copies=1)

    def epoch(number: int) -> dict[int, np.ndarray]:
        whole = Batches(patches, rows, PREPROCESSING, fitted, batch_size=4)
        given = whole.shuffled(1, number, section)
        return {
            place: image
            for i in range(len(given))
            for place, image in zip(given.places(i).tolist(), given[i][0], strict=True)
        }

    first, second = epoch(0), epoch(1)
    assert sorted(first) == list(range(22)) and list(first) != list(second)
    plain = Batches(patches, np.arange(11), PREPROCESSING, fitted, batch_size=11)[0][0]
    for place in range(22):
        np.testing.assert_array_equal(first[place], second[place])
    assert all(np.array_equal(first[place], plain[place]) for place in range(11))
    assert sum(not np.array_equal(first[11 + place], plain[place]) for place in range(11)) == 11


def test_without_validation_images_test_images_validate(patches, tmp_path):
    split = tmp_path / "split.csv"
    subsets = ["train"] * 8 + ["test"] * 3
    table = pd.DataFrame({"id": IDS, "group": IDS, "stratum": "", "fold": 0, "subset": subsets})
    table.to_csv(split, index=False)
    data = select(patches, split, 0, 0.0)
    assert data.training.tolist() == list(range(8))
    assert data.validation.tolist() == data.test.tolist() == [8, 9, 10]


def test_a_split_of_patches_selects_patches(tmp_path):
    folder = write_patches(tmp_path / "0", ["a"] * 4, 0)
    index = pd.read_csv(folder / "index.csv").assign(y=[0, 0, 16, 16], x=[0, 16, 0, 16])
    index.to_csv(folder / "index.csv", index=False)
    table = index[["id", "y", "x"]].assign(group="g", stratum="", fold=0)
    table["subset"] = ["train", "test", "test", "train"]
    table.iloc[:3].to_csv(tmp_path / "split.csv", index=False)
    data = select(Patches([folder]), tmp_path / "split.csv", 0, 0.0)
    assert data.training.tolist() == [0]
    assert data.validation.tolist() == [1, 2]


# --- Classes of images

FITTED = {"mean": [80.0], "standard_deviation": [50.0]}


def test_augmentation_changes_the_image_and_not_the_class(class_study):
    found = Patches(sorted((class_study / "patches").iterdir()))
    rows = np.arange(0, 12)
    plain = Batches(found, rows, class_training.PREPROCESSING, FITTED, 12, head="classification")
    changed = plain.shuffled(1, 0, class_training.TRAINING.augmentation)
    images, classes = changed[0]
    assert sorted(classes) == sorted(plain[0][1])
    np.testing.assert_array_equal(classes, plain[0][1][changed.order])
    assert (images != plain[0][0][changed.order]).any(axis=(1, 2, 3)).all()


def test_class_weights_count_images(class_study):
    found = Patches(sorted((class_study / "patches").iterdir()))
    rows = np.array([0, 3, 6, 1])
    weights = dataset.class_weights(found, rows, 3, "classification")
    np.testing.assert_allclose(weights, [4 / (2 * 3), 4 / 2, 0])
