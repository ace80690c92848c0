# From images to label images by other people's tools, each in its own environment.


rule download_tool_weights:
    """Download a published model of a tool; a corrected address or digest replaces an older file."""
    output:
        paths.TOOL_WEIGHTS,
    log:
        "results/logs/download_tool_weights/{file}.log",
    wildcard_constraints:
        file=wildcard_regex(tools.FILES),
    localrule: True
    conda:
        CORE_ENV
    params:
        published=lambda wildcards: tools.download_facts(wildcards.file),
    script:
        "../scripts/download_tool_weights.py"


rule export_tool_images:
    """Write one shard of the test images of a fold as TIFF files."""
    input:
        images=targets.dataset_path(paths.STORE),
        split=paths.SPLIT,
    output:
        temp(directory(paths.TOOL_IMAGES)),
    log:
        "results/logs/export_tool_images/{study}_fold{fold}_seed{seed}_{shard}.log",
    conda:
        CORE_ENV
    params:
        subsets={"test": ""},
        labels=False,
        shards=targets.study_config("model", "shards"),
        code=code("export_tool_images.py"),
    script:
        "../scripts/export_tool_images.py"


use rule export_tool_images as export_tool_training with:
    output:
        temp(directory(paths.TOOL_TRAINING)),
    log:
        "results/logs/export_tool_images/{study}_fold{fold}_seed{seed}_training.log",
    params:
        subsets={"train": "train", "validation": "validation"},
        labels=True,
        shards=1,
        code=code("export_tool_images.py"),


rule train_tool:
    """Train StarDist by its own package on the training images of the split."""
    input:
        paths.TOOL_TRAINING,
    output:
        directory(paths.TOOL_MODEL),
    log:
        "results/logs/train_tool/{study}_fold{fold}_seed{seed}.log",
        tool="results/logs/train_tool/{study}_fold{fold}_seed{seed}.tool.log",
    conda:
        TOOL_ENVS["stardist"]
    threads: 8
    resources:
        mem_mb=scale_with_attempt(8000),
        runtime=720,
        gpu=1,
    params:
        training=targets.study_config("model", "train"),
        not_compared=not_compared(lambda _: {"python": targets.tool_python("stardist")}),
        code=code("train_tool.py", templates=TOOL_TEMPLATES["train"]),
    script:
        "../scripts/train_tool.py"


for tool, environment in TOOL_ENVS.items():

    rule:
        """Segment one shard of the test images with a tool; measure its time and memory."""
        name:
            f"run_{tool}"
        input:
            images=paths.TOOL_IMAGES,
            model=targets.tool_model,
        output:
            directory(paths.TOOL_LABELS),
        log:
            "results/logs/run_tool/{study}_fold{fold}_seed{seed}_{shard}.log",
            tool="results/logs/run_tool/{study}_fold{fold}_seed{seed}_{shard}.tool.log",
        wildcard_constraints:
            study=wildcard_regex(targets.studies_of_tool(tool)),
        conda:
            environment
        threads: 8
        resources:
            mem_mb=scale_with_attempt(8000),
            runtime=scale_with_attempt(240),
            gpu=int(tool != "command"),
        params:
            section=targets.tool_section,
            licence=targets.licence,
            not_compared=not_compared(
                lambda _, python=targets.tool_python(tool): {"python": python}
            ),
            code=code("run_tool.py", templates=TOOL_TEMPLATES[tool]),
        script:
            "../scripts/run_tool.py"
