# From patches and a split to the trials of a search, rung by rung, and the values to train with.


rule tune_trial:
    """Train a trial up to its rung; its state in results/state/search lets it go on there."""
    input:
        patches=targets.trial_patches,
        split=paths.SPLIT,
        weights=targets.trial_weights,
        ranking=targets.former_ranking,
    output:
        trial=paths.TRIAL_RESULT,
        history=f"{paths.TRIAL}/history.csv",
    log:
        "results/logs/tune_trial/{study}_fold{fold}_rung{rung}_{slot}.log",
    conda:
        TRAIN_ENV
    threads: 8
    resources:
        mem_mb=scale_with_attempt(8000),
        runtime=720,
        gpu=1,
    params:
        sections=targets.training_sections,
        seed=targets.study_config("search", "seed"),
        values=targets.first_values,
        epochs=targets.rung_epochs,
        code=targets.trial_code,
    script:
        "../scripts/tune_trial.py"


rule tune_rank:
    """Rank the trials of a rung."""
    input:
        trials=targets.rung_trials,
    output:
        paths.RANKING,
    log:
        "results/logs/tune_rank/{study}_fold{fold}_rung{rung}.log",
    localrule: True
    conda:
        CORE_ENV
    params:
        metric=targets.study_config("search", "metric"),
        code=code("tune_rank.py"),
    script:
        "../scripts/tune_rank.py"


rule tune_best:
    """Write the values of the best trial of a fold."""
    input:
        ranking=targets.last_ranking,
    output:
        paths.BEST,
    log:
        "results/logs/tune_best/{study}_fold{fold}.log",
    localrule: True
    conda:
        CORE_ENV
    params:
        code=code("tune_best.py"),
    script:
        "../scripts/tune_best.py"


rule tune_tables:
    """Collect the trials of a study in tables."""
    input:
        trials=targets.all_trials,
    output:
        trials=paths.TRIALS,
        curves=paths.TRIAL_CURVES,
        summary=paths.SEARCH_SUMMARY,
    log:
        "results/logs/tune_tables/{study}.log",
    localrule: True
    conda:
        CORE_ENV
    params:
        search=targets.study_config("search"),
        folds=targets.study_config("split", "folds"),
        slots=targets.rung_sizes,
        epochs=targets.epochs_of_rungs,
        code=code("tune_tables.py"),
    script:
        "../scripts/tune_tables.py"
