"""From images with classes to predictions: patches, training, model folder, prediction."""

import json
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest

from coverslip.config.sections import Augmentation, Evaluation, Network, Preprocessing, Training
from coverslip.data import tables
from coverslip.data.image_store import ImageStore, ImageStoreWriter
from coverslip.errors import CoverslipError
from coverslip.evaluation import class_predictions
from coverslip.models import heads, model, preprocessing
from coverslip.models.heads import encode
from coverslip.models.model import predict_classes
from coverslip.runtime import device
from coverslip.training import class_patches, dataset, losses, trainer
from coverslip.training.patches import Patches

DEVICE = device.prepare(threads=1)

import keras  # noqa: E402

# noqa: E402
# noqa: E402
# noqa: E402
# noqa: E402
# noqa: E402

# noqa: E402
# noqa: E402
# noqa: E402
# noqa: E402

SIZE = (16, 16)
LABELS = ["cross", "disc", "ring"]
NETWORK = Network(
    architecture="cnn", head="classification", filters=4, depth=2, normalization="batch"
)
PREPROCESSING = Preprocessing(
    channels="grey", input_scaling="zscore", resize=SIZE, normalization="dtype_range"
)
TRAINING = Training(
    epochs=6,
    batch_size=8,
    learning_rate=1e-2,
    class_weights="balanced",
    augmentation=Augmentation(
        flip=True, rot90=True, scale=(0.9, 1.1), noise=0.02, gamma=(1.0, 1.0)
    ),
    loss="crossentropy",
    schedule="constant",
)


