from pathlib import Path

from coverslip.config import Preprocessing
from coverslip.job import job
from coverslip.patches import prepare

with job(snakemake):
    preprocessing = Preprocessing(**snakemake.params.preprocessing)
    prepare(
        pictures=Path(snakemake.input.pictures),
        manifest=Path(snakemake.input.manifest),
        p=preprocessing,
        shard=int(snakemake.wildcards.shard),
        shards=preprocessing.shards,
        output=Path(snakemake.output.index).parent,
    )
