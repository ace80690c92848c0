# Needs: the completed config. Makes: what the rules of ensembles call.

import re

TOGETHER = "results/studies/{study}/{together}"
OF_FOLD = "results/studies/{study}/fold{fold}_ensemble"
# An ensemble of all trainings of a study, and those of all seeds of one fold.
ENSEMBLE = r"ensemble|fold\d+_ensemble"


wildcard_constraints:
    together=ENSEMBLE,


def member_runs(study, together):
    """Folders of the trainings that an ensemble is made of."""
    folds = re.findall(r"\d+", together)
    found = runs(study)
    return [run for run in found if not folds or Path(run).name.startswith(f"fold{folds[0]}_")]


def of_members(file):
    """Input function: this file of every member of an ensemble."""
    return lambda wildcards: [
        f"{run}/{file}" for run in member_runs(wildcards.study, wildcards.together)
    ]


def of_fold_members(file):
    """Input function: this file of every seed of a fold."""
    return lambda wildcards: [
        f"{run}/{file}" for run in member_runs(wildcards.study, f"fold{wildcards.fold}_ensemble")
    ]


def ensembles(wildcards):
    """Model folders of the ensembles of all studies that run and have several trainings."""
    several = [study for study in STUDIES if study not in KMEANS and len(runs(study)) > 1]
    if not several:
        raise WorkflowError(
            "ensemble: no study that runs has several trainings of a network: give one several "
            "`seeds` or `split.folds`"
        )
    return expand(f"{TOGETHER}/model/model.json", study=several, together="ensemble")


def ensemble_predictions(wildcards):
    """All prediction files of a study's ensembles, one of each fold."""
    section = config["studies"][wildcards.study]
    return expand(
        f"{OF_FOLD}/predictions/{{shard}}.h5",
        study=wildcards.study,
        fold=range(section["split"]["folds"]),
        shard=shards(wildcards.study, "evaluation"),
    )


def ensemble_scores(wildcards):
    """Scores of the ensembles that are asked for, of all studies that run."""
    asked = [s for s in STUDIES if config["studies"][s]["evaluation"]["ensemble"]]
    return expand(f"{STUDY}/ensemble/scores.json", study=asked)
