# From patches and a split to one model folder for each study, fold and seed.


rule download_pretrained_weights:
    """Download published weights; a corrected address or digest replaces an older file."""
    output:
        paths.PRETRAINED,
    log:
        "results/logs/download_pretrained_weights/{file}.log",
    wildcard_constraints:
        file=wildcard_regex(published_weights.FILES),
    localrule: True
    conda:
        CORE_ENV
    params:
        published=lambda wildcards: published_weights.facts(wildcards.file),
    script:
        "../scripts/download_pretrained_weights.py"


rule train:
    """Train a network on patches."""
    input:
        patches=targets.patches,
        images=targets.dataset_path(paths.STORE),
        split=paths.SPLIT,
        weights=targets.pretrained_weights,
        best=targets.best_values,
    output:
        model=paths.WEIGHTS,
        info=paths.MODEL_INFO,
        history=paths.HISTORY,
        record=paths.TRAINING_RECORD,
    log:
        "results/logs/train/{study}_fold{fold}_seed{seed}.log",
    benchmark:
        "results/benchmarks/train/{study}_fold{fold}_seed{seed}.tsv"
    wildcard_constraints:
        study=wildcard_regex(targets.networks),
    conda:
        TRAIN_ENV
    threads: 8
    resources:
        mem_mb=scale_with_attempt(8000),
        runtime=720,
        gpu=1,
    params:
        sections=targets.training_sections,
        goal=targets.threshold_goal,
        licence=targets.licence,
        contents=targets.weights_contents,
        not_compared=not_compared(targets.tensorboard),
        code=targets.network_code,
    script:
        "../scripts/train.py"


rule train_kmeans:
    """Fit K-means on whole images: a model folder without epochs and without a GPU."""
    input:
        images=targets.dataset_path(paths.STORE),
        split=paths.SPLIT,
    output:
        info=paths.MODEL_INFO,
        history=paths.HISTORY,
        record=paths.TRAINING_RECORD,
    log:
        "results/logs/train/{study}_fold{fold}_seed{seed}.log",
    wildcard_constraints:
        study=wildcard_regex(targets.kmeans),
    conda:
        CORE_ENV
    params:
        preprocessing=targets.study_config("preprocessing"),
        kmeans=targets.study_config("kmeans"),
        licence=targets.licence,
        code=code("train_kmeans.py"),
    script:
        "../scripts/train_kmeans.py"
