"""K-means as a model: fitted, written, read and predicting, and blind to the light."""

import io
import json
import subprocess
import sys
import zipfile

import cv2
import numpy as np
import pandas as pd
import pytest
from light import ramp, vignette
from PIL import Image

from coverslip.config.sections import KMeans, Preprocessing
from coverslip.data.image_store import ImageStore, ImageStoreWriter
from coverslip.errors import CoverslipError
from coverslip.models import kmeans
from coverslip.models.model import load
from coverslip.training import kmeans as kmeans_module

GREY = Preprocessing(channels="grey", input_scaling="none", normalization="dtype_range")
TEXTURE = KMeans(clusters=[2, 3, 4])
RAW_COLOR = KMeans(features="raw_color", clusters=[3])


def dish(number, shape=(120, 150), cells=6, low=0.5):
    """A smooth ground with rough cells under a tilted light, uint8, and its label map."""
    rng = np.random.default_rng([1, number])
    label = np.zeros(shape, np.int32)
    for cell in range(cells):
        centre = tuple(int(v) for v in rng.integers(0, shape[::-1]))
        cv2.ellipse(label, centre, (22, 13), int(rng.integers(180)), 0, 360, cell + 1, -1)
    rough = np.where(label > 0, rng.normal(0, 0.12, shape), rng.normal(0, 0.006, shape))
    light = 200 * ramp(shape, low, number)
    return np.clip(np.rint(light * (1 + rough)), 1, 255).astype(np.uint8), label


def files(folder, images, validation=1):
    """A store and a split: the last images are test, those before validation."""
    with ImageStoreWriter(folder / "images.h5") as store:
        for number, (image, label) in enumerate(images):
            store.image(f"p{number}", image)
            store.label(f"p{number}", label)
    count = len(images)
    subsets = ["train"] * (count - 1 - validation) + ["validation"] * validation + ["test"]
    rows = {
        "id": [f"p{n}" for n in range(count)],
        "group": "g",
        "stratum": "",
        "fold": 0,
        "subset": subsets,
    }
    pd.DataFrame(rows).to_csv(folder / "split.csv", index=False)
    return folder / "images.h5", folder / "split.csv"


def fitted(folder, images, seed=1, kmeans=TEXTURE, p=GREY, name="model", **more):
    arguments = (*files(folder, images), 0, seed, p, kmeans, folder / name, more)
    facts = kmeans_module.train(*arguments, report=lambda line: None)
    return load(folder / name), facts


def mask(model, image):
    (answer,) = model.predict([image])
    return model.mask(answer) > 0


def iou(a, b):
    return (a & b).sum() / (a | b).sum()


@pytest.fixture(scope="module")
def dishes():
    return [dish(number) for number in range(6)]


@pytest.fixture(scope="module")
def texture(dishes, tmp_path_factory):
    return fitted(tmp_path_factory.mktemp("texture"), dishes, licence="CC0")


def test_cells_are_found_and_the_folder_tells_how(texture, dishes):
    model, facts = texture
    image, label = dishes[-1]
    (answer,) = model.predict([image])
    assert answer.shape == (*image.shape, 1) and answer.dtype == np.float32
    assert set(np.unique(answer)) == {0, 1}
    assert iou(mask(model, image), label > 0) > 0.8
    assert sorted(path.name for path in model.folder.iterdir()) == ["history.csv", "model.json"]
    info = model.info
    assert (info["kind"], info["num_classes"], info["threshold"]) == ("kmeans", 1, 0.5)
    assert info["licence"] == "CC0" and info["kmeans"] == TEXTURE.model_dump(mode="json")
    clusters = info["clusters"]
    assert facts["clusters"] == clusters["number"] == info["kept_epoch"]
    assert np.shape(clusters["centres"]) == (clusters["number"], len(clusters["features"]))
    history = pd.read_csv(model.folder / "history.csv")
    assert history["epoch"].tolist() == TEXTURE.clusters
    assert history["loss"].is_monotonic_decreasing
    kept = history.set_index("epoch").loc[info["kept_epoch"]]
    assert kept["iou"] == history["iou"].max() > 0.8


def test_scores_of_the_history_are_those_of_the_predictions(texture, dishes):
    model, _ = texture
    history = pd.read_csv(model.folder / "history.csv").set_index("epoch")
    kept = history.loc[model.info["kept_epoch"]]
    for part, prefix in ((dishes[:4], ""), (dishes[4:5], "validation_")):
        pairs = [(mask(model, image), label > 0) for image, label in part]
        assert kept[f"{prefix}iou"] == pytest.approx(np.mean([iou(*pair) for pair in pairs]))
        right = np.mean([found == true for found, true in pairs])
        assert kept[f"{prefix}accuracy"] == pytest.approx(right)


