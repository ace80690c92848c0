# Needs: model folders. Makes: predictions, metrics with intervals and baselines, figures.


rule predict:
    input:
        weights=weights,
        info=f"{RUN}/model/model.json",
        split=rules.split.output.table,
        images=dataset_path("images.h5"),
    output:
        f"{RUN}/predictions/{{shard}}.h5",
    log:
        "results/logs/predict/{study}_fold{fold}_seed{seed}_{shard}.log",
        record=f"{RUN}/predictions/{{shard}}.run.json",
    conda:
        TRAIN_ENV
    threads: 8
    resources:
        mem_mb=scale_with_attempt(4000),
        runtime=scale_with_attempt(120),
        gpu=gpus,
    params:
        evaluation=prediction_section,
        code=code("predict.py"),
    script:
        "../scripts/predict.py"


rule evaluate:
    input:
        predictions=predictions,
        images=dataset_path("images.h5"),
        groups=dataset_path("check/groups.csv"),
        split=rules.split.output.table,
        histories=of_runs("model/history.csv"),
        infos=of_runs("model/model.json"),
        best=best_preprocessing,
    output:
        metrics=f"{STUDY}/metrics.json",
        table=f"{STUDY}/images.csv",
    log:
        "results/logs/evaluate/{study}.log",
        record=f"{STUDY}/run.json",
    conda:
        "../envs/core.yaml"
    resources:
        mem_mb=scale_with_attempt(4000),
        runtime=scale_with_attempt(60),
    params:
        preprocessing=study_config("preprocessing"),
        evaluation=scoring_section,
        reproduction=is_reproduction,
        task=task_of,
        names=class_names,
        code=code("evaluate.py"),
    script:
        "../scripts/evaluate.py"


for name, extension in ALL_FIGURES.items():

    rule:
        name:
            f"plot_{name}"
        input:
            metrics=rules.evaluate.output.metrics,
            table=rules.evaluate.output.table,
            predictions=predictions,
            images=dataset_path("images.h5"),
            histories=of_runs("model/history.csv"),
            weights=weights_of_runs,
            infos=of_runs("model/model.json"),
            attribution=attribution,
            search=search_tables,
            best=best_preprocessing,
        output:
            report(
                f"{STUDY}/figures/{name}.{extension}",
                caption=f"../report/{name}.rst",
                category="{study}",
                labels={"figure": name.replace("_", " ")},
            ),
        log:
            f"results/logs/plot/{{study}}_{name}.log",
            record=f"{STUDY}/figures/{name}.run.json",
        localrule: name not in HEAVY_FIGURES
        conda:
            "../envs/core.yaml"
        resources:
            mem_mb=scale_with_attempt(2000),
            runtime=scale_with_attempt(20),
        params:
            figure=name,
            title=study_config("title"),
            reproduction=is_reproduction,
            preprocessing=study_config("preprocessing"),
            evaluation=scoring_section,
            code=code("plot.py", f"reporting.figures.{name}"),
        script:
            "../scripts/plot.py"
