# Needs: the datasets of the config. Makes: images with labels, a manifest, a data report.


rule synthesize:
    output:
        "results/raw/{dataset}.zip",
    log:
        "results/logs/synthesize/{dataset}.log",
        record="results/raw/{dataset}.run.json",
    conda:
        "../envs/core.yaml"
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    params:
        source=drawn,
        code=recipe_code,
    script:
        "../scripts/synthesize.py"


# An archive that was dropped in by hand is taken as it is; code changes download nothing again.
rule download:
    output:
        "resources/raw/{archive}.zip",
    log:
        "results/logs/download/{archive}.log",
        record="resources/raw/{archive}.run.json",
    wildcard_constraints:
        archive=one_of(ARCHIVES.values()),
    localrule: True
    conda:
        "../envs/core.yaml"
    params:
        source=named,
        handling=patience,
    script:
        "../scripts/download.py"


# Stands for an archive or folder that nobody has put there yet: it fails, and says the fix.
rule by_hand:
    output:
        "resources/raw/{dataset}.awaited",
    log:
        "results/logs/by_hand/{dataset}.log",
        record="results/logs/by_hand/{dataset}.run.json",
    wildcard_constraints:
        dataset=one_of(missing()),
    priority: 100
    localrule: True
    conda:
        "../envs/core.yaml"
    params:
        path=lookup("datasets/{dataset}/source/path", within=config),
        others=runnable,
    message:
        "{wildcards.dataset}: to be put at {params.path} by hand"
    script:
        "../scripts/by_hand.py"


rule ingest:
    input:
        archive=archive,
    output:
        images="results/datasets/{dataset}/images.h5",
        manifest="results/datasets/{dataset}/manifest.csv",
        summary="results/datasets/{dataset}/dataset.json",
    log:
        "results/logs/ingest/{dataset}.log",
        record="results/datasets/{dataset}/run.json",
    benchmark:
        "results/benchmarks/ingest/{dataset}.tsv"
    conda:
        "../envs/core.yaml"
    threads: 8
    resources:
        mem_mb=growing(2000),
        runtime=growing(60),
    params:
        dataset=ingest_section,
        folder=folder,
        contents=contents,
        handling=limits,
        code=layout_code,
    script:
        "../scripts/ingest.py"


rule check:
    input:
        images=rules.ingest.output.images,
        manifest=rules.ingest.output.manifest,
    output:
        report="results/datasets/{dataset}/check/report.json",
        groups="results/datasets/{dataset}/check/groups.csv",
        duplicates="results/datasets/{dataset}/check/duplicates.csv",
    log:
        "results/logs/check/{dataset}.log",
        record="results/datasets/{dataset}/check/run.json",
    conda:
        "../envs/core.yaml"
    resources:
        mem_mb=growing(2000),
        runtime=growing(60),
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
        record=f"{STUDY}/split.run.json",
    localrule: True
    conda:
        "../envs/core.yaml"
    params:
        split=of_study("split"),
        protocol=of_study("protocol"),
        task=task_of,
        patch=split_patch,
        code=code("split.py"),
    script:
        "../scripts/split.py"


rule prepare:
    input:
        images=of_dataset("images.h5"),
        manifest=of_dataset("manifest.csv"),
    output:
        images=f"{STUDY}/patches/{{shard}}/images.npy",
        labels=f"{STUDY}/patches/{{shard}}/labels.npy",
        index=f"{STUDY}/patches/{{shard}}/index.csv",
    log:
        "results/logs/prepare/{study}_{shard}.log",
        record=f"{STUDY}/patches/{{shard}}/run.json",
    conda:
        "../envs/core.yaml"
    resources:
        mem_mb=growing(2000),
        runtime=growing(60),
    params:
        preprocessing=of_study("preprocessing"),
        task=task_of,
        code=stage_code("prepare"),
    script:
        "../scripts/prepare.py"
