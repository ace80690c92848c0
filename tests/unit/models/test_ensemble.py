"""Several networks that answer as one."""

import json
import shutil
from pathlib import Path

import keras
import numpy as np
import pytest
from model_files import GREY16, grey, info, network

from coverslip.config.sections import Preprocessing
from coverslip.errors import CoverslipError
from coverslip.measure import input_folder
from coverslip.models import ensemble, export_onnx, heads
from coverslip.models import model as models

STANDARD = Preprocessing(
    channels="grey", patch=16, input_scaling="zscore", normalization="dtype_range"
)
RULES = [
    {"threshold": 0.4, "seed": 0.3, "min_area_px": 10},
    {"threshold": 0.5, "seed": 0.6, "min_area_px": 30, "minimum_share": 0.1},
]


def member(root: Path, number: int, outputs: int = 1, **facts) -> Path:
    """A model folder in the place of a training, with weights and fitted numbers of its own."""
    folder = root / f"fold0_seed{number}" / "model"
    made = network(outputs)
    made.set_weights([weights * (1 + number) for weights in made.get_weights()])
    fitted = {"mean": [100.0 + 20 * number], "standard_deviation": [40.0]}
    told = info(STANDARD, fitted=fitted, study="s", licence="CC0", seed=number, parameters=10)
    models.save(folder, made, told | facts)
    return folder


def classifier(root: Path, number: int) -> Path:
    keras.utils.set_random_seed(number)
    inputs = keras.Input((16, 16, 1))
    flat = keras.layers.Flatten()(inputs)
    made = keras.Model(inputs, keras.layers.Dense(3)(flat))
    folder = root / f"fold0_seed{number}" / "model"
    p = Preprocessing(channels="grey", resize=(16, 16), normalization="dtype_range")
    facts = {"head": "classification", "classes": ["a", "b", "c"], "threshold": None}
    models.save(folder, made, info(p, **facts, temperature=0.5 + number))
    return folder


def combined(members: list[Path]) -> models.Model:
    folder = members[0].parents[1] / "ensemble" / "model"
    ensemble.write(members, folder)
    return models.load(folder)


@pytest.mark.parametrize("outputs", [1, 3])
@pytest.mark.parametrize("tta", [False, True])
def test_the_mean_of_probabilities(tmp_path, outputs, tta):
    members = [member(tmp_path, number, outputs) for number in range(3)]
    images = [grey(40, 23), grey(5, 3)]
    single = [list(models.load(each).predict(images, tta=tta)) for each in members]
    found = list(combined(members).predict(images, tta=tta))
    for place, answer in enumerate(found):
        mean = np.mean([answers[place] for answers in single], axis=0)
        np.testing.assert_allclose(answer, mean, atol=1e-6)
        assert not np.allclose(answer, single[0][place], atol=1e-3)


def test_instances_are_made_of_the_mean_output(tmp_path):
    facts = {"head": "instance", "classes": ["background", "nucleus"]}
    members = [member(tmp_path, n, 4, **facts, instances=RULES[n]) for n in range(2)]
    together = combined(members)
    image = grey(32, 32)
    (answer,) = together.predict([image])
    single = [next(models.load(each).predict([image])) for each in members]
    np.testing.assert_allclose(answer, np.mean(single, axis=0), atol=1e-6)
    rules = {"threshold": 0.45, "seed": 0.45, "min_area_px": 10, "minimum_share": 0.05}
    assert together.info["instances"] == rules and together.head == "instance"
    assert together.objects(answer).shape == (32, 32)


@pytest.mark.parametrize("tta", [False, True])
def test_classes_after_each_members_own_temperature(tmp_path, tta):
    members = [classifier(tmp_path, number) for number in range(3)]
    together = combined(members)
    images = [grey(20, 18) for _ in range(5)]
    single = [list(models.load(each).predict(images, tta=tta)) for each in members]
    found = list(together.predict(images, tta=tta, batch=2))
    np.testing.assert_allclose(found, np.mean(single, axis=0), atol=1e-6)
    logits = np.stack(list(together.logits(images, tta)))
    assert logits.shape == (5, 3) and together.temperature == 1.0
    np.testing.assert_allclose(heads.calibrated_probabilities(logits), found, atol=1e-6)


def test_what_the_folder_tells(tmp_path):
    members = [member(tmp_path, n, threshold=0.4 + 0.1 * n) for n in range(2)]
    ensemble.write(members, tmp_path / "ensemble" / "model", {"study": "t"})
    told = json.loads((tmp_path / "ensemble/model/model.json").read_text())
    assert (told["kind"], told["format"], told["num_classes"]) == ("ensemble", 2, 1)
    assert told["threshold"] == 0.45 and "mean of the members" in told["settled"]
    assert (told["study"], told["licence"], told["parameters"]) == ("t", "CC0", 20)
    assert told["preprocessing"] == STANDARD.model_dump(mode="json")
    assert [each["folder"] for each in told["members"]] == [
        "../../fold0_seed0/model",
        "../../fold0_seed1/model",
    ]
    assert list(told["members"][0]["sha256"]) == ["model.keras", "model.json"]
    assert [path.name for path in (tmp_path / "ensemble/model").iterdir()] == ["model.json"]


