from pathlib import Path

from coverslip.config.sections import Preprocessing
from coverslip.runtime.run_script import run_script
from coverslip.training.patches import extract_class_patches, extract_patches

with run_script(snakemake, reuse=True) as facts:
    if "reused" not in facts:
        preprocessing = Preprocessing(**snakemake.params.preprocessing)
        classes = snakemake.params.task == "classification"
        extract = extract_class_patches if classes else extract_patches
        extract(
            images=Path(snakemake.input.images),
            manifest=Path(snakemake.input.manifest),
            p=preprocessing,
            shard=int(snakemake.wildcards.shard),
            shards=preprocessing.shards,
            output=Path(snakemake.output.index).parent,
        )
