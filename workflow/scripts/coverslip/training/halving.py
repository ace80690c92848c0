"""A search for settings by successive halving: trials, the ranking of a rung, the tables.

A trial is the beginning of the study's own training with other values: the same schedule over
`training.epochs`, cut off after the epochs of a rung. Its state is kept in a folder whose name
depends on everything that the trial depends on. The next rung, or a search with more trials, goes
on from there or has nothing to do. Without the folder the training starts again and ends with the
same numbers. The ranking of a rung decides which trials continue.

Importing this module needs no TensorFlow.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from coverslip.config.search_space import SECTIONS, place_values, variant_name
from coverslip.config.sections import Network, Preprocessing, Training
from coverslip.errors import CoverslipError
from coverslip.evaluation.runs import read_history
from coverslip.files import atomic_write, write_json
from coverslip.pipeline.published_weights import file_name
from coverslip.runtime import device as devices
from coverslip.training import checkpoint as states
from coverslip.training.progress import best_epoch, finished

if TYPE_CHECKING:
    from coverslip.training.dataset import TrainingConfig

RANKING_COLUMNS = ("place", "trial", "score", "epochs", "kept_epoch", "values")

LOWER_IS_BETTER = ("loss",)

# --- The sections of a study or a trial


def training_sections(params: Mapping[str, Any], best: Sequence[str]) -> dict[str, Any]:
    """Return the sections of a study that a job has as parameters, with the values of a search.

    Args:
        params: parameters of the job; `preprocessing`, `network` and `training` are sections.
        best: `best.json` of the search; empty if the study has none.
    """
    sections = {name: params[name] for name in SECTIONS if name in params}
    for file in best:
        values = json.loads(Path(file).read_text(encoding="utf-8"))["values"]
        own = {key: value for key, value in values.items() if key.split(".")[0] in sections}
        sections = place_values(sections, own)
    return sections


def weights_file(
    files: Iterable[str], network: Mapping[str, Any], preprocessing: Mapping[str, Any]
) -> Path | None:
    """Return the one of some files of pretrained weights that a network begins with, or None."""
    if network["weights"] == "none":
        return None
    resize = preprocessing.get("resize")
    name = file_name(network["architecture"], network["weights"], resize)
    return next(Path(file) for file in files if Path(file).name == name)


def patch_folders(files: Iterable[str], preprocessing: Mapping[str, Any]) -> list[Path]:
    """Return the folders of the patches for a section, sorted.

    Args:
        files: patch files, in folders `patches/<variant>/<shard>` if trials have patches of their
            own, else in `patches/<shard>`.
        preprocessing: the section with all defaults.
    """
    folders = sorted({Path(file).parent for file in files})
    own = [folder for folder in folders if folder.parent.name == variant_name(preprocessing)]
    return own or folders


# --- One trial on one rung


@dataclass(frozen=True)
class Trial:
    """A trial: what is trained, on which patches, from which seed."""

    number: int
    """Its place in the draw, from 0."""
    values: Mapping[str, Any]
    """Its values by their keys."""
    sections: Mapping[str, Any]
    """`preprocessing`, `network` and `training` with these values."""
    patches: tuple[Path, ...]
    """Folders of patches."""
    split: Path
    """Table of the split."""
    fold: int
    """Fold of it."""
    seed: int
    """Seed of the weights, the order of the patches, augmentation and dropout."""
    weights_file: Path | None = None
    """Pretrained weights, if the network begins with such."""


def run_trial(
    trial: Trial,
    epochs: int,
    state: Path,
    identity: str,
    output: Path,
    *,
    threads: int | None = None,
    report: Callable[[str], None] = print,
) -> dict[str, Any]:
    """Train a trial to a number of epochs and write `history.csv` and `trial.json`.

    Early stopping (`training.patience`) ends a trial sooner; so does a loss that is not a number:
    such a trial diverged, and has no score.

    Args:
        trial: what is trained.
        epochs: of the rung.
        state: folder that keeps the training, for later rungs and runs.
        identity: digest of everything that the trial depends on; a state of another is discarded.
        output: folder of the two files.
        threads: CPU threads of one operation.
        report: receives one line for each epoch.

    Returns:
        Facts for the record of the run: the trial, its epochs, how many of them were trained now,
        the device if any were.
    """
    sections = trial.sections
    training = Training(**sections["training"])
    history = states.history(state, identity)
    before = len(history)
    facts: dict[str, Any] = {}
    diverged = False
    if before < epochs and not finished(history, training):
        device = devices.prepare(threads=threads)
        device = device.adapt(sections["network"]["architecture"])
        facts["device"] = asdict(device)
        from coverslip.training.dataset import TrainingConfig

        config = TrainingConfig(
            preprocessing=Preprocessing(**sections["preprocessing"]),
            network=Network(**sections["network"]),
            training=training,
            seed=trial.seed,
            weights_file=trial.weights_file,
        )
        data = list(trial.patches), trial.split, trial.fold
        history, diverged, before = advance(*data, config, epochs, state, identity, device, report)
    else:
        report(f"trial {trial.number}: already trained to epoch {before}, nothing to do")
    history = history[:epochs]
    kept = best_epoch(history, training.monitor) if training.restore_best else len(history)
    result = {
        "trial": trial.number,
        "values": dict(trial.values),
        "epochs": len(history),
        "kept_epoch": None if diverged else kept,
        "diverged": diverged,
    }
    with atomic_write(Path(output) / "history.csv") as part:
        pd.DataFrame(history).to_csv(part, index=False)
    write_json(Path(output) / "trial.json", result)
    return facts | {"search": result | {"epochs_trained": max(len(history) - before, 0)}}


def advance(
    patches: list[Path],
    split: Path,
    fold: int,
    config: TrainingConfig,
    until: int,
    state: Path,
    identity: str,
    device: devices.Device,
    report: Callable[[str], None],
) -> tuple[list[dict], bool, int]:
    """Train from the saved state to an epoch, with the numbers that `trainer.train` has there.

    Args:
        patches, split, fold, identity, device, report: as of `trainer.train`.
        config: the sections and the seed.
        until: number of epochs; early stopping may end the training sooner.
        state: folder that keeps the training.

    Returns:
        One row for each epoch; whether the loss was no number in the last of them; the number of
        epochs that the state had before.

    Raises:
        CoverslipError, SystemExit: as `trainer.train`.
    """
    from coverslip.runtime import oom
    from coverslip.training import trainer
    from coverslip.training.dataset import load_training_data
    from coverslip.training.schedule import stop_on_signal

    data = load_training_data(patches, split, fold, config, device, report)
    with (
        oom.explain_out_of_memory(trainer.SMALLER),
        trainer.dtype_policy(device.dtype_policy),
        stop_on_signal() as stop,
    ):
        key = trainer.state_identity(identity, device)
        loop = trainer.Trainer(data.sections, device, data.batches, state, key, stop, report)
        try:
            loop.run(until)
        except trainer.Diverged as error:
            report(str(error))
            return loop.current.history, True, loop.resumed
        return loop.current.history, False, loop.resumed


# --- The ranking of a rung


def rank(folders: Sequence[Path], metric: str, output: Path) -> None:
    """Write the ranking of a rung: one row for each trial, the best first.

    The score is that of the epoch whose weights would be selected if training ended here. A trial
    that diverged has none and is last; of equals the trial with the lower number is first.

    Args:
        folders: of the trials, with `trial.json` and `history.csv`.
        metric: `loss`, `accuracy` or `iou`, of the validation images.
        output: the csv, with `RANKING_COLUMNS`; `values` is JSON.
    """
    rows = [trial_result(folder, metric) for folder in folders]
    rows.sort(key=lambda row: _sort_key(row["score"], row["trial"], metric))
    for place, row in enumerate(rows):
        row |= {"place": place, "values": json.dumps(row["values"], sort_keys=True)}
    with atomic_write(output) as part:
        pd.DataFrame(rows, columns=list(RANKING_COLUMNS)).to_csv(part, index=False)


def trial_result(folder: Path, metric: str) -> dict[str, Any]:
    """Return trial, values, epochs, kept_epoch and score (NaN if it diverged) of a trial."""
    trial = json.loads((Path(folder) / "trial.json").read_text(encoding="utf-8"))
    score = math.nan
    if not trial["diverged"]:
        history, column = read_history(folder), f"validation_{metric}"
        if column not in history.columns:
            raise CoverslipError(
                f"{folder}/history.csv: has no column {column}: name another search.metric"
            )
        score = float(history.loc[history["epoch"] == trial["kept_epoch"], column].iloc[0])
    result = {key: trial[key] for key in ("trial", "values", "epochs", "kept_epoch")}
    return result | {"score": score}


def _sort_key(score: float, trial: int, metric: str) -> tuple[bool, float, int]:
    """Return the key by which trials are sorted, the best first."""
    if math.isnan(score):
        return True, 0.0, trial
    return False, score if metric in LOWER_IS_BETTER else -score, trial


def trial_at(ranking: Path, place: int) -> tuple[int, dict[str, Any]]:
    """Return number and values of the trial at a place (from 0) of a ranking.

    Raises:
        CoverslipError: the ranking has no such place.
    """
    table = pd.read_csv(ranking)
    rows = table[table["place"] == place]
    if len(rows) != 1:
        raise CoverslipError(f"{ranking}: has no place {place}; delete it and run again")
    return int(rows["trial"].iloc[0]), json.loads(rows["values"].iloc[0])


def write_best(ranking: Path, output: Path) -> None:
    """Write number and values of the best trial, as JSON with the keys `trial` and `values`.

    Raises:
        CoverslipError: all trials diverged.
    """
    if pd.read_csv(ranking)["score"].isna().all():
        raise CoverslipError(
            f"{ranking}: all trials of the search diverged: lower the largest learning rate in "
            "config.search_space"
        )
    trial, values = trial_at(ranking, 0)
    write_json(output, {"trial": trial, "values": values})


# --- The tables of a search


def write_tables(
    folders: Mapping[int, Sequence[Sequence[Path]]],
    search: Mapping[str, Any],
    epochs: Sequence[int],
    table: Path,
    curves: Path,
    summary: Path,
) -> None:
    """Write the tables of a search: every trial with its score, and their learning curves.

    Args:
        folders: of the trials, by fold and rung.
        search: the section `search` of the study, with all defaults.
        epochs: of the rungs.
        table: csv with a row for each fold and trial, the best first: fold, trial, each value by
            its key, rung (its last one, from 0), epochs, kept_epoch, score (empty if it diverged),
            chosen, minutes.
        curves: csv with a row for each fold, trial and epoch: fold, trial, and the columns of a
            history.
        summary: JSON: metric, space, epochs and trials of the rungs, and by fold the number,
            values and score of the best trial.
    """
    rows: list[dict[str, Any]] = []
    histories: list[pd.DataFrame] = []
    chosen: dict[str, Any] = {}
    for fold, rungs in sorted(folders.items()):
        fold_rows, fold_histories = _fold_tables(fold, rungs, search)
        rows += fold_rows
        histories += fold_histories
        best = fold_rows[0]
        chosen[str(fold)] = {
            "trial": best["trial"],
            "values": {key: best[key] for key in sorted(search["space"])},
            "score": best["score"],
        }
    with atomic_write(Path(table)) as part:
        pd.DataFrame(rows).to_csv(part, index=False)
    with atomic_write(Path(curves)) as part:
        pd.concat(histories, ignore_index=True).to_csv(part, index=False)
    rungs = next(iter(folders.values()))
    document = {name: search[name] for name in ("metric", "space", "seed")}
    document["rungs"] = [
        {"epochs": count, "trials": len(rung)} for count, rung in zip(epochs, rungs, strict=True)
    ]
    write_json(Path(summary), document | {"chosen": chosen})


def _fold_tables(
    fold: int, rungs: Sequence[Sequence[Path]], search: Mapping[str, Any]
) -> tuple[list[dict[str, Any]], list[pd.DataFrame]]:
    """Return rows, best first, and histories of a fold: of each trial after its last rung."""
    metric = search["metric"]
    results: dict[int, dict[str, Any]] = {}
    histories: dict[int, pd.DataFrame] = {}
    for rung, folders in enumerate(rungs):
        for folder in folders:
            result, history = trial_result(folder, metric), read_history(folder)
            number = result["trial"]
            histories[number] = history.assign(fold=fold, trial=number)[
                ["fold", "trial", *history.columns]
            ]
            results[number] = {
                "fold": fold,
                "trial": number,
                **{key: result["values"][key] for key in sorted(search["space"])},
                "rung": rung,
                "epochs": result["epochs"],
                "kept_epoch": result["kept_epoch"],
                "score": result["score"],
                "chosen": False,
                "minutes": round(float(history["seconds"].sum()) / 60, 2),
            }

    def key(row: dict[str, Any]) -> tuple:
        return -row["rung"], _sort_key(row["score"], row["trial"], metric)

    rows = sorted(results.values(), key=key)
    rows[0]["chosen"] = True
    for row in rows:
        row["score"] = None if math.isnan(row["score"]) else row["score"]
    return rows, [histories[number] for number in sorted(histories)]