def draw(label: str, rng: np.random.Generator) -> np.ndarray:
    """An image, 20x24, of a shape on noise."""
    y, x = np.mgrid[:20, :24]
    cy, cx = rng.uniform(8, 12), rng.uniform(9, 15)
    away = np.hypot(y - cy, x - cx)
    shape = {
        "disc": away < 5,
        "ring": (away < 7) & (away > 4),
        "cross": (np.abs(y - cy) < 2) | (np.abs(x - cx) < 2),
    }[label]
    return np.clip(rng.normal(60, 8, y.shape) + 120 * shape, 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> Path:
    """Store, manifest, split and patches in two shards: 60 images, 4 without a class."""
    root = tmp_path_factory.mktemp("study")
    rng = np.random.default_rng(0)
    rows, split = [], []
    with ImageStoreWriter(root / "images.h5") as store:
        for number in range(60):
            label = LABELS[number % 3]
            image = draw(label, rng)
            id = f"{number:03d}"
            store.image(id, image)
            unlabelled = number >= 56
            blank = {name: kind() for name, kind in tables.DTYPES.items()}
            facts = {"id": id, "class": "" if unlabelled else label, "member": f"{id}.png"}
            rows.append(blank | facts | {"height": 20, "width": 24, "group": id})
            subset = ("test", "validation", "train", "train", "train")[number // 3 % 5]
            split.append((id, id, label, 0, "unlabelled" if unlabelled else subset))
    tables.write(pd.DataFrame(rows, columns=tables.COLUMNS), root / "manifest.csv")
    columns = ["id", "group", "stratum", "fold", "subset"]
    pd.DataFrame(split, columns=columns).to_csv(root / "split.csv", index=False)
    for shard in range(2):
        folder = root / "patches" / str(shard)
        inputs = (root / "images.h5", root / "manifest.csv", PREPROCESSING)
        class_patches.prepare(*inputs, shard, 2, folder)
    return root


def patches(study: Path) -> Patches:
    return Patches(sorted((study / "patches").iterdir()))


def trained(study: Path, folder: Path, **changes) -> dict:
    arguments = {
        "preprocessing": PREPROCESSING,
        "network": NETWORK,
        "training": TRAINING,
        "split": study / "split.csv",
        "report": lambda line: None,
    }
    return trainer.train(
        sorted((study / "patches").iterdir()),
        fold=0,
        seed=3,
        output=folder / "model",
        state=folder / "state",
        facts={"licence": "CC0"},
        identity="a",
        device=DEVICE,
        **(arguments | changes),
    )


@pytest.fixture(scope="module")
def finished(study, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("finished") / "fold0_seed3"
    trained(study, folder)
    return folder


def test_patches_are_whole_images_with_the_number_of_their_class(study):
    found = patches(study)
    assert found.classes == LABELS
    assert found.shape == (*SIZE, 1)
    assert len(found) == 60
    numbers = found.labels(np.arange(56))
    assert numbers.shape == (56, 1, 1)
    assert numbers[:6, 0, 0].tolist() == [0, 1, 2, 0, 1, 2]
    np.testing.assert_array_equal(encode(numbers, "classification"), numbers[:, 0, 0])
    assert (
        found.index["class"].tolist()[-5:] == ["ring" if 55 % 3 == 2 else LABELS[55 % 3]] + [""] * 4
    )
    assert (found.index[["height", "width"]] == [20, 24]).all(axis=None)


def test_images_of_other_sizes_and_types_are_brought_to_one(tmp_path):
    rng = np.random.default_rng(3)
    sizes = {"flat": (9, 40, 1), "large": (130, 90, 3), "small": (5, 4, 4)}
    rows = []
    with ImageStoreWriter(tmp_path / "images.h5") as store:
        for id, shape in sizes.items():
            deep = id == "large"
            top, dtype = (65535, np.uint16) if deep else (255, np.uint8)
            store.image(id, np.full(shape, top // 3, dtype) + rng.integers(0, 2, shape, dtype))
            blank = {name: kind() for name, kind in tables.DTYPES.items()}
            facts = {"id": id, "class": id, "member": f"{id}.png", "group": id}
            rows.append(blank | facts | {"height": shape[0], "width": shape[1]})
    tables.write(pd.DataFrame(rows, columns=tables.COLUMNS), tmp_path / "manifest.csv")
    inputs = (tmp_path / "images.h5", tmp_path / "manifest.csv", PREPROCESSING)
    class_patches.prepare(*inputs, 0, 1, tmp_path / "0")
    found = Patches([tmp_path / "0"])
    assert found.shape == (*SIZE, 1) and found.classes == sorted(sizes)
    images = np.load(tmp_path / "0/images.npy", mmap_mode="r")
    assert np.abs(images.astype(int) - 85).max() <= 1, "16 bits and colours come to the same grey"
    assert found.index["height"].tolist() == [9, 130, 5]


def test_augmentation_changes_the_image_and_not_the_class(study):
    found = patches(study)
    rows = np.arange(0, 12)
    plain = dataset.Batches(found, rows, PREPROCESSING, fitted(), 12, head="classification")
    changed = plain.shuffled(1, 0, TRAINING.augmentation)
    images, classes = changed[0]
    assert sorted(classes) == sorted(plain[0][1])
    np.testing.assert_array_equal(classes, plain[0][1][changed.order])
    assert (images != plain[0][0][changed.order]).any(axis=(1, 2, 3)).all()


def fitted() -> dict:
    return {"mean": [80.0], "standard_deviation": [50.0]}


def test_class_weights_count_images(study):
    found = patches(study)
    rows = np.array([0, 3, 6, 1])
    weights = dataset.class_weights(found, rows, 3, "classification")
    np.testing.assert_allclose(weights, [4 / (2 * 3), 4 / 2, 0])


def test_loss_and_accuracy_of_classes():
    logits = np.array([[2.0, 0, 0], [0, 1.0, 0]], np.float32)
    truth = np.array([0, 2], np.int32)
    expected = -np.log(heads.calibrated_probabilities(logits)[[0, 1], truth])
    loss = losses.make(
        Training(
            loss="crossentropy",
            schedule="constant",
            augmentation=Augmentation(flip=False, rot90=False, gamma=(1.0, 1.0)),
        ),
        "classification",
    )
    assert float(loss(truth, logits)) == pytest.approx(expected.mean(), rel=1e-5)
    weighted = losses.make(
        Training(
            loss="crossentropy",
            schedule="constant",
            augmentation=Augmentation(flip=False, rot90=False, gamma=(1.0, 1.0)),
        ),
        "classification",
        [1.0, 1.0, 3.0],
    )
    assert float(weighted(truth, logits)) == pytest.approx((expected * [1, 3]).mean(), rel=1e-5)
    (accuracy,) = losses.metrics("classification")
    accuracy.update_state(truth, logits)
    assert float(accuracy.result()) == 0.5
    assert losses.watched("classification") == ["loss", "accuracy"]
    assert losses.watched("semantic") == ["loss", "accuracy", "iou"]


def test_model_folder(finished):
    info = json.loads((finished / "model" / "model.json").read_text())
    assert info["task"] == "classification"
    assert info["classes"] == LABELS
    assert (info["head"], info["num_classes"], info["threshold"]) == ("classification", 3, None)
    assert info["temperature"] > 0
    assert "absent_classes" not in info
    history = pd.read_csv(finished / "model" / "history.csv")
    assert [name for name in history.columns if "iou" in name] == []
    assert history["accuracy"].iloc[-1] > 0.6
    assert not (finished / "state").exists()


def test_it_learned_and_a_folder_predicts_alone(study, finished):
    loaded = model.load(finished / "model")
    rng = np.random.default_rng(9)
    images = [draw(LABELS[number % 3], rng) for number in range(30)]
    found = np.stack(list(loaded.predict(images)))
    assert found.shape == (30, 3)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found.sum(axis=1), 1, rtol=1e-5)
    assert (found.argmax(axis=1) == np.arange(30) % 3).mean() > 0.7
    logits = np.stack(list(loaded.logits(images, batch=7)))
    expected = heads.calibrated_probabilities(logits, loaded.temperature)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    with pytest.raises(CoverslipError, match="tells the class of an image and draws no masks"):
        loaded.mask(found[0])


def test_flips_are_averaged():
    def predict(stack):
        return np.stack([stack[:, 0, 0, 0], stack.mean(axis=(1, 2, 3))], axis=1)

    rng = np.random.default_rng(0)
    images = [rng.integers(0, 9, (4, 4, 1), dtype=np.uint8) for _ in range(5)]
    plain = np.stack(list(predict_classes(predict, images, 2, tta=False)))
    np.testing.assert_allclose(plain[:, 0], [image[0, 0, 0] for image in images])
    turned = np.stack(list(predict_classes(predict, images, 2, tta=True)))
    corners = [image[[0, 0, -1, -1], [0, -1, 0, -1], 0].mean() for image in images]
    np.testing.assert_allclose(turned[:, 0], corners, rtol=1e-6)
    np.testing.assert_allclose(turned[:, 1], plain[:, 1], rtol=1e-6)
    wide = [image[:2] for image in images]
    assert np.stack(list(predict_classes(predict, wide, 3, tta=True))).shape == (5, 2)
    assert list(predict_classes(predict, [], 3, tta=True)) == []


def predicted(study: Path, finished: Path, output: Path, shard: int, shards: int) -> Path:
    class_predictions.predict(
        finished / "model",
        study / "images.h5",
        study / "split.csv",
        0,
        ["validation", "test"],
        Evaluation(),
        shard,
        shards,
        output,
    )
    return output


def test_predictions_are_kept(study, finished, tmp_path):
    shards = [predicted(study, finished, tmp_path / f"{n}.h5", n, 2) for n in range(2)]
    found = class_predictions.read_class_predictions(shards)
    split = pd.read_csv(study / "split.csv", dtype=str).set_index("id")["subset"]
    wanted = split[split != "train"]
    assert found.ids.tolist() == sorted(wanted.index)
    assert found.subsets.tolist() == wanted[found.ids].tolist()
    assert set(found.subsets) == {"validation", "test", "unlabelled"}
    assert found.classes == LABELS
    assert found.temperature == model.load(finished / "model").temperature
    whole = class_predictions.read_class_predictions(
        [predicted(study, finished, tmp_path / "all.h5", 0, 1)]
    )
    np.testing.assert_allclose(whole.logits, found.logits, atol=1e-4)
    again = predicted(study, finished, tmp_path / "again.h5", 0, 1)
    assert again.read_bytes() == (tmp_path / "all.h5").read_bytes()
    empty = class_predictions.read_class_predictions(
        [predicted(study, finished, tmp_path / "e.h5", 99, 100)]
    )
    assert empty.logits.shape == (0, 3)


def test_damaged_predictions_are_named(study, finished, tmp_path):
    (tmp_path / "x.h5").write_bytes(b"nothing")
    with pytest.raises(CoverslipError, match=r"x\.h5: not a readable prediction of classes"):
        class_predictions.read_class_predictions([tmp_path / "x.h5"])
    first = predicted(study, finished, tmp_path / "a.h5", 0, 2)
    other = predicted(study, finished, tmp_path / "b.h5", 1, 2)
    with h5py.File(other, "a") as file:
        file.attrs["temperature"] = 99.0
    with pytest.raises(CoverslipError, match=r"b\.h5: of another model"):
        class_predictions.read_class_predictions([first, other])


def test_a_class_that_training_lacks_is_told(study, tmp_path):
    split = pd.read_csv(study / "split.csv", dtype=str)
    ring = (split["stratum"] == "ring") & (split["subset"] == "train")
    split.loc[ring, "subset"] = "test"
    split.to_csv(tmp_path / "split.csv", index=False)
    lines = []
    short = TRAINING.model_copy(update={"epochs": 1})
    trained(study, tmp_path, split=tmp_path / "split.csv", training=short, report=lines.append)
    assert lines[0] == "no training image of ring: none will be predicted as such"
    info = json.loads((tmp_path / "model" / "model.json").read_text())
    assert info["absent_classes"] == ["ring"]
    assert info["classes"] == LABELS


def test_a_network_bound_to_its_size(study, tmp_path):
    network = Network(architecture="livecell_cnn", head="classification")
    short = TRAINING.model_copy(
        update={
            "epochs": 1,
            "augmentation": Augmentation(flip=False, rot90=False, gamma=(1.0, 1.0)),
        }
    )
    trained(study, tmp_path, network=network, training=short)
    loaded = model.load(tmp_path / "model")
    saved = keras.saving.load_model(tmp_path / "model" / "model.keras", compile=False)
    assert saved.input_shape == (None, *SIZE, 1)
    (answer,) = loaded.predict([draw("disc", np.random.default_rng(1))])
    assert answer.shape == (3,)


def test_test_images_may_be_scaled_by_their_own_mean_and_deviation(study, tmp_path):
    section = PREPROCESSING.model_copy(update={"fit_scaling_on": "each_subset"})
    short = TRAINING.model_copy(update={"epochs": 1})
    folder = tmp_path / "fold0_seed3"
    trained(study, folder, preprocessing=section, training=short)
    inputs = (study / "images.h5", study / "split.csv", 0, ["validation", "test"], Evaluation())
    class_predictions.predict(folder / "model", *inputs, 0, 1, folder / "predictions.h5")
    found = class_predictions.read_class_predictions([folder / "predictions.h5"])
    loaded = model.load(folder / "model")
    assert set(found.subsets) == {"validation", "test", "unlabelled"}
    own = loaded.info["fitted"]["test"]
    with ImageStore(study / "images.h5") as store:
        for id, subset, logits in zip(found.ids, found.subsets, found.logits, strict=True):
            fitted = own if subset == "test" else loaded.info["fitted"]
            tile = class_patches.network_input(store, id, section)[None]
            network = keras.saving.load_model(folder / "model" / "model.keras", compile=False)
            expected = network.predict_on_batch(preprocessing.batch(tile, section, fitted))[0]
            np.testing.assert_allclose(logits, expected, atol=1e-4)


def test_a_penalty_on_weights_is_part_of_the_reported_loss(study, tmp_path):
    network = Network(architecture="livecell_cnn", head="classification")
    short = TRAINING.model_copy(update={"epochs": 1})
    trained(study, tmp_path, network=network, training=short)
    info = json.loads((tmp_path / "model" / "model.json").read_text())
    kept = keras.saving.load_model(tmp_path / "model" / "model.keras", compile=False)
    kernel = kept.get_layer("dense").get_weights()[0]
    assert info["regularization_loss"] == pytest.approx(1e-3 * (kernel**2).sum(), rel=1e-4)
