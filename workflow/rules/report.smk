# Needs: everything that the studies made. Makes: a notebook a study, and the report.


rule notebook:
    input:
        metrics=rules.evaluate.output.metrics,
        table=rules.evaluate.output.table,
        split=rules.split.output.summary,
        check=dataset_path("check/report.json"),
        histories=of_runs("model/history.csv"),
        figures=figures,
    output:
        notebook=f"{STUDY}/notebook.ipynb",
        page=report(
            f"{STUDY}/notebook.html",
            caption="../report/notebook.rst",
            category="{study}",
            labels={"figure": "notebook"},
        ),
    log:
        "results/logs/notebook/{study}.log",
        record=f"{STUDY}/notebook.run.json",
    conda:
        "../envs/report.yaml"
    resources:
        mem_mb=scale_with_attempt(2000),
        runtime=scale_with_attempt(20),
    params:
        title=study_config("title"),
        question=study_config("question"),
        reproduction=is_reproduction,
        restore_best=study_config("training", "restore_best"),
        monitor=study_config("training", "monitor"),
        template=notebook_template,
        code=notebook_code,
    script:
        "../scripts/notebook.py"


rule model_card:
    input:
        info=f"{RUN}/model/model.json",
        metrics=rules.evaluate.output.metrics,
        split=rules.split.output.summary,
    output:
        f"{RUN}/model/README.md",
    log:
        "results/logs/model_card/{study}_fold{fold}_seed{seed}.log",
        record=f"{RUN}/model/README.run.json",
    localrule: True
    conda:
        "../envs/core.yaml"
    params:
        dataset=dataset_words,
        study=study_words,
        code=code("model_card.py", files=["report/model_card.md.j2"]),
    script:
        "../scripts/model_card.py"


rule export_onnx:
    input:
        model=f"{RUN}/model/model.keras",
        info=f"{RUN}/model/model.json",
    output:
        f"{RUN}/model/model.onnx",
    log:
        "results/logs/export_onnx/{study}_fold{fold}_seed{seed}.log",
        record=f"{RUN}/model/onnx.run.json",
    conda:
        TRAIN_ENV
    resources:
        mem_mb=scale_with_attempt(4000),
        runtime=scale_with_attempt(30),
    params:
        code=code("export_onnx.py"),
    script:
        "../scripts/export_onnx.py"


rule export_bioimageio:
    input:
        network=rules.export_onnx.output[0],
        info=f"{RUN}/model/model.json",
        card=f"{RUN}/model/README.md",
    output:
        f"{RUN}/model/bioimageio.zip",
    log:
        "results/logs/export_bioimageio/{study}_fold{fold}_seed{seed}.log",
        record=f"{RUN}/model/bioimageio.run.json",
    conda:
        TRAIN_ENV
    resources:
        mem_mb=scale_with_attempt(2000),
        runtime=scale_with_attempt(30),
    params:
        code=code("export_bioimageio.py"),
    script:
        "../scripts/export_bioimageio.py"


rule report:
    input:
        cards=report_cards,
        metrics=expand(rules.evaluate.output.metrics, study=STUDIES),
        tables=expand(rules.evaluate.output.table, study=STUDIES),
        images=expand("results/datasets/{dataset}/images.h5", dataset=DATASETS),
        predictions=report_predictions,
        notebooks=expand(rules.notebook.output.page, study=STUDIES),
        figures=report_figures,
        splits=expand(rules.split.output.summary, study=STUDIES),
        checks=expand("results/datasets/{dataset}/check/report.json", dataset=DATASETS),
        records=report_records,
        labels=submissions,
        searches=report_searches,
        ensembles=ensemble_scores,
    output:
        page="results/report.html",
        metrics="results/metrics.csv",
    log:
        "results/logs/report.log",
        record="results/report.run.json",
    localrule: True
    conda:
        "../envs/report.yaml"
    params:
        config=omit_keys(config, "images", "model", "measure", "tensorflow"),
        studies=STUDIES,
        command=command(),
        code=code("report.py", files=[f"report/{name}" for name in PAGE]),
    script:
        "../scripts/report.py"
