# Needs: several trained networks of a study. Makes: model folders of their mean, what that gains.


rule ensemble_model:
    input:
        weights=of_members("model/model.keras"),
        infos=of_members("model/model.json"),
    output:
        f"{TOGETHER}/model/model.json",
    log:
        "results/logs/ensemble_model/{study}_{together}.log",
        record=f"{TOGETHER}/model/run.json",
    wildcard_constraints:
        study=wildcard_regex(NETWORKS),
    localrule: True
    conda:
        "../envs/core.yaml"
    params:
        code=code("ensemble_model.py"),
    script:
        "../scripts/ensemble_model.py"


use rule predict as predict_ensemble with:
    input:
        info=f"{OF_FOLD}/model/model.json",
        weights=of_fold_members("model/model.keras"),
        infos=of_fold_members("model/model.json"),
        split=rules.split.output.table,
        images=dataset_path("images.h5"),
    output:
        f"{OF_FOLD}/predictions/{{shard}}.h5",
    log:
        "results/logs/predict/{study}_fold{fold}_ensemble_{shard}.log",
        record=f"{OF_FOLD}/predictions/{{shard}}.run.json",
    resources:
        mem_mb=scale_with_attempt(6000),
        runtime=scale_with_attempt(240),
        gpu=1,


rule evaluate_ensemble:
    input:
        singles=predictions,
        ensembles=ensemble_predictions,
        infos=of_runs("model/model.json"),
        images=dataset_path("images.h5"),
        groups=dataset_path("check/groups.csv"),
        split=rules.split.output.table,
        best=best_preprocessing,
    output:
        f"{STUDY}/ensemble/scores.json",
    log:
        "results/logs/evaluate/{study}_ensemble.log",
        record=f"{STUDY}/ensemble/run.json",
    conda:
        "../envs/core.yaml"
    resources:
        mem_mb=scale_with_attempt(4000),
        runtime=scale_with_attempt(60),
    params:
        preprocessing=study_config("preprocessing"),
        evaluation=scoring_section,
        task=task_of,
        names=class_names,
        code=code("evaluate_ensemble.py"),
    script:
        "../scripts/evaluate_ensemble.py"
