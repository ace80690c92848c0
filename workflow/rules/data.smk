# From archives to images with labels, a manifest, a data report, splits and patches.


rule simulate:
    """Draw synthetic images with their masks."""
    output:
        paths.SIMULATED,
    log:
        "results/logs/simulate/{dataset}.log",
    conda:
        CORE_ENV
    params:
        source=targets.simulation,
        code=targets.simulator_code,
    script:
        "../scripts/simulate.py"


rule download:
    """Download an archive from Kaggle; one that was put there by hand is used as it is."""
    output:
        paths.RAW,
    log:
        "results/logs/download/{archive}.log",
    wildcard_constraints:
        archive=wildcard_regex(targets.archives.values()),
    localrule: True
    conda:
        CORE_ENV
    params:
        source=targets.kaggle_source,
        not_compared=not_compared(targets.download_checks),
    script:
        "../scripts/download.py"


rule require_manual_download:
    """Fail with the fix: the archive or folder of a dataset is not where the config says."""
    output:
        paths.MISSING,
    log:
        "results/logs/require_manual_download/{dataset}.log",
    localrule: True
    conda:
        CORE_ENV
    params:
        reason=lambda wildcards: targets.missing_data(wildcards.dataset),
    script:
        "../scripts/require_manual_download.py"


rule ingest:
    """Decode a dataset into one store of images and labels, with a manifest."""
    input:
        archive=targets.archive,
    output:
        images=paths.STORE,
        manifest=paths.MANIFEST,
        summary=paths.DATASET_SUMMARY,
    log:
        "results/logs/ingest/{dataset}.log",
    benchmark:
        "results/benchmarks/ingest/{dataset}.tsv"
    conda:
        CORE_ENV
    threads: 8
    params:
        dataset=targets.ingest_section,
        folder=targets.folder,
        contents=targets.archive_contents,
        not_compared=not_compared(targets.limits),
        code=targets.format_code,
    script:
        "../scripts/ingest.py"


rule group_images:
    """Find duplicates and groups of related images; splits keep them together."""
    input:
        images=paths.STORE,
        manifest=paths.MANIFEST,
    output:
        groups=paths.GROUPS,
        duplicates=paths.DUPLICATES,
    log:
        "results/logs/group_images/{dataset}.log",
    conda:
        CORE_ENV
    params:
        dataset=targets.group_section,
        code=code("group_images.py"),
    script:
        "../scripts/group_images.py"


rule check:
    """Report on a dataset's quality; no later result depends on it."""
    input:
        images=paths.STORE,
        manifest=paths.MANIFEST,
        groups=paths.GROUPS,
        duplicates=paths.DUPLICATES,
    output:
        report=paths.CHECK_REPORT,
    log:
        "results/logs/check/{dataset}.log",
    conda:
        CORE_ENV
    params:
        dataset=targets.group_section,
        code=code("check.py"),
    script:
        "../scripts/check.py"


rule split:
    """Divide a dataset's images into subsets, fold by fold."""
    input:
        groups=targets.dataset_path(paths.GROUPS),
        duplicates=targets.dataset_path(paths.DUPLICATES),
        manifest=targets.dataset_path(paths.MANIFEST),
        file=targets.split_file,
    output:
        table=paths.SPLIT,
        summary=paths.SPLIT_SUMMARY,
    log:
        "results/logs/split/{study}.log",
    localrule: True
    conda:
        CORE_ENV
    params:
        split=targets.study_config("split"),
        contents=targets.split_contents,
        reproduction=targets.is_reproduction,
        task=targets.task,
        patch=targets.split_patch,
        code=code("split.py"),
    script:
        "../scripts/split.py"


rule extract_patches:
    """Cut one shard of a dataset's images into patches."""
    input:
        images=targets.dataset_path(paths.STORE),
        manifest=targets.dataset_path(paths.MANIFEST),
    output:
        images=f"{paths.PATCHES}/images.npy",
        labels=f"{paths.PATCHES}/labels.npy",
        index=f"{paths.PATCHES}/index.csv",
    log:
        "results/logs/extract_patches/{study}_{shard}.log",
    conda:
        CORE_ENV
    params:
        preprocessing=targets.study_config("preprocessing"),
        task=targets.task,
        code=code("extract_patches.py"),
    script:
        "../scripts/extract_patches.py"


use rule extract_patches as extract_variant_patches with:
    output:
        images=f"{paths.VARIANT_PATCHES}/images.npy",
        labels=f"{paths.VARIANT_PATCHES}/labels.npy",
        index=f"{paths.VARIANT_PATCHES}/index.csv",
    log:
        "results/logs/extract_patches/{study}_{variant}_{shard}.log",
    params:
        preprocessing=targets.variant_section,
        task=targets.task,
        code=code("extract_patches.py"),
