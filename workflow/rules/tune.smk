# Needs: patches and a split. Makes: trials of a search rung by rung, and the values to train with.


# Patches of one preprocessing of several, where trials differ in it.
use rule prepare as prepare_variant with:
    output:
        images=f"{SEARCH}/patches/{{variant}}/{{shard}}/images.npy",
        labels=f"{SEARCH}/patches/{{variant}}/{{shard}}/labels.npy",
        index=f"{SEARCH}/patches/{{variant}}/{{shard}}/index.csv",
    log:
        "results/logs/prepare/{study}_{variant}_{shard}.log",
        record=f"{SEARCH}/patches/{{variant}}/{{shard}}/run.json",
    wildcard_constraints:
        study=one_of(SEARCHED),
    params:
        preprocessing=variant_section,
        task=task_of,
        code=stage_code("prepare"),


# A trial keeps its training in results/state/search and goes on there (docs/method.md#search).
rule trial:
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
        "results/logs/trial/{study}_fold{fold}_rung{rung}_{slot}.log",
    wildcard_constraints:
        study=one_of(SEARCHED),
        rung=r"\d+",
        slot=r"\d+",
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
        seed=of_study("search", "seed"),
        values=first_values,
        epochs=rung_epochs,
        code=trial_code,
    script:
        "../scripts/trial.py"


rule rank_trials:
    input:
        trials=rung_trials,
    output:
        f"{RUNG}/ranking.csv",
    log:
        "results/logs/rank_trials/{study}_fold{fold}_rung{rung}.log",
        record=f"{RUNG}/ranking.run.json",
    wildcard_constraints:
        study=one_of(SEARCHED),
        rung=r"\d+",
    localrule: True
    conda:
        "../envs/core.yaml"
    params:
        metric=of_study("search", "metric"),
        code=code("rank_trials.py"),
    script:
        "../scripts/rank_trials.py"


rule best_trial:
    input:
        ranking=last_ranking,
    output:
        f"{FOLD}/best.json",
    log:
        "results/logs/best_trial/{study}_fold{fold}.log",
        record=f"{FOLD}/best.run.json",
    wildcard_constraints:
        study=one_of(SEARCHED),
    localrule: True
    conda:
        "../envs/core.yaml"
    params:
        code=code("best_trial.py"),
    script:
        "../scripts/best_trial.py"


rule search_tables:
    input:
        trials=all_trials,
    output:
        trials=f"{SEARCH}/trials.csv",
        curves=f"{SEARCH}/curves.csv",
        summary=f"{SEARCH}/search.json",
    log:
        "results/logs/search_tables/{study}.log",
        record=f"{SEARCH}/run.json",
    wildcard_constraints:
        study=one_of(SEARCHED),
    localrule: True
    conda:
        "../envs/core.yaml"
    params:
        search=of_study("search"),
        folds=of_study("split", "folds"),
        slots=rung_sizes,
        epochs=epochs_of_rungs,
        code=code("search_tables.py"),
    script:
        "../scripts/search_tables.py"
