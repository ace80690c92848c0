# From model folders to predictions, metrics, figures, attribution maps and ensembles.


rule predict:
    """Predict one shard of the validation and test images of a training."""
    input:
        weights=targets.weights,
        info=paths.MODEL_INFO,
        split=paths.SPLIT,
        images=targets.dataset_path(paths.STORE),
    output:
        paths.PREDICTIONS,
    log:
        "results/logs/predict/{study}_fold{fold}_seed{seed}_{shard}.log",
    wildcard_constraints:
        study=wildcard_regex(targets.networks + targets.kmeans),
    conda:
        TRAIN_ENV
    threads: 8
    resources:
        mem_mb=scale_with_attempt(4000),
        runtime=scale_with_attempt(120),
        gpu=targets.gpus,
    params:
        evaluation=targets.prediction_section,
        code=code("predict.py"),
    script:
        "../scripts/predict.py"


rule import_labels:
    """Read the label images of another program, or of a baseline, as predictions of the test."""
    input:
        labels=targets.label_source,
        images=targets.dataset_path(paths.STORE),
        manifest=targets.dataset_path(paths.MANIFEST),
        split=paths.SPLIT,
    output:
        predictions=f"{paths.RUN}/predictions/0.h5",
        info=paths.MODEL_INFO,
        record=paths.TRAINING_RECORD,
    log:
        "results/logs/import_labels/{study}_fold{fold}_seed{seed}.log",
    wildcard_constraints:
        study=wildcard_regex(targets.untrained),
    conda:
        CORE_ENV
    resources:
        mem_mb=scale_with_attempt(2000),
        runtime=scale_with_attempt(120),
    params:
        folder=targets.label_folder,
        model=targets.label_settings,
        licence=targets.licence,
        code=code("import_labels.py"),
    script:
        "../scripts/import_labels.py"


rule evaluate:
    """Score a study's predictions: metrics with intervals and baselines."""
    input:
        predictions=targets.predictions,
        images=targets.dataset_path(paths.STORE),
        groups=targets.dataset_path(paths.GROUPS),
        split=paths.SPLIT,
        histories=targets.histories,
        infos=targets.run_paths(paths.MODEL_INFO),
        best=targets.best_preprocessing,
    output:
        metrics=paths.METRICS,
        table=paths.IMAGE_TABLE,
    log:
        "results/logs/evaluate/{study}.log",
    conda:
        CORE_ENV
    resources:
        mem_mb=scale_with_attempt(4000),
    params:
        sections=targets.scoring_sections,
        reproduction=targets.is_reproduction,
        task=targets.task,
        names=targets.class_names,
        code=code("evaluate.py"),
    script:
        "../scripts/evaluate.py"


for name, figure in figures.ALL.items():

    rule:
        """Draw one figure of a study."""
        name:
            f"plot_{name}"
        input:
            unpack(targets.figure_inputs(name)),
        output:
            report(
                f"{paths.FIGURES}/{name}.{figure.extension}",
                caption=f"../report/{name}.rst",
                category="{study}",
                labels={"figure": name.replace("_", " ")},
            ),
        log:
            f"results/logs/plot/{{study}}_{name}.log",
        localrule: not figure.heavy
        conda:
            CORE_ENV
        params:
            figure=name,
            title=targets.study_config("title"),
            reproduction=targets.is_reproduction,
            sections=targets.figure_sections(name),
            pixel_size_um=targets.figure_pixel_size(name),
            code=code("plot.py", f"reporting.figures.{name}"),
        script:
            "../scripts/plot.py"


rule explain:
    """Make attribution maps of a classification and score them."""
    input:
        weights=targets.first_run_path(paths.WEIGHTS),
        info=targets.first_run_path(paths.MODEL_INFO),
        predictions=targets.first_predictions,
        split=paths.SPLIT,
        groups=targets.dataset_path(paths.GROUPS),
        images=targets.dataset_path(paths.STORE),
    output:
        maps=f"{paths.ATTRIBUTION}/maps.h5",
        scores=f"{paths.ATTRIBUTION}/scores.json",
    log:
        "results/logs/explain/{study}.log",
    conda:
        TRAIN_ENV
    threads: 8
    resources:
        mem_mb=scale_with_attempt(4000),
        gpu=1,
    params:
        attribution=targets.attribution_section,
        fold=0,
        code=code("explain.py"),
    script:
        "../scripts/explain.py"


rule write_submission:
    """Write predicted classes of the images without a label or, where all have one, of the test."""
    input:
        predictions=targets.predictions,
        manifest=targets.dataset_path(paths.MANIFEST),
    output:
        paths.PREDICTED_CLASSES,
    log:
        "results/logs/write_submission/{study}.log",
    localrule: True
    conda:
        CORE_ENV
    params:
        columns=targets.label_columns,
        code=code("write_submission.py"),
    script:
        "../scripts/write_submission.py"


rule ensemble_model:
    """Make a model folder that averages the networks of several trainings."""
    input:
        weights=targets.member_paths(paths.WEIGHTS),
        infos=targets.member_paths(paths.MODEL_INFO),
    output:
        paths.ENSEMBLE_INFO,
    log:
        "results/logs/ensemble_model/{study}_{together}.log",
    localrule: True
    conda:
        CORE_ENV
    params:
        code=code("ensemble_model.py"),
    script:
        "../scripts/ensemble_model.py"


use rule predict as predict_ensemble with:
    input:
        info=paths.FOLD_ENSEMBLE_INFO,
        weights=targets.fold_member_paths(paths.WEIGHTS),
        infos=targets.fold_member_paths(paths.MODEL_INFO),
        split=paths.SPLIT,
        images=targets.dataset_path(paths.STORE),
    output:
        paths.FOLD_ENSEMBLE_PREDICTIONS,
    log:
        "results/logs/predict/{study}_fold{fold}_ensemble_{shard}.log",
    resources:
        mem_mb=scale_with_attempt(6000),
        runtime=scale_with_attempt(240),
        gpu=1,


rule evaluate_ensemble:
    """Compare the mean of a fold's seeds with the single trainings."""
    input:
        singles=targets.predictions,
        ensembles=targets.ensemble_predictions,
        infos=targets.run_paths(paths.MODEL_INFO),
        images=targets.dataset_path(paths.STORE),
        groups=targets.dataset_path(paths.GROUPS),
        split=paths.SPLIT,
        best=targets.best_preprocessing,
    output:
        paths.ENSEMBLE_SCORES,
    log:
        "results/logs/evaluate/{study}_ensemble.log",
    conda:
        CORE_ENV
    resources:
        mem_mb=scale_with_attempt(4000),
    params:
        sections=targets.scoring_sections,
        task=targets.task,
        names=targets.class_names,
        code=code("evaluate_ensemble.py"),
    script:
        "../scripts/evaluate_ensemble.py"
