# Needs: trained classifications. Makes: maps of what answers rest on, tables of predicted labels.


rule attribute:
    input:
        weights=of_first_run("model/model.keras"),
        info=of_first_run("model/model.json"),
        predictions=first_predictions,
        split=rules.split.output.table,
        groups=of_dataset("check/groups.csv"),
        images=of_dataset("images.h5"),
    output:
        maps=f"{ATTRIBUTION}/maps.h5",
        scores=f"{ATTRIBUTION}/scores.json",
    log:
        "results/logs/attribute/{study}.log",
        record=f"{ATTRIBUTION}/run.json",
    wildcard_constraints:
        study=one_of(CLASSIFICATIONS),
    conda:
        TRAIN_ENV
    threads: 8
    resources:
        mem_mb=growing(4000),
        runtime=growing(60),
        gpu=1,
    params:
        attribution=of_study("attribution"),
        bootstrap=of_study("evaluation", "bootstrap"),
        fold=0,
        code=code("attribute.py"),
    script:
        "../scripts/attribute.py"


# In the form of a competition: of the images without a label or, where all have one, of the test.
rule submission:
    input:
        predictions=predictions,
        manifest=of_dataset("manifest.csv"),
    output:
        f"{STUDY}/labels.csv",
    log:
        "results/logs/submission/{study}.log",
        record=f"{STUDY}/labels.run.json",
    wildcard_constraints:
        study=one_of(CLASSIFICATIONS),
    localrule: True
    conda:
        "../envs/core.yaml"
    params:
        columns=label_columns,
        code=code("submission.py"),
    script:
        "../scripts/submission.py"
