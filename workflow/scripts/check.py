from pathlib import Path

from coverslip.config.sections import bare_dataset
from coverslip.data.quality_check import check
from coverslip.runtime.run_script import run_script

with run_script(snakemake):
    check(
        images=Path(snakemake.input.images),
        manifest=Path(snakemake.input.manifest),
        groups=Path(snakemake.input.groups),
        duplicates=Path(snakemake.input.duplicates),
        dataset=bare_dataset(snakemake.wildcards.dataset, snakemake.params.dataset),
        report=Path(snakemake.output.report),
    )
