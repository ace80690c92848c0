# Needs: the config. Makes: the completed config, and the few functions that rules call.

import os
import sys
from functools import reduce
from operator import getitem
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.logging import logger

from coverslip.runtime import code_fingerprint
from coverslip.runtime import lock
from coverslip.runtime import run_record
from coverslip.config import old_format
from coverslip.runtime import terminal
from coverslip.config import validate
from coverslip.data import folder_inventory
from coverslip.measure import input_folder
from coverslip.data import simulate
from coverslip.errors import CoverslipError

logger.addFilter(terminal.shorten)
if workflow.is_main_process:
    lock.remove_leftover()
    terminal.stop_in_one_line(logger)
shell.prefix(terminal.IGNORE)


def config_files():
    """Files that the config was read from, the one that counts last; jobs check them no more."""
    given = list(workflow.overwrite_configfiles)
    files = [file for file in workflow.configfiles if file not in given] + given
    return files if workflow.is_main_process else []


try:
    old_format.check_results(Path("results"))
    config.update(validate.resolve(config, WORKFLOW / "schemas/config.schema.json", config_files()))
except CoverslipError as error:
    raise WorkflowError(str(error))

STUDIES = validate.chosen_studies(config)
DATASETS = sorted({config["studies"][study]["dataset"] for study in STUDIES})
# Names of the archives of Kaggle by dataset; datasets of one archive share it.
ARCHIVES = validate.archive_names(config)
# Studies whose model is K-means; those of all others are networks.
KMEANS = sorted(name for name, study in config["studies"].items() if study["kmeans"] is not None)
NETWORKS = sorted(set(config["studies"]) - set(KMEANS))
# Environment of jobs that train or run networks; all others have envs/core.yaml.
TRAIN_ENV = f"../envs/train-{config['tensorflow']}.yaml"
# Jobs know by it the command that they were started by; the first one, before any job was.
os.environ.setdefault(run_record.COMMAND, run_record.shown_command(["snakemake", *sys.argv[1:]]))
FIGURES = {
    "learning_curves": "svg",
    "metrics": "svg",
    "classification_report": "svg",
    "confusion": "svg",
    "examples": "png",
    "network": "svg",
}
# Of studies that separate objects.
INSTANCE_FIGURES = {"average_precision": "svg", "objects": "svg", "contours": "png"}
# Of studies with `task: confluency`, and of those whose model is K-means.
CONFLUENCY_FIGURES = {"confluency": "svg"}
KMEANS_FIGURES = {"clusters": "png"}
# Of studies with `task: classification`, which have none of the others.
CLASS_FIGURES = {
    "learning_curves": "svg",
    "class_report": "svg",
    "class_confusion": "svg",
    "reliability": "svg",
    "class_examples": "png",
    "confident_errors": "png",
    "attribution_maps": "png",
    "network": "svg",
}
# Of studies with a search.
SEARCH_FIGURES = {"search_curves": "svg", "search_values": "svg"}
ALL_FIGURES = FIGURES | INSTANCE_FIGURES | CONFLUENCY_FIGURES | KMEANS_FIGURES | CLASS_FIGURES
ALL_FIGURES |= SEARCH_FIGURES
# Figures that read images are jobs on a cluster; the others are drawn where Snakemake runs.
HEAVY_FIGURES = {
    "examples",
    "objects",
    "contours",
    "clusters",
    "class_examples",
    "confident_errors",
}
PAGE = [
    "page.html.j2",
    "page.css",
    "page.js",
    *(f"{name}.rst" for name in [*ALL_FIGURES, "notebook"]),
]
STUDY = "results/studies/{study}"
RUN = "results/studies/{study}/fold{fold}_seed{seed}"


wildcard_constraints:
    study="[A-Za-z0-9][A-Za-z0-9_-]*",
    dataset="[A-Za-z0-9][A-Za-z0-9_-]*",
    name=r"\w[\w-]*",
    fold=r"\d+",
    seed=r"\d+",
    shard=r"\d+",


def code(script, *roots, files=()):
    """Digest of the code that a script reaches: it makes code an input (docs/method.md)."""
    return code_fingerprint.cached_fingerprint(
        run_record.CODE,
        SCRIPTS / script,
        [f"coverslip.{root}" for root in roots],
        [WORKFLOW / file for file in files],
    )


def scale_with_attempt(amount):
    """Resource function: this much, and as much again at each further attempt."""

    def of_attempt(wildcards, attempt):
        return amount * attempt

    return of_attempt


def wildcard_regex(studies):
    """Regular expression of these names; of no name where there are none."""
    return "|".join(studies) or "(?!)"


def network_code(wildcards):
    """Code of training, with the architecture that the study uses, or tries."""
    return code("train.py", *networks_of(wildcards.study))


def simulator_code(wildcards):
    """Code of synthetic images, with the one simulator that the dataset is drawn by."""
    simulator = config["datasets"][wildcards.dataset]["source"]["simulator"]
    return code("simulate.py", simulate.MODULES[simulator])


