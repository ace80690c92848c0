# Needs: model folders. Makes: predictions, metrics with intervals and baselines, figures.


rule predict:
    input:
        weights=weights,
        info=f"{RUN}/model/model.json",
        split=rules.split.output.table,
        images=of_dataset("images.h5"),
    output:
        f"{RUN}/predictions/{{shard}}.h5",
    log:
        "results/logs/predict/{study}_fold{fold}_seed{seed}_{shard}.log",
        record=f"{RUN}/predictions/{{shard}}.run.json",
    conda:
        TRAIN_ENV
    threads: 8
    resources:
        mem_mb=growing(4000),
        runtime=growing(120),
        gpu=gpus,
    params:
        evaluation=prediction_section,
        task=task_of,
        code=stage_code("predict"),
    script:
        "../scripts/predict.py"


rule evaluate:
    input:
        predictions=predictions,
        images=of_dataset("images.h5"),
        groups=of_dataset("check/groups.csv"),
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
        mem_mb=growing(4000),
        runtime=growing(60),
    params:
        preprocessing=of_study("preprocessing"),
        evaluation=scoring_section,
        protocol=of_study("protocol"),
        task=task_of,
        names=class_names,
        code=stage_code("evaluate"),
    script:
        "../scripts/evaluate.py"


for name, extension in ALL_FIGURES.items():

    rule:
        name:
            f"figure_{name}"
        input:
            metrics=rules.evaluate.output.metrics,
            table=rules.evaluate.output.table,
            predictions=predictions,
            images=of_dataset("images.h5"),
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
            f"results/logs/figure/{{study}}_{name}.log",
            record=f"{STUDY}/figures/{name}.run.json",
        localrule: name not in HEAVY_FIGURES
        conda:
            "../envs/core.yaml"
        resources:
            mem_mb=growing(2000),
            runtime=growing(20),
        params:
            figure=name,
            title=of_study("title"),
            protocol=of_study("protocol"),
            preprocessing=of_study("preprocessing"),
            evaluation=scoring_section,
            code=code("figure.py", f"reporting.figures.{name}"),
        script:
            "../scripts/figure.py"
