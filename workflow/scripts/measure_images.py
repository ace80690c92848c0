from pathlib import Path

from coverslip.config.sections import Measure
from coverslip.measure.images import Outputs, measure
from coverslip.runtime.run_script import LOG, run_script

with run_script(snakemake):
    measure(
        folder=Path(snakemake.params.folder["path"]),
        notes=Path(snakemake.params.folder["notes"]),
        shard=int(snakemake.wildcards.shard),
        shards=snakemake.params.folder["shards"],
        model=Path(snakemake.params.model),
        classifier=snakemake.params.classifier and Path(snakemake.params.classifier),
        settings=Measure(**snakemake.params.settings),
        code=snakemake.params.code,
        state=Path("results/state/measure"),
        outputs=Outputs(*(Path(path) for path in snakemake.output)),
        threads=snakemake.threads,
        report=LOG.info,
    )
