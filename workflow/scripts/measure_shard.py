from pathlib import Path

from coverslip.configuration.config import Measure
from coverslip.job import LOG, job
from coverslip.measuring.measure import Outputs, measure

with job(snakemake):
    measure(
        folder=Path(snakemake.params.folder["path"]),
        notes=Path(snakemake.params.folder["notes"]),
        shard=int(snakemake.wildcards.shard),
        shards=snakemake.params.folder["shards"],
        model=Path(snakemake.params.model),
        settings=Measure(**snakemake.params.settings),
        code=snakemake.params.code,
        state=Path("results/state/measure"),
        outputs=Outputs(*(Path(path) for path in snakemake.output)),
        threads=snakemake.threads,
        report=LOG.info,
    )
