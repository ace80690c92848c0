# Needs: a folder of images and a model folder. Makes: tables, label images, overlays, a page.


rule measure_images:
    input:
        model_inputs,
        classifier_inputs,
    output:
        images=f"{MEASURE_SHARD}/images.csv",
        objects=f"{MEASURE_SHARD}/objects.csv",
        labels=directory(f"{MEASURE_SHARD}/labels"),
        overlays=directory(f"{MEASURE_SHARD}/overlays"),
        exports=directory(f"{MEASURE_SHARD}/exports"),
    log:
        "results/logs/measure/{name}_{shard}.log",
        record=f"{MEASURE_SHARD}/run.json",
    conda:
        TRAIN_ENV
    threads: 8
    resources:
        mem_mb=scale_with_attempt(4000),
        runtime=240,
        gpu=measuring_gpus,
    params:
        folder=shard_folder,
        model=model_folder,
        classifier=classifier_folder,
        settings=omit_keys(config["measure"], *input_folder.ELSEWHERE),
        code=code("measure_images.py"),
    script:
        "../scripts/measure_images.py"


rule measure_tables:
    input:
        images=of_shards("images.csv"),
        objects=of_shards("objects.csv"),
        labels=of_shards("labels"),
        overlays=of_shards("overlays"),
        exports=of_shards("exports"),
    output:
        **parquet_of_objects(),
        images=f"{MEASURED}/images.csv",
        objects=f"{MEASURED}/objects.csv",
        labels=directory(f"{MEASURED}/labels"),
        overlays=directory(f"{MEASURED}/overlays"),
        exports=directory(f"{MEASURED}/exports"),
        plot=f"{MEASURED}/confluency.svg",
    log:
        "results/logs/measure/{name}_tables.log",
        record=f"{MEASURED}/run.json",
    conda:
        "../envs/core.yaml"
    resources:
        mem_mb=scale_with_attempt(2000),
        runtime=scale_with_attempt(60),
    params:
        time={key: config["measure"][key] for key in ("time_pattern", "time_unit")},
        code=code("measure_tables.py"),
    script:
        "../scripts/measure_tables.py"


rule measure_page:
    input:
        model_inputs,
        images=rules.measure_tables.output.images,
        objects=rules.measure_tables.output.objects,
        overlays=rules.measure_tables.output.overlays,
        plot=rules.measure_tables.output.plot,
    output:
        f"{MEASURED}/measure.html",
    log:
        "results/logs/measure/{name}_page.log",
        record=f"{MEASURED}/measure.run.json",
    conda:
        TRAIN_ENV
    resources:
        mem_mb=scale_with_attempt(2000),
        runtime=scale_with_attempt(20),
    params:
        folder=image_folder,
        left_out=left_out,
        model=model_folder,
        settings=config["measure"],
        card=model_card,
        code=code(
            "measure_page.py",
            files=[f"report/{f}" for f in ("measure.html.j2", "page.css", "page.js")],
        ),
    script:
        "../scripts/measure_page.py"


rule measure_classes:
    input:
        model_inputs,
    output:
        table=f"{MEASURED}/predicted_classes.csv",
        sheets=directory(f"{MEASURED}/classes"),
        page=f"{MEASURED}/classes.html",
    log:
        "results/logs/measure/{name}_classes.log",
        record=f"{MEASURED}/run.json",
    conda:
        TRAIN_ENV
    threads: 8
    resources:
        mem_mb=scale_with_attempt(4000),
        runtime=scale_with_attempt(120),
        gpu=1,
    params:
        folder=whole_folder,
        left_out=left_out,
        model=model_folder,
        settings=omit_keys(config["measure"], *input_folder.ELSEWHERE),
        card=model_card,
        code=code(
            "measure_classes.py",
            files=[f"report/{f}" for f in ("classes.html.j2", "page.css", "page.js")],
        ),
    script:
        "../scripts/measure_classes.py"


rule measure:
    input:
        measured,
    localrule: True
