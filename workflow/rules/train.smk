# Needs: patches and a split. Makes: one model folder a study, fold and seed.


rule download_pretrained_weights:
    output:
        "resources/weights/{file}",
    log:
        "results/logs/download_pretrained_weights/{file}.log",
        record="resources/weights/{file}.run.json",
    wildcard_constraints:
        file=wildcard_regex(pretrained.FILES),
    localrule: True
    conda:
        "../envs/core.yaml"
    params:
        # A corrected address or digest replaces an older download.
        published=lambda wildcards: pretrained.facts(wildcards.file),
    script:
        "../scripts/download_pretrained_weights.py"


rule train:
    input:
        patches=patches,
        split=rules.split.output.table,
        weights=pretrained_weights,
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
        study=wildcard_regex(NETWORKS),
    conda:
        TRAIN_ENV
    threads: 8
    resources:
        mem_mb=scale_with_attempt(8000),
        runtime=720,
        gpu=1,
    params:
        preprocessing=study_config("preprocessing"),
        network=study_config("network"),
        training=study_config("training"),
        goal=threshold_goal,
        licence=licence,
        handling=watching,
        code=network_code,
    script:
        "../scripts/train.py"


# The same folder from whole images instead of patches, without epochs and without a GPU.
rule train_kmeans:
    input:
        images=dataset_path("images.h5"),
        split=rules.split.output.table,
    output:
        info=f"{RUN}/model/model.json",
        history=f"{RUN}/model/history.csv",
        record=f"{RUN}/model/run.json",
    log:
        "results/logs/train/{study}_fold{fold}_seed{seed}.log",
    wildcard_constraints:
        study=wildcard_regex(KMEANS),
    conda:
        "../envs/core.yaml"
    resources:
        mem_mb=scale_with_attempt(2000),
        runtime=scale_with_attempt(60),
    params:
        preprocessing=study_config("preprocessing"),
        kmeans=study_config("kmeans"),
        licence=licence,
        code=code("train_kmeans.py"),
    script:
        "../scripts/train_kmeans.py"
