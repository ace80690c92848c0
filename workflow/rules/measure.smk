# From a folder of images and a model folder to tables, label images, overlays and a page.


rule export_test_images:
    """Write the test images of a study as TIFF files, to be measured as own images are."""
    input:
        images=targets.dataset_path(paths.STORE),
        split=paths.SPLIT,
    output:
        directory(paths.TEST_IMAGES),
    log:
        "results/logs/export_test_images/{study}.log",
    localrule: True
    conda:
        CORE_ENV
    params:
        pixel_size_um=targets.pixel_size,
        code=code("export_test_images.py"),
    script:
        "../scripts/export_test_images.py"


rule measure_tool_images:
    """Write the images of one shard as TIFF files for another tool."""
    input:
        measured.image_inputs,
    output:
        temp(directory(paths.MEASURED_TOOL_IMAGES)),
    log:
        "results/logs/measure/{name}_{shard}_tool_images.log",
    conda:
        CORE_ENV
    params:
        folder=measured.shard_folder,
        settings=measured.image_settings(),
        code=code("measure_tool_images.py"),
    script:
        "../scripts/measure_tool_images.py"


rule measure_tool:
    """Segment one shard of the images with another tool."""
    input:
        images=paths.MEASURED_TOOL_IMAGES,
        model=measured.tool_model,
    output:
        directory(paths.MEASURED_TOOL),
    log:
        "results/logs/measure/{name}_{shard}_tool.log",
        tool="results/logs/measure/{name}_{shard}_tool.tool.log",
    conda:
        TOOL_ENV
    threads: 8
    resources:
        mem_mb=scale_with_attempt(8000),
        runtime=240,
        gpu=1,
    params:
        section=measured.tool_section,
        licence=measured.tool_licence,
        not_compared=not_compared(lambda _: {"python": measured.tool_python()}),
        code=code("run_tool.py", templates=measured.tool_programs()),
    script:
        "../scripts/run_tool.py"


rule measure_images:
    """Measure one shard of the images."""
    input:
        measured.image_inputs,
        measured.model_inputs,
        measured.classifier_inputs,
        measured.made_directly,
    output:
        **measured.results(paths.MEASURED_SHARD, directory),
    log:
        "results/logs/measure/{name}_{shard}.log",
    conda:
        TRAIN_ENV
    threads: 8
    resources:
        mem_mb=scale_with_attempt(4000),
        runtime=240,
        gpu=measured.gpus,
    params:
        **measured.image_params(),
    script:
        "../scripts/measure_images.py"


rule measure_tables:
    """Merge the tables and folders of all shards."""
    input:
        **measured.shard_results(),
    output:
        **measured.merged_results(directory),
    log:
        "results/logs/measure/{name}_tables.log",
    conda:
        CORE_ENV
    params:
        **measured.table_params(),
    script:
        "../scripts/measure_tables.py"


rule measure_page:
    """Write the page of a measured folder."""
    input:
        measured.model_inputs,
        **measured.page_inputs(),
    output:
        paths.MEASURED_PAGE,
    log:
        "results/logs/measure/{name}_page.log",
    conda:
        TRAIN_ENV
    params:
        **measured.page_params(),
    script:
        "../scripts/measure_page.py"


rule measure_classes:
    """Classify whole images and write the page of their classes."""
    input:
        measured.image_inputs,
        measured.model_inputs,
        measured.made_directly,
    output:
        **measured.class_results(directory),
    log:
        "results/logs/measure/{name}_classes.log",
    conda:
        TRAIN_ENV
    threads: 8
    resources:
        mem_mb=scale_with_attempt(4000),
        runtime=scale_with_attempt(120),
        gpu=1,
    params:
        **measured.class_params(),
    script:
        "../scripts/measure_classes.py"


rule measure:
    """Measure the folder `images` with the model `model`."""
    input:
        measured.page,
    localrule: True
