# Needs: patches and a split. Makes: one model folder a study, fold and seed.


rule encoder_weights:
    output:
        "resources/weights/mobilenetv2_unet_imagenet.h5",
    log:
        "results/logs/encoder_weights.log",
    localrule: True
    conda:
        "../../environment.yml"
    script:
        "../scripts/encoder_weights.py"


rule train:
    input:
        patches=patches,
        split=rules.split.output.table,
        weights=encoder_weights,
    output:
        model=f"{RUN}/model/model.keras",
        info=f"{RUN}/model/model.json",
        history=f"{RUN}/model/history.csv",
        record=f"{RUN}/model/run.json",
    log:
        "results/logs/train/{study}_fold{fold}_seed{seed}.log",
    benchmark:
        "results/benchmarks/train/{study}_fold{fold}_seed{seed}.tsv"
    conda:
        "../../environment.yml"
    threads: 8
    resources:
        mem_mb=8000,
        runtime=720,
        gpu=1,
    params:
        preprocessing=lookup("studies/{study}/preprocessing", within=config),
        network=lookup("studies/{study}/network", within=config),
        training=lookup("studies/{study}/training", within=config),
        protocol=lookup("studies/{study}/protocol", within=config),
        licence=licence,
        code=network_code,
    script:
        "../scripts/train.py"
