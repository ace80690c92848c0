# Needs: everything that the studies made. Makes: a notebook a study, and the report.


rule notebook:
    input:
        metrics=rules.evaluate.output.metrics,
        table=rules.evaluate.output.table,
        split=rules.split.output.summary,
        check=of_dataset("check/report.json"),
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
    conda:
        "../../environment.yml"
    resources:
        mem_mb=2000,
        runtime=20,
    params:
        title=lookup("studies/{study}/title", within=config),
        question=lookup("studies/{study}/question", within=config),
        protocol=lookup("studies/{study}/protocol", within=config),
        code=code("notebook.py", files=["notebooks/segmentation.ipynb"]),
    script:
        "../scripts/notebook.py"


rule report:
    input:
        metrics=expand(rules.evaluate.output.metrics, study=STUDIES),
        notebooks=expand(rules.notebook.output.page, study=STUDIES),
        figures=report_figures,
        splits=expand(rules.split.output.summary, study=STUDIES),
        checks=expand("results/datasets/{dataset}/check/report.json", dataset=DATASETS),
        records=report_records,
    output:
        "results/report.html",
    log:
        "results/logs/report.log",
    localrule: True
    conda:
        "../../environment.yml"
    params:
        config=without(config, "pictures", "model", "measure"),
        studies=STUDIES,
        command=command(),
        code=code("report.py", files=[f"report/{name}" for name in PAGE]),
    script:
        "../scripts/report.py"