def test_it_moves_with_its_members(tmp_path):
    members = [member(tmp_path / "here", number) for number in range(2)]
    together = combined(members)
    image = grey(16, 16)
    (expected,) = together.predict([image])
    shutil.copytree(tmp_path / "here", tmp_path / "there")
    shutil.rmtree(tmp_path / "here")
    (answer,) = models.load(tmp_path / "there/ensemble/model").predict([image])
    np.testing.assert_array_equal(answer, expected)


def test_members_that_differ_are_refused(tmp_path):
    first = member(tmp_path, 0)
    folder = tmp_path / "ensemble" / "model"
    for facts, name in (
        ({"preprocessing": GREY16}, "preprocessing"),
        ({"classes": ["background", "cell"]}, "classes"),
        ({"outputs": 3}, "num_classes"),
    ):
        other = member(tmp_path, 1, **{"outputs": 1, **facts})
        with pytest.raises(CoverslipError, match=rf"fold0_seed1/model: its {name} differs"):
            ensemble.write([first, other], folder)
    with pytest.raises(CoverslipError, match="two trained networks or more"):
        ensemble.write([first], folder)
    (tmp_path / "k").mkdir()
    (tmp_path / "k/model.json").write_text(json.dumps(info(kind="kmeans", preprocessing={})))
    with pytest.raises(CoverslipError, match="kind `kmeans` has no probabilities"):
        ensemble.write([first, tmp_path / "k"], folder)
    assert not folder.exists()


def test_members_that_are_missing_or_others_are_named(tmp_path):
    members = [member(tmp_path, number) for number in range(2)]
    combined(members)
    folder = tmp_path / "ensemble" / "model"
    member(tmp_path, 1, threshold=0.9)
    with pytest.raises(CoverslipError, match=r"model\.(keras|json): is not the member"):
        next(models.load(folder).predict([grey(16, 16)]))
    (members[1] / "model.keras").unlink()
    with pytest.raises(
        CoverslipError, match=r"fold0_seed1/model/model\.keras: a member .* missing"
    ):
        next(models.load(folder).predict([grey(16, 16)]))
    told = json.loads((folder / "model.json").read_text())
    for wrong in ([], None, [{"fold": 0}]):
        (folder / "model.json").write_text(json.dumps(told | {"members": wrong}))
        with pytest.raises(CoverslipError, match=r"model\.json: (contains no members|`members)"):
            next(models.load(folder).predict([grey(16, 16)]))


def test_an_ensemble_is_no_member_of_another_or_of_itself(tmp_path):
    folder = combined([member(tmp_path, number) for number in range(2)]).folder
    told = json.loads((folder / "model.json").read_text())
    for members in ([{"folder": "."}], [{"folder": "."}, {"folder": "../../fold0_seed0/model"}]):
        (folder / "model.json").write_text(json.dumps(told | {"members": members}))
        with pytest.raises(CoverslipError, match="is no network like the ensemble") as error:
            next(models.load(folder).predict([grey(16, 16)]))
        assert "\n" not in str(error.value)


def test_an_ensemble_has_no_network_to_export(tmp_path):
    together = combined([member(tmp_path, number) for number in range(2)])
    with pytest.raises(CoverslipError, match="kind `ensemble` has no network.*export its members"):
        export_onnx.onnx(together.folder, tmp_path / "model.onnx")


def test_measure_knows_the_files_of_members(tmp_path):
    members = [member(tmp_path, number) for number in range(2)]
    folder = combined(members).folder
    found = input_folder.model_files(folder)
    expected = [each / name for each in members for name in ("model.keras", "model.json")]
    expected += [folder / "model.json"]
    assert [Path(path).resolve() for path in found] == [path.resolve() for path in expected]
    (members[1] / "model.keras").unlink()
    with pytest.raises(CoverslipError, match="missing.*and those of the ensemble's members"):
        input_folder.model_files(folder)


def test_memory_that_runs_out_halves_the_batch(tmp_path, monkeypatch):
    sizes = []

    def hungry(model):
        def predict(tiles):
            if len(tiles) > 2:
                raise MemoryError
            sizes.append(len(tiles))
            return tiles.astype(np.float32) / 255

        return predict

    monkeypatch.setitem(models.KINDS, "network", hungry)
    together = models.load(member(tmp_path, 0))
    image = grey(40, 40)
    (answer,) = together.predict([image], overlap=0, batch=9)
    assert answer[..., 0] == pytest.approx(image / 255, abs=1e-6)
    assert set(sizes) <= {1, 2} and max(sizes) == 2