def test_the_same_answer_for_every_seed(dishes, tmp_path):
    models = [fitted(tmp_path, dishes, seed, name=f"m{seed}")[0] for seed in (1, 2, 77)]
    assert models[0].info["clusters"] == models[1].info["clusters"] == models[2].info["clusters"]
    answers = [mask(model, dishes[0][0]) for model in models]
    assert (answers[0] == answers[1]).all() and (answers[0] == answers[2]).all()


def test_strips_change_nothing(texture, dishes, monkeypatch):
    image = np.vstack([dishes[0][0], dishes[1][0]])
    padded = np.pad(image, ((0, 0), (30, 0)))
    whole = [mask(texture[0], array) for array in (image, padded)]
    monkeypatch.setattr(kmeans, "STRIP", 7 * image.shape[1])
    for array, expected in zip((image, padded), whole, strict=True):
        np.testing.assert_array_equal(mask(texture[0], array), expected)


def test_black_surroundings_are_no_cells_and_no_edge(texture, dishes):
    image, _ = dishes[3]
    plain = mask(texture[0], image)
    padded = mask(texture[0], np.pad(image, ((40, 0), (25, 60))))
    assert not padded[:40].any() and not padded[:, :25].any() and not padded[:, -60:].any()
    inside = padded[40:, 25:-60]
    assert abs(inside.mean() - plain.mean()) < 0.02 and (inside == plain).mean() > 0.97


@pytest.mark.parametrize("shape", [(10, 10), (1, 1), (3, 200)])
def test_small_and_black_images(texture, shape):
    assert mask(texture[0], np.full(shape, 90, np.uint8)).shape == shape
    assert not mask(texture[0], np.zeros(shape, np.uint8)).any()
    deep = np.full((*shape, 3), 9000, np.uint16)
    assert mask(texture[0], deep).shape == shape


def test_raw_color_is_fitted_on_each_image(dishes, tmp_path):
    model, _ = fitted(
        tmp_path,
        dishes,
        kmeans=RAW_COLOR,
        p=Preprocessing(input_scaling="none", channels="rgb", normalization="dtype_range"),
    )
    clusters = model.info["clusters"]
    assert clusters["number"] == 3 and sorted(clusters) == ["cells", "number"]
    assert len(clusters["cells"]) in (1, 2)
    bright, dark = np.full((8, 9, 3), 200, np.uint8), np.full((8, 9, 3), 60, np.uint8)
    bright[:4], dark[:4] = 90, 40
    bright[:2], dark[:2] = 10, 20
    np.testing.assert_array_equal(mask(model, bright), mask(model, dark))
    (answer,) = model.predict([bright])
    expected = np.isin(np.repeat([0, 1, 2], [2, 2, 4]), clusters["cells"])
    np.testing.assert_array_equal(answer[:, 0, 0] > 0, expected)


def test_light_changes_raw_color_and_not_texture(texture, dishes, tmp_path):
    even = [dish(number, low=1) for number in range(6)]
    raw_color, _ = fitted(tmp_path, even, kmeans=RAW_COLOR)
    moved = {"texture": [], "raw_color": []}
    for image, _ in even:
        lit = np.rint(image * vignette(image.shape, 0.5)).astype(np.uint8)
        for name, model in (("texture", texture[0]), ("raw_color", raw_color)):
            moved[name].append(100 * abs(mask(model, lit).mean() - mask(model, image).mean()))
    assert max(moved["texture"]) < 2 and np.mean(moved["raw_color"]) > 10


def brightfield(real_data, count, side=384):
    """Images and masks of DSB 2018 in bright field, uint8 HxWx3 and bool HxW."""
    found = []
    with zipfile.ZipFile(real_data / "dsb2018" / "stage1_train.zip") as archive:
        members = archive.namelist()
        for id in IDS[:count]:
            read = {"images": [], "masks": []}
            for member in members:
                parts = member.split("/")
                if parts[0] == id and member.endswith(".png"):
                    image = Image.open(io.BytesIO(archive.read(member)))
                    mode = "RGB" if parts[1] == "images" else "L"
                    read[parts[1]].append(np.asarray(image.convert(mode))[:side, :side])
            found.append((read["images"][0], np.any(read["masks"], axis=0).astype(np.int32)))
    return found


IDS = [
    "08275a5b1c2dfcd739e8c4888a5ee2d29f83eccfa75185404ced1dc0866ea992",
    "091944f1d2611c916b98c020bd066667e33f4639159b2a92407fe5a40788856d",
    "1a11552569160f0b1ea10bedbd628ce6c14f29edec5092034c2309c556df833e",
    "1b44d22643830cd4f23c9deadb0bd499fb392fb2cd9526d81547d93077d983df",
    "2a1a294e21d76efd0399e4eb321b45f44f7510911acd92c988480195c5b4c812",
    "3594684b9ea0e16196f498815508f8d364d55fea2933a2e782122b6f00375d04",
]


