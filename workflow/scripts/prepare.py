from pathlib import Path

from coverslip.configuration.config import Preprocessing
from coverslip.job import job
from coverslip.tasks import stage

with job(snakemake, reuse=True) as facts:
    if "reused" not in facts:
        preprocessing = Preprocessing(**snakemake.params.preprocessing)
        stage(snakemake.params.task, "prepare")(
            pictures=Path(snakemake.input.pictures),
            manifest=Path(snakemake.input.manifest),
            p=preprocessing,
            shard=int(snakemake.wildcards.shard),
            shards=preprocessing.shards,
            output=Path(snakemake.output.index).parent,
        )
