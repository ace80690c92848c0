"""A trial goes on where it was, and comes to what an undisturbed training comes to."""

import json
import shutil

import pandas as pd
import pytest
from test_trainer import NETWORK, PREPROCESSING, TRAINING, write_patches

from coverslip.config.sections import Network, Preprocessing, Training
from coverslip.training import trainer, trial

KEY = "a" * 64


@pytest.fixture(scope="module")
def material(tmp_path_factory) -> dict:
    """Patches of noise and a split."""
    root = tmp_path_factory.mktemp("trial")
    ids = [f"{number:03d}" for number in range(16)]
    patches = write_patches(root / "patches/0", ids, 1)
    split = root / "split.csv"
    subsets = ["train"] * 10 + ["validation"] * 5 + ["test"]
    table = pd.DataFrame({"id": ids, "group": ids, "stratum": "", "fold": 0, "subset": subsets})
    table.to_csv(split, index=False)
    return {"patches": (patches,), "split": split}


def made(material: dict, **training_section) -> trial.Trial:
    sections = {
        "preprocessing": PREPROCESSING.model_dump(mode="json"),
        "network": NETWORK.model_dump(mode="json"),
        "training": TRAINING.model_dump(mode="json") | training_section,
    }
    values = {"training.batch_size": 4}
    return trial.Trial(7, values, sections, fold=0, seed=3, **material)


def run(material: dict, where, epochs: int, output: str, **section) -> tuple[dict, pd.DataFrame]:
    lines: list[str] = []
    facts = trial.run(
        made(material, **section),
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
        preprocessing=Preprocessing(**made(material).sections["preprocessing"]),
        network=Network(**made(material).sections["network"]),
        training=Training(**made(material).sections["training"]),
        output=tmp_path / "model",
        state=tmp_path / "other",
        facts={},
        identity="b",
        report=lambda line: None,
    )
    whole = pd.read_csv(tmp_path / "model/history.csv").drop(columns="seconds")
    assert len(whole) == 5 and whole.iloc[:3].equals(stepwise[whole.columns])

    shutil.rmtree(tmp_path / "state")
    again, again = run(material, tmp_path, 3, "3")
    assert again["search"]["epochs_trained"] == 3 and again.equals(stepwise)


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
