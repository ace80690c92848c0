"""A search by successive halving: settings, trials, rankings and tables."""

import json
import runpy
import shutil
from pathlib import Path

import pandas as pd
import pytest
from mask_training import NETWORK, PREPROCESSING, TRAINING

from coverslip.config.search_space import variant_name
from coverslip.config.sections import Network, Preprocessing, Training
from coverslip.errors import CoverslipError
from coverslip.training import halving, trainer
from coverslip.training.halving import (
    patch_folders,
    rank,
    training_sections,
    trial_at,
    weights_file,
    write_best,
    write_tables,
)

SCRIPTS = Path(halving.__file__).resolve().parents[2]

# --- The sections of a study or a trial

PARAMS = {
    "preprocessing": {"patch": 64, "input_scaling": "unit"},
    "network": {"depth": 3},
    "training": {"learning_rate": 0.1, "augmentation": {"noise": 0.0}},
    "licence": "CC0-1.0",
}


def test_values_reach_the_sections_that_a_job_has(tmp_path):
    best = tmp_path / "best.json"
    values = {"network.depth": 2, "training.augmentation.noise": 0.1, "preprocessing.patch": 32}
    best.write_text(json.dumps({"trial": 4, "values": values}))
    sections = training_sections(PARAMS, [str(best)])
    assert sections == {
        "preprocessing": {"patch": 32, "input_scaling": "unit"},
        "network": {"depth": 2},
        "training": {"learning_rate": 0.1, "augmentation": {"noise": 0.1}},
    }
    assert PARAMS["network"] == {"depth": 3}
    own = {"preprocessing": PARAMS["preprocessing"]}
    assert training_sections(own, [str(best)]) == {
        "preprocessing": {"patch": 32, "input_scaling": "unit"}
    }


def test_without_a_search_sections_are_as_they_were():
    assert training_sections(PARAMS, []) == {k: v for k, v in PARAMS.items() if k != "licence"}


@pytest.mark.parametrize(
    ("name", "function"),
    [("evaluate", "evaluate.evaluate"), ("evaluate_ensemble", "ensemble_scores.compare")],
)
def test_scores_use_the_preprocessing_of_the_search(
    name, function, snakemake_object, tmp_path, monkeypatch
):
    best = tmp_path / "best.json"
    best.write_text(json.dumps({"trial": 0, "values": {"preprocessing.patch": 32}}))
    calls = []
    monkeypatch.setattr(f"coverslip.evaluation.{function}", lambda *call, **_: calls.append(call))
    files = {"predictions": [], "singles": [], "ensembles": [], "infos": [], "best": [best]}
    files |= dict.fromkeys(("images", "groups", "split"), tmp_path / "input.txt")
    for key, value in files.items():
        setattr(snakemake_object.input, key, value)
    Path(snakemake_object.output[0]).write_text("")
    for key in ("metrics", "table"):
        setattr(snakemake_object.output, key, tmp_path / key)
    params = {"task": "segmentation", "names": {}, "reproduction": False}
    params["sections"] = {"evaluation": {}, "preprocessing": {"patch": 64}}
    snakemake_object.wildcards.study = "one"
    for key, value in params.items():
        setattr(snakemake_object.params, key, value)
        snakemake_object.params.named[key] = value
    runpy.run_path(str(SCRIPTS / f"{name}.py"), init_globals={"snakemake": snakemake_object})
    ((task, inputs),) = calls
    assert task.name == "segmentation" and inputs.preprocessing.patch == 32


def test_patches_are_those_of_the_preprocessing():
    sections = [{"patch": side, "input_scaling": "unit"} for side in (32, 64)]
    homes = [f"search/patches/{variant_name(section)}/{n}" for section in sections for n in (0, 1)]
    files = [f"{home}/{name}" for home in homes for name in ("images.npy", "labels.npy")]
    assert patch_folders(files, sections[1]) == sorted(map(Path, homes[2:]))
    plain = ["patches/1/images.npy", "patches/0/images.npy", "patches/0/labels.npy"]
    assert patch_folders(plain, sections[1]) == [Path("patches/0"), Path("patches/1")]


def test_weights_are_those_of_the_network():
    files = ["w/mobilenetv2_unet_imagenet_128.h5", "w/resnet18_imagenet.safetensors"]
    network = {"architecture": "resnet18", "weights": "imagenet"}
    assert weights_file(files, network, {"resize": None}) == Path(files[1])
    assert weights_file(files, network | {"weights": "none"}, {}) is None
    mobile = network | {"architecture": "mobilenetv2_unet"}
    assert weights_file(files, mobile, {"resize": [128, 128]}) == Path(files[0])