def test_light_over_real_images(real_data, tmp_path):
    """A light gradient changes confluency by < 2 points with texture, by tens with raw color."""
    images = brightfield(real_data, 6)
    models = {}
    for name, recipe in (("texture", KMeans(clusters=[4, 8])), ("raw_color", RAW_COLOR)):
        p = (
            GREY
            if name == "texture"
            else Preprocessing(input_scaling="none", channels="rgb", normalization="dtype_range")
        )
        models[name], _ = fitted(tmp_path, images, kmeans=recipe, p=p, name=name)
    moved = {name: [] for name in models}
    for number, (image, _) in enumerate(images):
        light = ramp(image.shape[:2], 0.5, number)[:, :, np.newaxis]
        lit = np.rint(image * light).astype(np.uint8)
        for name, model in models.items():
            moved[name].append(100 * abs(mask(model, lit).mean() - mask(model, image).mean()))
    assert max(moved["texture"]) < 2
    assert np.mean(moved["raw_color"]) > 10 and max(moved["raw_color"]) > 20


def test_the_tally_counts_pixels():
    labels = np.array([[0, 1, 2], [2, 2, 0]], np.uint8)
    truth = np.array([[False, True, True], [False, True, False]])
    expected = [[2, 0, 1, 0], [0, 1, 2, 0]]
    np.testing.assert_array_equal(kmeans_module.count_pixels(labels, truth, 4), expected)


def test_cells_are_the_clusters_with_the_largest_shares():
    pixels = np.array([[[90, 10, 5], [1, 30, 60]], [[80, 4, 1], [2, 20, 30]]])
    assert kmeans_module.choose_cells(pixels) == [1, 2]
    assert kmeans_module.mean_iou(pixels, [1, 2]) == pytest.approx((90 / 106 + 50 / 57) / 2)
    blank = np.array([[[10, 0], [0, 0]]])
    with pytest.raises(CoverslipError, match="no training image has any foreground"):
        kmeans_module.choose_cells(blank)
    assert np.isnan(kmeans_module.mean_iou(blank, [1]))


def test_what_cannot_be_fitted_is_told(dishes, tmp_path):
    with pytest.raises(CoverslipError, match=r"split\.csv has no validation images"):
        images, split = files(tmp_path, dishes, validation=0)
        kmeans_module.train(images, split, 0, 1, GREY, TEXTURE, tmp_path / "m", {})
    tiny = [(image[:1, :1], label[:1, :1]) for image, label in dishes]
    with pytest.raises(CoverslipError, match="4 pixels .* too few for 5 clusters: lower kmeans"):
        fitted(tmp_path, tiny, kmeans=KMeans(clusters=[2, 5]))
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize(
    "damage",
    [
        lambda info: info.pop("clusters"),
        lambda info: info.pop("seed"),
        lambda info: info["clusters"].pop("mean"),
        lambda info: info["clusters"].update(number=1000),
        lambda info: info["clusters"].update(number="many"),
        lambda info: info["clusters"].update(cells=["a"]),
        lambda info: info["clusters"]["centres"].pop(),
        lambda info: info["clusters"]["mean"].__setitem__(0, "x"),
        lambda info: info["clusters"]["standard_deviation"].__setitem__(0, 0),
        lambda info: info["kmeans"].update(features="other"),
        lambda info: info["kmeans"].update(scales=[0]),
        lambda info: info["kmeans"].update(scales=[1.0, 2.0, 3.0]),
        lambda info: info.update(kmeans=7),
    ],
)
def test_damaged_folders_are_named(texture, dishes, tmp_path, damage):
    info = json.loads((texture[0].folder / "model.json").read_text())
    damage(info)
    (tmp_path / "model.json").write_text(json.dumps(info))
    with pytest.raises(CoverslipError, match=r"model\.json: no valid clusters .*: train again"):
        list(load(tmp_path).predict([dishes[0][0]]))


def test_equal_runs_give_equal_bytes(dishes, tmp_path):
    for name in ("a", "b"):
        fitted(tmp_path, dishes, name=name)
    for file in ("model.json", "history.csv"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_no_tensorflow_is_needed(texture, dishes, tmp_path):
    np.save(tmp_path / "image.npy", dishes[0][0])
    code = (
        "import sys, numpy as np; from coverslip.models.model import load;"
        "list(load(sys.argv[1]).predict([np.load(sys.argv[2])]));"
        "assert not {'tensorflow', 'keras'} & set(sys.modules)"
    )
    files = [str(texture[0].folder), str(tmp_path / "image.npy")]
    subprocess.run([sys.executable, "-c", code, *files], check=True, env={"PYTHONPATH": PATH})


PATH = str(kmeans_module.__file__).rsplit("/coverslip/", 1)[0]


def test_images_of_a_kind_that_is_not_read_are_named(tmp_path):
    images, _ = files(tmp_path, [dish(0), dish(1), dish(2)])
    with ImageStore(images) as store:
        store.image = lambda id: np.zeros((4, 4), np.float64)
        source = kmeans_module.Source(store, GREY)
        with pytest.raises(CoverslipError, match=r"images\.h5: image 'p0': an image of type"):
            source.image("p0")
