from pathlib import Path

from coverslip.config.sections import Split
from coverslip.data.splits import split
from coverslip.runtime.run_script import run_script

with run_script(snakemake):
    split(
        groups=Path(snakemake.input.groups),
        manifest=Path(snakemake.input.manifest),
        duplicates=Path(snakemake.input.duplicates),
        config=Split(**snakemake.params.split),
        reproduction=snakemake.params.reproduction,
        table=Path(snakemake.output.table),
        summary=Path(snakemake.output.summary),
        task=snakemake.params.task,
        patch=snakemake.params.patch,
    )