# --- Trials

KEY = "a" * 64


@pytest.fixture(scope="module")
def material(mask_study) -> dict:
    return mask_study | {"patches": tuple(mask_study["patches"])}


def make_trial(material: dict, **training_section) -> halving.Trial:
    sections = {
        "preprocessing": PREPROCESSING.model_dump(mode="json"),
        "network": NETWORK.model_dump(mode="json"),
        "training": TRAINING.model_dump(mode="json") | training_section,
    }
    values = {"training.batch_size": 4}
    return halving.Trial(7, values, sections, fold=0, seed=3, **material)


def run(material: dict, where, epochs: int, output: str, **section) -> tuple[dict, pd.DataFrame]:
    lines: list[str] = []
    facts = halving.run_trial(
        make_trial(material, **section),
        epochs,
        state=where / "state",
        identity=KEY,
        output=where / output,
        threads=1,
        report=lines.append,
    )
    assert json.loads((where / output / "trial.json").read_text())["trial"] == 7
    return facts, pd.read_csv(where / output / "history.csv").drop(columns="seconds")


def test_rung_after_rung_is_the_start_of_the_training(material, tmp_path):
    first, _ = run(material, tmp_path, 1, "0")
    assert first["search"]["epochs_trained"] == 1 and first["device"]["name"]
    second, stepwise = run(material, tmp_path, 3, "1")
    assert second["search"]["epochs_trained"] == 2
    again, short = run(material, tmp_path, 2, "2")
    assert again["search"]["epochs_trained"] == 0 and "device" not in again
    assert short.equals(stepwise.iloc[:2])
    trainer.train(
        patches=list(material["patches"]),
        split=material["split"],
        fold=0,
        seed=3,
        preprocessing=Preprocessing(**make_trial(material).sections["preprocessing"]),
        network=Network(**make_trial(material).sections["network"]),
        training=Training(**make_trial(material).sections["training"]),
        output=tmp_path / "model",
        state=tmp_path / "other",
        facts={},
        identity="b",
        report=lambda line: None,
    )
    whole = pd.read_csv(tmp_path / "model/history.csv").drop(columns="seconds")
    assert len(whole) == 5 and whole.iloc[:3].equals(stepwise[whole.columns])

    shutil.rmtree(tmp_path / "state")
    facts, fresh = run(material, tmp_path, 3, "3")
    assert facts["search"]["epochs_trained"] == 3 and fresh.equals(stepwise)


def test_a_trial_that_diverges_has_no_score(material, tmp_path, monkeypatch):
    usual = trainer.Trainer._epoch

    def lost(self, epoch):
        row = usual(self, epoch)
        return row | ({"validation_loss": float("nan")} if epoch == 1 else {})

    monkeypatch.setattr(trainer.Trainer, "_epoch", lost)
    facts, history = run(material, tmp_path, 3, "0")
    assert facts["search"]["diverged"] and facts["search"]["kept_epoch"] is None
    assert len(history) == 2
    facts, _ = run(material, tmp_path, 3, "1")
    assert facts["search"]["diverged"] and facts["search"]["epochs_trained"] == 1


def test_early_stopping_ends_a_trial(material, tmp_path, monkeypatch):
    usual = trainer.Trainer._epoch
    monkeypatch.setattr(
        trainer.Trainer, "_epoch", lambda self, e: usual(self, e) | {"validation_loss": 1.0 + e}
    )
    facts, history = run(material, tmp_path, 4, "0", patience=1)
    assert len(history) == 2 and facts["search"]["kept_epoch"] == 1
    again, _ = run(material, tmp_path, 5, "1", patience=1)
    assert again["search"]["epochs_trained"] == 0


# --- Rankings and tables


def write(folder, trial, losses, diverged=False, kept=None):
    """A trial with these validation losses; accuracy is 1 - loss."""
    folder.mkdir(parents=True)
    rows = [
        {
            "epoch": epoch + 1,
            "loss": loss,
            "accuracy": 1 - loss,
            "validation_loss": loss,
            "validation_accuracy": 1 - loss,
            "seconds": 30.0,
        }
        for epoch, loss in enumerate(losses)
    ]
    pd.DataFrame(rows).to_csv(folder / "history.csv", index=False)
    facts = {
        "trial": trial,
        "values": {"training.batch_size": trial + 1},
        "epochs": len(losses),
        "kept_epoch": None if diverged else kept or losses.index(min(losses)) + 1,
        "diverged": diverged,
    }
    (folder / "trial.json").write_text(json.dumps(facts))
    return folder


