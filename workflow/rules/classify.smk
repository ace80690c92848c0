# Needs: trained classifications. Makes: maps of what answers rest on, tables of predicted labels.


rule explain:
    input:
        weights=of_first_run("model/model.keras"),
        info=of_first_run("model/model.json"),
        predictions=first_predictions,
        split=rules.split.output.table,
        groups=dataset_path("check/groups.csv"),
        images=dataset_path("images.h5"),
    output:
        maps=f"{ATTRIBUTION}/maps.h5",
        scores=f"{ATTRIBUTION}/scores.json",
    log:
        "results/logs/explain/{study}.log",
        record=f"{ATTRIBUTION}/run.json",
    wildcard_constraints:
        study=wildcard_regex(CLASSIFICATIONS),
    conda:
        TRAIN_ENV
    threads: 8
    resources:
        mem_mb=scale_with_attempt(4000),
        runtime=scale_with_attempt(60),
        gpu=1,
    params:
        attribution=study_config("attribution"),
        fold=0,
        code=code("explain.py"),
    script:
        "../scripts/explain.py"


# In the form of a competition: of the images without a label or, where all have one, of the test.
rule write_submission:
    input:
        predictions=predictions,
        manifest=dataset_path("manifest.csv"),
    output:
        f"{STUDY}/predicted_classes.csv",
    log:
        "results/logs/write_submission/{study}.log",
        record=f"{STUDY}/predicted_classes.run.json",
    wildcard_constraints:
        study=wildcard_regex(CLASSIFICATIONS),
    localrule: True
    conda:
        "../envs/core.yaml"
    params:
        columns=label_columns,
        code=code("write_submission.py"),
    script:
        "../scripts/write_submission.py"