def format_code(wildcards):
    """Code of ingest, with the one format that the dataset has."""
    return code("ingest.py", f"data.formats.{config['datasets'][wildcards.dataset]['format']}")


def omit_keys(section, *keys):
    """A section of the config less the keys that do not change this rule's result."""
    return {key: value for key, value in section.items() if key not in keys}


def archive(wildcards):
    """The raw archive of a dataset; a folder is watched by its inventory instead.

    Where nobody has put it there yet, a job stands for it that says so, and a dry run still shows
    all the rest of the work.
    """
    source = config["datasets"][wildcards.dataset]["source"]
    if source["kind"] == "synthetic":
        return f"results/raw/{wildcards.dataset}.zip"
    if source["kind"] == "kaggle":
        return f"resources/raw/{ARCHIVES[wildcards.dataset]}.zip"
    # A dataset that is made needs its archive no more: it may be deleted.
    made = Path(f"results/datasets/{wildcards.dataset}/images.h5").exists()
    if not made and not Path(source["path"]).exists():
        return f"resources/raw/{wildcards.dataset}.missing"
    return [] if Path(source["path"]).is_dir() else source["path"]


def missing():
    """Datasets whose archive or folder is not where the config says."""
    sources = {name: section["source"] for name, section in config["datasets"].items()}
    return sorted(
        name
        for name, source in sources.items()
        if source["kind"] == "path" and not Path(source["path"]).exists()
    )


def runnable(wildcards):
    """Chosen studies of which no data are missing."""
    return [study for study in STUDIES if config["studies"][study]["dataset"] not in missing()]


def folder(wildcards):
    """Path and inventory of a dataset that is a folder of images; none for an archive."""
    source = config["datasets"][wildcards.dataset]["source"]
    if source["kind"] != "path" or not Path(source["path"]).is_dir():
        return None
    notes = Path(".snakemake/coverslip") / f"inventory-{wildcards.dataset}.json"
    read = not workflow.dryrun
    return {
        "path": source["path"],
        "notes": str(notes),
        "inventory": folder_inventory.digest(source["path"], notes, read),
    }


def contents(wildcards):
    """Digest of an archive on this machine: its time stamp may be older than what it replaces."""
    source = config["datasets"][wildcards.dataset]["source"]
    if source["kind"] != "path" or not Path(source["path"]).is_file():
        return None
    notes = Path(".snakemake/coverslip") / f"archive-{wildcards.dataset}.json"
    return folder_inventory.of_file(source["path"], notes, not workflow.dryrun)


def ingest_section(wildcards):
    """What of a dataset's section changes its images: neither words nor the way they came."""
    dataset = config["datasets"][wildcards.dataset]
    section = omit_keys(dataset, *validate.WORDS["dataset"], "source")
    return section | {"sha256": dataset["source"]["sha256"]}


def drawn(wildcards):
    """What of a synthetic source's section changes its images."""
    source = config["datasets"][wildcards.dataset]["source"]
    return omit_keys(source, "limits", "retries")


def named(wildcards):
    """What of a source's section names an archive of Kaggle."""
    source = config["datasets"][wildcards.archive]["source"]
    return {key: source[key] for key in ("kind", "competition", "dataset", "file")}


# Params functions that ask for `output` give what Snakemake neither keeps nor compares: what is
# made is the same whatever they say.
def patience(wildcards, output):
    """How often a download is tried, and the digest that it must have, if it is made at all."""
    source = config["datasets"][wildcards.archive]["source"]
    return {key: source[key] for key in ("retries", "sha256")}


def limits(wildcards, output):
    """What an archive may hold: what passes is the same whatever the limits are."""
    return {"limits": config["datasets"][wildcards.dataset]["source"]["limits"]}


def watching(wildcards, output):
    """Where learning curves are also written for TensorBoard, if anywhere."""
    if not config["studies"][wildcards.study]["tensorboard"]:
        return {"tensorboard": None}
    training = "{study}_fold{fold}_seed{seed}".format(**dict(wildcards.items()))
    return {"tensorboard": f"results/logs/tensorboard/{training}"}


def split_file(wildcards):
    """The table of a split that comes from a file."""
    return config["studies"][wildcards.study]["split"]["file"] or []


def is_reproduction(wildcards):
    """Whether a study repeats a published protocol; the name of that protocol changes nothing."""
    return config["studies"][wildcards.study]["reproduces"] is not None


def study_config(*keys):
    """Params function: what the study's section says under a key, and under keys of that.

    Snakemake's `lookup` does the same and looks through the whole config each time, for every job.
    """
    return lambda wildcards: reduce(getitem, keys, config["studies"][wildcards.study])


def dataset_path(path):
    """Input function: a file of the study's dataset."""
    return lambda wildcards: (
        f"results/datasets/{config['studies'][wildcards.study]['dataset']}/{path}"
    )


def shards(study, section):
    """Numbers of the shards that a study's patches or predictions are cut into."""
    return range(config["studies"][study][section]["shards"])


def patches(wildcards):
    """All patch files of a study."""
    return patches_for(wildcards.study, trial_sections(wildcards.study))


