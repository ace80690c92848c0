"""Every path that the rules read or write, once.

Names in braces are wildcards of Snakemake: `METRICS.format(study="nuclei")` is one file.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import product

REPORT = "results/report.html"
METRICS_TABLE = "results/metrics.csv"
REFEREE = "results/referee.html"
REFEREE_TABLE = "results/referee.csv"

RAW = "resources/raw/{archive}.zip"
MISSING = "resources/raw/{dataset}.missing"
SIMULATED = "results/raw/{dataset}.zip"
PRETRAINED = "resources/weights/{file}"

DATASET = "results/datasets/{dataset}"
STORE = f"{DATASET}/images.h5"
MANIFEST = f"{DATASET}/manifest.csv"
DATASET_SUMMARY = f"{DATASET}/dataset.json"
CHECK = f"{DATASET}/check"
CHECK_REPORT = f"{CHECK}/report.json"
GROUPS = f"{CHECK}/groups.csv"
DUPLICATES = f"{CHECK}/duplicates.csv"

STUDY = "results/studies/{study}"
SPLIT = f"{STUDY}/split.csv"
SPLIT_SUMMARY = f"{STUDY}/split.json"
METRICS = f"{STUDY}/metrics.json"
IMAGE_TABLE = f"{STUDY}/images.csv"
PREDICTED_CLASSES = f"{STUDY}/predicted_classes.csv"
NOTEBOOK = f"{STUDY}/notebook.ipynb"
NOTEBOOK_PAGE = f"{STUDY}/notebook.html"
FIGURES = f"{STUDY}/figures"
PATCHES = f"{STUDY}/patches/{{shard}}"
ATTRIBUTION = f"{STUDY}/attribution"

RUN = f"{STUDY}/fold{{fold}}_seed{{seed}}"
"""Folder of one training."""
MODEL = f"{RUN}/model"
WEIGHTS = f"{MODEL}/model.keras"
MODEL_INFO = f"{MODEL}/model.json"
HISTORY = f"{MODEL}/history.csv"
TRAINING_RECORD = f"{MODEL}/run.json"
MODEL_CARD = f"{MODEL}/README.md"
ONNX = f"{MODEL}/model.onnx"
BIOIMAGEIO = f"{MODEL}/bioimageio.zip"
PREDICTIONS = f"{RUN}/predictions/{{shard}}.h5"
TOOL = f"{RUN}/tool"
"""Label images of another tool; a study of such a tool has no other model folder."""
TOOL_LABELS = f"{TOOL}/{{shard}}"
TOOL_IMAGES = f"{RUN}/tool_images/{{shard}}"
TOOL_TRAINING = f"{RUN}/tool_training"
TOOL_MODEL = f"{RUN}/tool_model"
TOOL_WEIGHTS = "resources/tools/{file}"
"""Published models of tools, see `pipeline.tools.FILES`."""

ENSEMBLE_SCORES = f"{STUDY}/ensemble/scores.json"
ENSEMBLE_INFO = f"{STUDY}/{{together}}/model/model.json"
"""Model of an ensemble: of all trainings of a study, or of all seeds of one fold."""
FOLD_ENSEMBLE = f"{STUDY}/fold{{fold}}_ensemble"
FOLD_ENSEMBLE_INFO = f"{FOLD_ENSEMBLE}/model/model.json"
FOLD_ENSEMBLE_PREDICTIONS = f"{FOLD_ENSEMBLE}/predictions/{{shard}}.h5"

SEARCH = f"{STUDY}/search"
SEARCH_FOLD = f"{SEARCH}/fold{{fold}}"
BEST = f"{SEARCH_FOLD}/best.json"
RUNG = f"{SEARCH_FOLD}/rung{{rung}}"
RANKING = f"{RUNG}/ranking.csv"
TRIAL = f"{RUNG}/{{slot}}"
TRIAL_RESULT = f"{TRIAL}/trial.json"
TRIALS = f"{SEARCH}/trials.csv"
TRIAL_CURVES = f"{SEARCH}/curves.csv"
SEARCH_SUMMARY = f"{SEARCH}/search.json"
VARIANT_PATCHES = f"{SEARCH}/patches/{{variant}}/{{shard}}"
"""Patches of one preprocessing of several, where trials differ in it."""

TEST_IMAGES = "results/test_images/{study}"
"""Test images of a study as files, to be measured as own images are."""

MEASURED = "results/measure/{name}"
MEASURED_SHARD = f"{MEASURED}/shards/{{shard}}"
MEASURED_TOOL = f"{MEASURED}/tool/{{shard}}"
"""Label images of another tool, and the images that it gets."""
MEASURED_TOOL_IMAGES = f"{MEASURED}/tool_images/{{shard}}"
MEASURED_PAGE = f"{MEASURED}/measure.html"
CLASSES_PAGE = f"{MEASURED}/classes.html"

NOTES = ".snakemake/coverslip"
"""What the workflow remembers between runs; it may be deleted at any time."""

MEASURED_DIRECTLY = f"{NOTES}/measured-{{name}}"
"""Changes when results are made without Snakemake, which knows by it that they are not its own."""


def expand(pattern: str, **values: Iterable[object]) -> list[str]:
    """Return the pattern with each combination of values; the last name varies fastest.

    >>> expand("{a}/{b}", a=["x", "y"], b=range(2))
    ['x/0', 'x/1', 'y/0', 'y/1']
    """
    return [
        pattern.format(**dict(zip(values, combination, strict=True)))
        for combination in product(*values.values())
    ]