def ranked(tmp_path, folders, metric="loss"):
    rank(folders, metric, tmp_path / "ranking.csv")
    return pd.read_csv(tmp_path / "ranking.csv")


def test_the_score_is_that_of_the_kept_epoch(tmp_path):
    folders = [
        write(tmp_path / "0", 0, [0.5, 0.2, 0.9]),
        write(tmp_path / "1", 1, [0.6, 0.3, 0.1], kept=3),
        write(tmp_path / "2", 2, [0.6, 0.3, 0.15], kept=1),
    ]
    table = ranked(tmp_path, folders)
    assert table["trial"].tolist() == [1, 0, 2]
    assert table["score"].tolist() == [0.1, 0.2, 0.6]
    assert table["place"].tolist() == [0, 1, 2]
    by_accuracy = ranked(tmp_path, folders, "accuracy")
    assert by_accuracy["trial"].tolist() == [1, 0, 2]
    assert by_accuracy["score"].tolist() == [0.9, 0.8, 0.4]


def test_equal_trials_are_sorted_and_diverged_ones_last(tmp_path):
    nan = float("nan")
    folders = [
        write(tmp_path / "a", 5, [0.3]),
        write(tmp_path / "b", 1, [nan], diverged=True),
        write(tmp_path / "c", 3, [0.3]),
        write(tmp_path / "d", 0, [0.2, nan], diverged=True),
    ]
    for order in (folders, folders[::-1]):
        table = ranked(tmp_path, order)
        assert table["trial"].tolist() == [3, 5, 0, 1]
        assert table["score"].isna().tolist() == [False, False, True, True]
    assert trial_at(tmp_path / "ranking.csv", 1) == (5, {"training.batch_size": 6})
    with pytest.raises(CoverslipError, match="no place 4"):
        trial_at(tmp_path / "ranking.csv", 4)


def test_the_best_trial_is_written_without_its_score(tmp_path):
    ranked(tmp_path, [write(tmp_path / "a", 4, [0.3]), write(tmp_path / "b", 2, [0.1])])
    write_best(tmp_path / "ranking.csv", tmp_path / "best.json")
    facts = json.loads((tmp_path / "best.json").read_text())
    assert facts == {"trial": 2, "values": {"training.batch_size": 3}}


def test_a_search_in_which_all_diverged_has_no_best(tmp_path):
    ranked(tmp_path, [write(tmp_path / "a", 0, [float("nan")], diverged=True)])
    with pytest.raises(CoverslipError, match="all trials of the search diverged"):
        write_best(tmp_path / "ranking.csv", tmp_path / "best.json")


def test_a_metric_that_a_history_lacks_is_named(tmp_path):
    with pytest.raises(CoverslipError, match="validation_iou"):
        ranked(tmp_path, [write(tmp_path / "a", 0, [0.3])], "iou")


def test_tables_have_each_trial_after_its_last_rung(tmp_path):
    first = [write(tmp_path / f"0/{n}", n, [0.5 - 0.1 * n]) for n in range(3)]
    first.append(write(tmp_path / "0/3", 3, [float("nan")], diverged=True))
    second = [write(tmp_path / "1/0", 2, [0.3, 0.45]), write(tmp_path / "1/1", 1, [0.4, 0.2])]
    search = {"metric": "loss", "seed": 1, "space": {"training.batch_size": {}}}
    paths = [tmp_path / name for name in ("trials.csv", "curves.csv", "search.json")]
    write_tables({0: [first, second]}, search, [1, 2], *paths)
    table, curves = pd.read_csv(paths[0]), pd.read_csv(paths[1])
    assert table["trial"].tolist() == [1, 2, 0, 3]
    assert table["rung"].tolist() == [1, 1, 0, 0]
    assert table["epochs"].tolist() == [2, 2, 1, 1]
    assert table["score"].tolist()[:3] == [0.2, 0.3, 0.5] and table["score"].isna().sum() == 1
    assert table["chosen"].tolist() == [True, False, False, False]
    assert table["minutes"].tolist() == [1.0, 1.0, 0.5, 0.5]
    assert curves.groupby("trial")["epoch"].max().to_dict() == {0: 1, 1: 2, 2: 2, 3: 1}
    facts = json.loads(paths[2].read_text())
    assert facts["rungs"] == [{"epochs": 1, "trials": 4}, {"epochs": 2, "trials": 2}]
    assert facts["chosen"]["0"]["values"] == {"training.batch_size": 2}
