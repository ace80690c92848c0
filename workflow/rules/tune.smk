# Needs: patches and a split. Makes: trials of a search rung by rung, and the values to train with.


# Patches of one preprocessing of several, where trials differ in it.
use rule extract_patches as extract_variant_patches with:
    output:
        images=f"{SEARCH}/patches/{{variant}}/{{shard}}/images.npy",
        labels=f"{SEARCH}/patches/{{variant}}/{{shard}}/labels.npy",
        index=f"{SEARCH}/patches/{{variant}}/{{shard}}/index.csv",
    log:
        "results/logs/extract_patches/{study}_{variant}_{shard}.log",
        record=f"{SEARCH}/patches/{{variant}}/{{shard}}/run.json",
    wildcard_constraints:
        study=wildcard_regex(SEARCHED),
    params:
        preprocessing=variant_section,
        task=task_of,
        code=code("extract_patches.py"),


# A trial keeps its training in results/state/search and goes on there (docs/method.md#search).
rule tune_trial:
    input:
        patches=trial_patches,
        split=rules.split.output.table,
        weights=trial_weights,
        ranking=former_ranking,
    output:
        trial=f"{TRIAL}/trial.json",
        history=f"{TRIAL}/history.csv",
        record=f"{TRIAL}/run.json",
    log:
        "results/logs/tune_trial/{study}_fold{fold}_rung{rung}_{slot}.log",
    wildcard_constraints:
        study=wildcard_regex(SEARCHED),
        rung=r"\d+",
        slot=r"\d+",
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
        seed=study_config("search", "seed"),
        values=first_values,
        epochs=rung_epochs,
        code=trial_code,
    script:
        "../scripts/tune_trial.py"


rule tune_rank:
    input:
        trials=rung_trials,
    output:
        f"{RUNG}/ranking.csv",
    log:
        "results/logs/tune_rank/{study}_fold{fold}_rung{rung}.log",
        record=f"{RUNG}/ranking.run.json",
    wildcard_constraints:
        study=wildcard_regex(SEARCHED),
        rung=r"\d+",
    localrule: True
    conda:
        "../envs/core.yaml"
    params:
        metric=study_config("search", "metric"),
        code=code("tune_rank.py"),
    script:
        "../scripts/tune_rank.py"


rule tune_best:
    input:
        ranking=last_ranking,
    output:
        f"{FOLD}/best.json",
    log:
        "results/logs/tune_best/{study}_fold{fold}.log",
        record=f"{FOLD}/best.run.json",
    wildcard_constraints:
        study=wildcard_regex(SEARCHED),
    localrule: True
    conda:
        "../envs/core.yaml"
    params:
        code=code("tune_best.py"),
    script:
        "../scripts/tune_best.py"


rule tune_tables:
    input:
        trials=all_trials,
    output:
        trials=f"{SEARCH}/trials.csv",
        curves=f"{SEARCH}/curves.csv",
        summary=f"{SEARCH}/search.json",
    log:
        "results/logs/tune_tables/{study}.log",
        record=f"{SEARCH}/run.json",
    wildcard_constraints:
        study=wildcard_regex(SEARCHED),
    localrule: True
    conda:
        "../envs/core.yaml"
    params:
        search=study_config("search"),
        folds=study_config("split", "folds"),
        slots=rung_sizes,
        epochs=epochs_of_rungs,
        code=code("tune_tables.py"),
    script:
        "../scripts/tune_tables.py"
