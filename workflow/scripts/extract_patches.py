from pathlib import Path

from coverslip.config.sections import Preprocessing
from coverslip.evaluation.tasks import stage
from coverslip.runtime.run_script import run_script

with run_script(snakemake, reuse=True) as facts:
    if "reused" not in facts:
        preprocessing = Preprocessing(**snakemake.params.preprocessing)
        stage(snakemake.params.task, "prepare")(
            images=Path(snakemake.input.images),
            manifest=Path(snakemake.input.manifest),
            p=preprocessing,
            shard=int(snakemake.wildcards.shard),
            shards=preprocessing.shards,
            output=Path(snakemake.output.index).parent,
        )
