# Needs: the completed config. Makes: what rules call where tasks differ.

from coverslip.models import pretrained

CLASSIFICATIONS = sorted(
    name for name, study in config["studies"].items() if study["task"] == "classification"
)
ATTRIBUTION = f"{STUDY}/attribution"


def task_of(wildcards):
    """Task of a study."""
    return config["studies"][wildcards.study]["task"]


def split_patch(wildcards):
    """Params function: side of the patches that a split draws; none where it draws images."""
    study = config["studies"][wildcards.study]
    return study["preprocessing"]["patch"] if study["split"]["unit"] == "patch" else None


def threshold_goal(wildcards):
    """Params function: what the threshold is tuned for; a study as published keeps its own."""
    study = config["studies"][wildcards.study]
    if study["reproduces"] is not None:
        return None
    by_task = "confluency" if study["task"] == "confluency" else "iou"
    return study["training"]["threshold_metric"] or by_task


def class_names(wildcards):
    """Names of the classes of a study's dataset for reading; a segmentation has none."""
    study = config["studies"][wildcards.study]
    if study["task"] != "classification":
        return {}
    return {"class_names": config["datasets"][study["dataset"]]["class_names"]}


def notebook_template(wildcards):
    """The notebook that tells a study."""
    name = "classification" if task_of(wildcards) == "classification" else "segmentation"
    return f"{name}.ipynb"


def notebook_code(wildcards):
    """Code of the notebook, with its template."""
    files = [f"notebooks/{notebook_template(wildcards)}"]
    files += [f"report/{name}" for name in ("notebook.html.j2", "page.css", "page.js")]
    return code("notebook.py", "reporting.results", "reporting.tables", files=files)


def class_figures(study):
    """Figures of a classification by name, with their endings."""
    section = config["studies"][study]
    explained = section["attribution"]["images"] > 0
    return CLASS_FIGURES if explained else omit_keys(CLASS_FIGURES, "attribution_maps")


def attribution(wildcards):
    """Maps of a classification and their scores, where they are made."""
    section = config["studies"][wildcards.study]
    if section["task"] != "classification" or not section["attribution"]["images"]:
        return []
    return expand(f"{ATTRIBUTION}/{{file}}", study=wildcards.study, file=["maps.h5", "scores.json"])


def first_run(wildcards):
    """Folder of the training that is explained: the first fold, with the first seed."""
    seed = config["studies"][wildcards.study]["seeds"][0]
    return f"results/studies/{wildcards.study}/fold0_seed{seed}"


def of_first_run(path):
    """Input function: a file of the training that is explained."""
    return lambda wildcards: f"{first_run(wildcards)}/{path}"


def first_predictions(wildcards):
    """Prediction files of the training that is explained."""
    numbers = shards(wildcards.study, "evaluation")
    return [f"{first_run(wildcards)}/predictions/{shard}.h5" for shard in numbers]


def label_columns(wildcards):
    """Columns of the csv with the predicted labels."""
    return config["datasets"][config["studies"][wildcards.study]["dataset"]]["label_columns"]


def submissions(wildcards):
    """Tables of predicted labels of all classifications that run."""
    chosen = [study for study in STUDIES if study in CLASSIFICATIONS]
    return expand(f"{STUDY}/predicted_classes.csv", study=chosen)
