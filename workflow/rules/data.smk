# Needs: the datasets of the config. Makes: images with labels, a manifest, a data report.


rule simulate:
    output:
        "results/raw/{dataset}.zip",
    log:
        "results/logs/simulate/{dataset}.log",
        record="results/raw/{dataset}.run.json",
    conda:
        "../envs/core.yaml"
    resources:
        mem_mb=scale_with_attempt(1000),
        runtime=scale_with_attempt(10),
    params:
        source=drawn,
        code=simulator_code,
    script:
        "../scripts/simulate.py"


# An archive that was dropped in by hand is taken as it is; code changes download nothing again.
rule download:
    output:
        "resources/raw/{archive}.zip",
    log:
        "results/logs/download/{archive}.log",
        record="resources/raw/{archive}.run.json",
    wildcard_constraints:
        archive=wildcard_regex(ARCHIVES.values()),
    localrule: True
    conda:
        "../envs/core.yaml"
    params:
        source=named,
        handling=patience,
    script:
        "../scripts/download.py"


# Stands for an archive or folder that nobody has put there yet: it fails, and says the fix.
rule require_manual_download:
    output:
        "resources/raw/{dataset}.missing",
    log:
        "results/logs/require_manual_download/{dataset}.log",
        record="results/logs/require_manual_download/{dataset}.run.json",
    wildcard_constraints:
        dataset=wildcard_regex(missing()),
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
        "../scripts/require_manual_download.py"


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
        mem_mb=scale_with_attempt(2000),
        runtime=scale_with_attempt(60),
    params:
        dataset=ingest_section,
        folder=folder,
        contents=contents,
        handling=limits,
        code=format_code,
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
        mem_mb=scale_with_attempt(2000),
        runtime=scale_with_attempt(60),
    params:
        dataset=ingest_section,
        code=code("check.py"),
    script:
        "../scripts/check.py"


rule split:
    input:
        groups=dataset_path("check/groups.csv"),
        duplicates=dataset_path("check/duplicates.csv"),
        manifest=dataset_path("manifest.csv"),
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
        split=study_config("split"),
        reproduction=is_reproduction,
        task=task_of,
        patch=split_patch,
        code=code("split.py"),
    script:
        "../scripts/split.py"


rule extract_patches:
    input:
        images=dataset_path("images.h5"),
        manifest=dataset_path("manifest.csv"),
    output:
        images=f"{STUDY}/patches/{{shard}}/images.npy",
        labels=f"{STUDY}/patches/{{shard}}/labels.npy",
        index=f"{STUDY}/patches/{{shard}}/index.csv",
    log:
        "results/logs/extract_patches/{study}_{shard}.log",
        record=f"{STUDY}/patches/{{shard}}/run.json",
    conda:
        "../envs/core.yaml"
    resources:
        mem_mb=scale_with_attempt(2000),
        runtime=scale_with_attempt(60),
    params:
        preprocessing=study_config("preprocessing"),
        task=task_of,
        code=code("extract_patches.py"),
    script:
        "../scripts/extract_patches.py"
