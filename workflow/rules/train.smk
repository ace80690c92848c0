# Needs: patches and a split. Makes: one model folder a study, fold and seed.


rule encoder_weights:
    output:
        "resources/weights/{file}",
    log:
        "results/logs/encoder_weights/{file}.log",
        record="resources/weights/{file}.run.json",
    wildcard_constraints:
        file=one_of(pretrained.FILES),
    localrule: True
    conda:
        "../envs/core.yaml"
    params:
        # A corrected address or digest replaces an older download.
        published=lambda wildcards: pretrained.facts(wildcards.file),
    script:
        "../scripts/encoder_weights.py"


rule train:
    input:
        patches=patches,
        split=rules.split.output.table,
        weights=encoder_weights,
        best=best_values,
    output:
        model=f"{RUN}/model/model.keras",
        info=f"{RUN}/model/model.json",
        history=f"{RUN}/model/history.csv",
        record=f"{RUN}/model/run.json",
    log:
        "results/logs/train/{study}_fold{fold}_seed{seed}.log",
    benchmark:
        "results/benchmarks/train/{study}_fold{fold}_seed{seed}.tsv"
    wildcard_constraints:
        study=one_of(NETWORKS),
    conda:
        TRAIN_ENV
    threads: 8
    resources:
        mem_mb=growing(8000),
        runtime=720,
        gpu=1,
    params:
        preprocessing=of_study("preprocessing"),
        network=of_study("network"),
        training=of_study("training"),
        goal=threshold_goal,
        licence=licence,
        handling=watching,
        code=network_code,
    script:
        "../scripts/train.py"


# The same folder from whole images instead of patches, without epochs and without a GPU.
rule fit_kmeans:
    input:
        images=of_dataset("images.h5"),
        split=rules.split.output.table,
    output:
        info=f"{RUN}/model/model.json",
        history=f"{RUN}/model/history.csv",
        record=f"{RUN}/model/run.json",
    log:
        "results/logs/train/{study}_fold{fold}_seed{seed}.log",
    wildcard_constraints:
        study=one_of(KMEANS),
    conda:
        "../envs/core.yaml"
    resources:
        mem_mb=growing(2000),
        runtime=growing(60),
    params:
        preprocessing=of_study("preprocessing"),
        kmeans=of_study("kmeans"),
        licence=licence,
        code=code("fit_kmeans.py"),
    script:
        "../scripts/fit_kmeans.py"