def runs(study):
    """Folders of a study's trainings: one a fold and seed."""
    section = config["studies"][study]
    return expand(RUN, study=study, fold=range(section["split"]["folds"]), seed=section["seeds"])


def of_runs(*files):
    """Input function: these files of every training of the study."""
    return lambda wildcards: [f"{run}/{file}" for run in runs(wildcards.study) for file in files]


def weights(wildcards):
    """Weights of a trained network; K-means is told whole by its `model.json`."""
    if wildcards.study in KMEANS:
        return []
    return f"{RUN}/model/model.keras".format(**dict(wildcards.items()))


def weights_of_runs(wildcards):
    """Weights of every training of the study."""
    return [] if wildcards.study in KMEANS else of_runs("model/model.keras")(wildcards)


def predictions(wildcards):
    """All prediction files of a study."""
    numbers = shards(wildcards.study, "evaluation")
    return [f"{run}/predictions/{shard}.h5" for run in runs(wildcards.study) for shard in numbers]


def pretrained_weights(wildcards):
    """Pretrained weights of a study's encoder, if it has any."""
    return weights_for(trial_sections(wildcards.study))


def licence(wildcards):
    """Licence of the data, which a model carries along."""
    return config["datasets"][config["studies"][wildcards.study]["dataset"]]["licence"]


def prediction_section(wildcards):
    """What of the evaluation's section changes predictions."""
    section = config["studies"][wildcards.study]["evaluation"]
    return omit_keys(section, "min_area_px", "blank_test_labels", "ensemble")


def scoring_section(wildcards):
    """What of the evaluation's section changes scores."""
    return omit_keys(config["studies"][wildcards.study]["evaluation"], "ensemble")


def gpus(wildcards):
    """GPUs that predicting takes: K-means needs none."""
    return 0 if wildcards.study in KMEANS else 1


def figures_of(study):
    """All figures of a study."""
    section = config["studies"][study]
    names = dict(FIGURES)
    if section["task"] == "classification":
        names = class_figures(study)
    elif section["kmeans"] is not None:
        names = omit_keys(FIGURES, "network") | KMEANS_FIGURES
    elif section["network"]["head"] == "instance":
        names |= INSTANCE_FIGURES
    if section["task"] == "confluency":
        names |= CONFLUENCY_FIGURES
    if section["search"] is not None:
        names |= SEARCH_FIGURES
    return [
        f"results/studies/{study}/figures/{name}.{extension}" for name, extension in names.items()
    ]


def figures(wildcards):
    """All figures of the study that a job is about."""
    return figures_of(wildcards.study)


def report_figures(wildcards):
    """All figures of all studies that run."""
    return [figure for study in STUDIES for figure in figures_of(study)]


def dataset_words(wildcards):
    """What is told of the dataset of a study."""
    dataset = config["datasets"][config["studies"][wildcards.study]["dataset"]]
    return {key: dataset[key] for key in ("title", "licence", "citation")}


def study_words(wildcards):
    """What is told of a study."""
    study = config["studies"][wildcards.study]
    return {key: study[key] for key in ("title", "question", "task", "reproduces", "known_issues")}


def report_cards(wildcards):
    """Model cards of all trainings of all studies that run."""
    return [f"{run}/model/README.md" for study in STUDIES for run in runs(study)]


def report_predictions(wildcards):
    """All prediction files of all studies that run."""
    names = [(study, run) for study in STUDIES for run in runs(study)]
    return [
        f"{run}/predictions/{n}.h5" for study, run in names for n in shards(study, "evaluation")
    ]


def onnx_files(wildcards):
    """ONNX files of all trained networks of all studies that run."""
    studies = [study for study in STUDIES if study not in KMEANS]
    return [f"{run}/model/model.onnx" for study in studies for run in runs(study)]


def bioimageio_files(wildcards):
    """BioImage.IO packages of all trained networks of all studies that run."""
    return [str(Path(file).with_name("bioimageio.zip")) for file in onnx_files(wildcards)]


def report_records(wildcards):
    """Records of all trainings of all studies that run."""
    return [f"{run}/model/run.json" for study in STUDIES for run in runs(study)]


def result_files(wildcards):
    """Results of all datasets and studies that run, less what only later steps read."""
    names = ["metrics.json", "images.csv", "notebook.html"]
    cards = ["model.json", "README.md"]
    searched = [study for study in STUDIES if study in SEARCHED]
    return [
        *expand("results/datasets/{dataset}/check/report.json", dataset=DATASETS),
        *expand(f"{STUDY}/{{file}}", study=STUDIES, file=names),
        *(f"{run}/model/{file}" for study in STUDIES for run in runs(study) for file in cards),
        *(f"{run}/model/model.keras" for s in STUDIES if s not in KMEANS for run in runs(s)),
        *report_figures(wildcards),
        *submissions(wildcards),
        *expand(f"{SEARCH}/{{file}}", study=searched, file=SEARCH_TABLES),
        *ensemble_scores(wildcards),
    ]


def command():
    """How to make this again."""
    own = [str(file) for file in workflow.overwrite_configfiles]
    return " ".join(["snakemake --cores all", *(["--configfile", *own] if own else [])])
