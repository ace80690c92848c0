# Needs: the datasets of the config. Makes: pictures with labels, a manifest, a data report.


rule synthesize:
    output:
        "results/raw/{dataset}.zip",
    log:
        "results/logs/synthesize/{dataset}.log",
    conda:
        "../../environment.yml"
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        source=drawn,
        code=code("synthesize.py"),
    script:
        "../scripts/synthesize.py"


# An archive that was dropped in by hand is taken as it is; code changes download nothing again.
rule download:
    output:
        "resources/raw/{dataset}.zip",
    log:
        "results/logs/download/{dataset}.log",
    localrule: True
    conda:
        "../../environment.yml"
    params:
        source=named,
    script:
        "../scripts/download.py"


rule ingest:
    input:
        archive=archive,
    output:
        pictures="results/datasets/{dataset}/pictures.h5",
        manifest="results/datasets/{dataset}/manifest.csv",
        summary="results/datasets/{dataset}/dataset.json",
    log:
        "results/logs/ingest/{dataset}.log",
    benchmark:
        "results/benchmarks/ingest/{dataset}.tsv"
    conda:
        "../../environment.yml"
    threads: 8
    resources:
        mem_mb=2000,
        runtime=60,
    params:
        dataset=ingest_section,
        folder=folder,
        code=layout_code,
    script:
        "../scripts/ingest.py"


rule check:
    input:
        pictures=rules.ingest.output.pictures,
        manifest=rules.ingest.output.manifest,
    output:
        report="results/datasets/{dataset}/check/report.json",
        groups="results/datasets/{dataset}/check/groups.csv",
        duplicates="results/datasets/{dataset}/check/duplicates.csv",
    log:
        "results/logs/check/{dataset}.log",
    conda:
        "../../environment.yml"
    resources:
        mem_mb=2000,
        runtime=60,
    params:
        dataset=ingest_section,
        code=code("check.py"),
    script:
        "../scripts/check.py"


rule split:
    input:
        groups=of_dataset("check/groups.csv"),
        duplicates=of_dataset("check/duplicates.csv"),
        manifest=of_dataset("manifest.csv"),
        file=split_file,
    output:
        table=f"{STUDY}/split.csv",
        summary=f"{STUDY}/split.json",
    log:
        "results/logs/split/{study}.log",
    localrule: True
    conda:
        "../../environment.yml"
    params:
        split=lookup("studies/{study}/split", within=config),
        protocol=lookup("studies/{study}/protocol", within=config),
        code=code("split.py"),
    script:
        "../scripts/split.py"


rule prepare:
    input:
        pictures=of_dataset("pictures.h5"),
        manifest=of_dataset("manifest.csv"),
    output:
        images=f"{STUDY}/patches/{{shard}}/images.npy",
        targets=f"{STUDY}/patches/{{shard}}/targets.npy",
        index=f"{STUDY}/patches/{{shard}}/index.csv",
    log:
        "results/logs/prepare/{study}_{shard}.log",
    conda:
        "../../environment.yml"
    resources:
        mem_mb=2000,
        runtime=60,
    params:
        preprocessing=lookup("studies/{study}/preprocessing", within=config),
        code=code("prepare.py"),
    script:
        "../scripts/prepare.py"
