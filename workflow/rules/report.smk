# From everything that the studies made to notebooks, model cards and the report.


rule notebook:
    """Execute the notebook of a study."""
    input:
        metrics=paths.METRICS,
        table=paths.IMAGE_TABLE,
        split=paths.SPLIT_SUMMARY,
        check=targets.dataset_path(paths.CHECK_REPORT),
        histories=targets.histories,
        figures=targets.figures,
    output:
        notebook=paths.NOTEBOOK,
        page=report(
            paths.NOTEBOOK_PAGE,
            caption="../report/notebook.rst",
            category="{study}",
            labels={"figure": "notebook"},
        ),
    log:
        "results/logs/notebook/{study}.log",
    conda:
        REPORT_ENV
    params:
        words=targets.notebook_words,
        template=targets.notebook_template,
        code=targets.notebook_code,
    script:
        "../scripts/notebook.py"


rule model_card:
    """Write the README of a model folder."""
    input:
        info=paths.MODEL_INFO,
        metrics=paths.METRICS,
        split=paths.SPLIT_SUMMARY,
    output:
        paths.MODEL_CARD,
    log:
        "results/logs/model_card/{study}_fold{fold}_seed{seed}.log",
    localrule: True
    conda:
        CORE_ENV
    params:
        dataset=targets.dataset_words,
        study=targets.study_words,
        code=code("model_card.py", templates=["report/model_card.md.j2"]),
    script:
        "../scripts/model_card.py"


rule export_onnx:
    """Export a trained network to ONNX."""
    input:
        model=paths.WEIGHTS,
        info=paths.MODEL_INFO,
    output:
        paths.ONNX,
    log:
        "results/logs/export_onnx/{study}_fold{fold}_seed{seed}.log",
    conda:
        TRAIN_ENV
    resources:
        mem_mb=scale_with_attempt(4000),
    params:
        code=code("export_onnx.py"),
    script:
        "../scripts/export_onnx.py"


rule export_bioimageio:
    """Export a trained network as a package of the BioImage Model Zoo."""
    input:
        network=paths.ONNX,
        info=paths.MODEL_INFO,
        card=paths.MODEL_CARD,
    output:
        paths.BIOIMAGEIO,
    log:
        "results/logs/export_bioimageio/{study}_fold{fold}_seed{seed}.log",
    conda:
        TRAIN_ENV
    params:
        code=code("export_bioimageio.py"),
    script:
        "../scripts/export_bioimageio.py"


rule report:
    """Write the report of all studies that run."""
    input:
        unpack(targets.report_inputs),
        measured=measured.page_of_test_images,
    output:
        page=paths.REPORT,
        metrics=paths.METRICS_TABLE,
    log:
        "results/logs/report.log",
    localrule: True
    conda:
        REPORT_ENV
    params:
        config=targets.report_config(),
        studies=targets.studies,
        left_out=targets.left_out,
        command=run_command(workflow),
        referee=targets.referee_link(),
        code=code("report.py", templates=REPORT_TEMPLATES),
    script:
        "../scripts/report.py"


rule referee:
    """Compare tools on the same test images: one page with a verdict, and its table."""
    input:
        unpack(targets.referee_inputs),
    output:
        page=paths.REFEREE,
        table=paths.REFEREE_TABLE,
    log:
        "results/logs/referee.log",
    conda:
        REPORT_ENV
    params:
        config=targets.report_config(),
        studies=targets.compared(),
        command=run_command(workflow),
        report=Path(paths.REPORT).name,
        code=code("referee.py", templates=REFEREE_TEMPLATES),
    script:
        "../scripts/referee.py"
